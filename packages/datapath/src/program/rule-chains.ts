/**
 * Rule sets as chains: what denies first, then what allows, in the order of the rules; then refusal, or the opening where the set is
 * open by default. The semantics are `traceConnection`'s (core), on a single packet.
 *
 * Invariant: a chain ends with a verdict for the direction: `accept` leaves the other direction to its own hook.
 * A rule with names that may be asked (`dnsPatterns`) opens nothing here: what it covers goes to the proxy before.
 * Does not know: whose packets come here.
 */
import { RESERVED_IDENTITY, type PacketVerdict, type PolicyRule, type RuleSet } from '@tandem/core';
import type { GrantScope } from '../fqdn-groups.js';
import type { Marks } from '../names.js';
import { logPrefix } from '../packet-log/prefix.js';
import type { Direction, PeerSets } from './peers.js';
import { portMatches } from './ports.js';
import type { ChainStore } from './program.js';

/** Names of the rates that log lines share. */
export const LOG_LIMITS: ReadonlyMap<string, string> = new Map([
  ['log-allowed', 'rate 1000/second burst 2000 packets;'],
  ['log-denied', 'rate 1000/second burst 2000 packets;'],
]);
/** Bytes of a packet that the log carries: headers of both layers with room for options. */
const LOGGED_BYTES = 128;
export const ESTABLISHED = 'ct state established,related accept';

export interface RuleChainSettings {
  readonly grantScope: GrantScope;
  readonly auditMode: boolean;
  readonly logGroup: number | null;
  readonly marks: Marks;
}

interface Place {
  readonly direction: Direction;
  /** The rule set's key; null for what no rule set decides. */
  readonly ruleSet: string | null;
  readonly rule: number | null;
}

export class RuleChains {
  private readonly store: ChainStore;
  private readonly peers: PeerSets;
  private readonly settings: RuleChainSettings;

  constructor(store: ChainStore, peers: PeerSets, settings: RuleChainSettings) {
    this.store = store;
    this.peers = peers;
    this.settings = settings;
    store.fix('refuse', ['meta l4proto tcp reject with tcp reset', 'reject with icmpx admin-prohibited']);
  }

  /** Chain of a rule set's direction. */
  ofRuleSet(set: RuleSet, direction: Direction): string {
    const ends = [...this.lines(set, direction, true), ...this.lines(set, direction, false)];
    const place = { direction, ruleSet: set.key, rule: null };
    const last = set.openByDefault === true ? this.allow(place) : this.refuse(place, 'denied');
    return this.store.add(direction === 'egress' ? 'from' : 'to', [ESTABLISHED, ...ends, `goto ${last}`]);
  }

  /** Chain of what this node itself sends to a pod: allowed unless a rule denies it. null: no rule does. */
  ofHost(set: RuleSet): string | null {
    const lines = set.rules.flatMap((rule, index) => {
      const isHost = rule.identities === null ? rule.fqdns.length === 0 : rule.identities.includes(RESERVED_IDENTITY.host);
      return isDenial(rule) && isHost ? this.ruleLines(rule, [''], { direction: 'ingress', ruleSet: set.key, rule: index }) : [];
    });
    return lines.length === 0 ? null : this.store.add('host-to', lines);
  }

  /** Of a pod that no policy selects in this direction: its connections are ours, too. */
  unruled(): string {
    return this.store.fix('unruled', [ESTABLISHED, this.markText(), 'accept']);
  }

  /** An address of a pod of this node that comes from, or goes, elsewhere than the pod is. */
  stranger(direction: Direction): string {
    const refuse = this.refuse({ direction, ruleSet: null, rule: null }, 'stranger');
    // What is sent to all can't be refused, and a neighbour's noise is not worth a flow.
    return this.store.add('stranger', ['meta pkttype { broadcast, multicast } drop', `goto ${refuse}`]);
  }

  private lines(set: RuleSet, direction: Direction, isDenied: boolean): string[] {
    const scope = set.limits?.grantScope ?? this.settings.grantScope;
    return set.rules.flatMap((rule, index) => {
      if (rule.dnsPatterns !== null || (rule.deny === true) !== isDenied) return [];
      return this.ruleLines(rule, this.peers.matches(rule, direction, scope), { direction, ruleSet: set.key, rule: index });
    });
  }

  private ruleLines(rule: PolicyRule, peers: readonly string[], place: Place): string[] {
    if (peers.length === 0) return [];
    const end = rule.deny === true ? this.refuse(place, 'denied') : this.allow(place, rule.fqdns.length > 0);
    const { arriving, asked } = portMatches(rule.ports);
    if (rule.ports.length === 0) return peers.map((peer) => join(peer, `goto ${end}`));
    const lines = arriving.map((match) => join(match, `goto ${end}`));
    if (place.direction === 'egress' && asked.length > 0) {
      lines.push(`ct status dnat goto ${this.store.add('asked', asked.map((match) => `${match} goto ${end}`))}`);
    }
    const ports = this.store.add('ports', lines);
    return peers.map((peer) => join(peer, `jump ${ports}`));
  }

  private allow(place: Place, isByName = false): string {
    return this.store.add('allow', [this.markText(isByName), ...this.logText(place, 'allowed'), 'accept']);
  }

  private refuse(place: Place, verdict: PacketVerdict): string {
    if (this.settings.auditMode) return this.store.add('audit', [this.markText(), ...this.logText(place, verdict === 'stranger' ? 'audited-stranger' : 'audited'), 'accept']);
    return this.store.add('deny', [...this.logText(place, verdict), 'goto refuse']);
  }

  private markText(isByName = false): string {
    const { connection, named } = this.settings.marks;
    return `ct mark set ct mark | ${hex(isByName ? connection + named : connection)}`;
  }

  private logText({ direction, ruleSet, rule }: Place, verdict: PacketVerdict): string[] {
    const { logGroup } = this.settings;
    if (logGroup === null) return [];
    const limit = verdict === 'allowed' ? 'log-allowed' : 'log-denied';
    return [`limit name "${limit}" log prefix "${logPrefix({ direction, verdict, ruleSet, rule })}" group ${logGroup} snaplen ${LOGGED_BYTES}`];
  }
}

/**
 * What goes on over connections that were cut: it ends here, before anybody asks whether they are established. Only to delete such a
 * connection would not do: the next packet of the other end, who sends all the time, would begin it anew, the other way round.
 */
export function cutText({ cut }: Marks): string {
  return `ct mark & ${hex(cut)} == ${hex(cut)} goto refuse`;
}

export function hex(mark: number): string {
  return `0x${(mark >>> 0).toString(16).padStart(8, '0')}`;
}

/** A rule that denies connections, not names. */
function isDenial(rule: PolicyRule): boolean {
  return rule.deny === true && rule.dnsPatterns === null;
}

function join(match: string, statement: string): string {
  return match === '' ? statement : `${match} ${statement}`;
}
