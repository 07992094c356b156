/**
 * The policy snapshot in its runtime form: who owns an address, and may this endpoint ask that server this name.
 *
 * How a server is judged: a rule covers a server if it selects the server's identity (or has no L3 part) and covers the
 * port. A Service address stands for its backends: every backend must be allowed on its own, by whichever rule. A rule's
 * port is held against the port that was asked and against the backend's port, and either will do: Cilium sees the
 * backend's port (after DNAT), users mostly write the Service's. A Service port that leads nowhere is reachable only
 * through rules without an L3 part, and not where a rule denies what its address is otherwise. A rule made of toFQDNs covers no DNS server. An address outside the cluster is judged by the
 * identity of its longest prefix, a contested one as each of its claimants. A rule that denies a server's identity and port refuses every name there; one that denies names
 * refuses them at every server that it covers.
 *
 * Invariants: what is denied stays denied, whatever allows it; no rule that matches means DENY, but in a set that is open by
 * default, where no rule covers the server. In steady state `decide` allocates nothing. Memo and tables are bounded; at the bound they are dropped and made again,
 * which costs time, never a verdict.
 * Does not know: strangers (`endpointAt` says −1, the caller refuses), limits, clocks.
 */
import { LRUCache } from 'lru-cache';
import { AddressTable, wordsOfAddress } from './address-table.js';
import { parsePrefix, PrefixTable } from './cidr.js';
import { asksFor, coveringRules, type Target } from './covering.js';
import { NameTable, type NameView, type TableEntry } from './name-table.js';
import { patternsOf } from './pattern.js';
import {
  L4_PROTOCOL,
  RESERVED_IDENTITY,
  type EndpointRecord,
  type RuleSet,
  type ServicePort,
  type Snapshot,
} from './snapshot.js';

/** Verdicts of `decide` below zero; from zero on it is the index of the rule that allows. Whatever is not above DENY denies. */
export const ALLOW_NO_POLICY = -1;
/** No rule allows it. */
export const DENY = -2;

/** The verdict where a rule denies, whatever allows: below DENY, and `denyingRule` gives the rule's index again. */
export function deniedBy(rule: number): number {
  return DENY - 1 - rule;
}

/** Index of the rule that denies; below 0 where none does. */
export function denyingRule(verdict: number): number {
  return DENY - 1 - verdict;
}

/** Row of `serverAt` for addresses that are no pod and no service, and in no prefix that a policy names. */
export const WORLD_ROW = 0;

/** What an address is as a DNS server. */
export interface ServerRow {
  /** Of the pods or node at the address (several where it is contested), else of its longest prefix, else the world's. */
  readonly identities: readonly number[];
  /** Only Services have the address: where they lead nowhere, it is nobody's. */
  readonly isServiceOnly: boolean;
  /** Indexes into `snapshot.services` of those that have the address. */
  readonly services: readonly number[];
}

/** Resolutions remembered per (rule set, server, port, protocol, DNS type where a rule names it): two ways each. */
const MEMO_SLOTS = 4096;
const MEMO_FIELDS = 5;
/** In place of a DNS type that no rule of the set names: whoever asks for many of them must not fill the memo. */
const OTHER_TYPE = -1;
const RESOLUTIONS_MAX = 8192;
/** Compiled tables kept. A rule set has several: they differ by which of its rules cover a server and port. */
const TABLES_MAX = 8192;
/** Tables compiled ahead at build, per rule set, so that the first query need not wait for them. */
const WARM_TARGETS_MAX = 64;

/** What the rules say of one server, port and protocol. */
interface Resolution {
  /** Names, one table for each target that rules cover: all must allow. */
  readonly allowed: readonly NameTable[];
  /** Names that are denied; null: none. */
  readonly denied: NameTable | null;
  /** What stands for a name that no table allows and none denies. */
  readonly otherwise: number;
}
const ALL_DENIED: Resolution = { allowed: [], denied: null, otherwise: DENY };
type Tables = LRUCache<string, NameTable>;

export class PolicyIndex {
  readonly snapshot: Snapshot;
  private readonly endpoints: AddressTable;
  private readonly servers: AddressTable;
  private readonly prefixes: PrefixTable;
  private readonly serverRows: readonly ServerRow[];
  /** Where pods or nodes are; several for a contested address. */
  private readonly identitiesByAddress: ReadonlyMap<string, readonly number[]>;
  /** Rule set of each endpoint; −1 means no policy. */
  private readonly ruleSetOf: Int32Array;
  /** DNS types that some rule of the set names. */
  private readonly namedTypes: readonly ReadonlySet<number>[];
  /** By rule set key and covering rules; handed on from index to index, so that an edit compiles only what it changed. */
  private readonly tables: Tables;
  private compiled = 0;
  private readonly memo = new Int32Array(MEMO_SLOTS * MEMO_FIELDS).fill(-1);
  private resolutions: Resolution[] = [];
  private resolutionIndex = new Map<string, number>();

  private constructor(snapshot: Snapshot, previous: PolicyIndex | null) {
    this.snapshot = snapshot;
    this.endpoints = new AddressTable(
      snapshot.endpoints.flatMap((endpoint, row) => endpoint.addresses.map((address) => ({ address, row }))),
    );
    this.ruleSetOf = Int32Array.from(snapshot.endpoints, (endpoint) => endpoint.ruleSet ?? -1);
    this.identitiesByAddress = new Map([
      ...snapshot.identities.flatMap(({ identity, addresses }) => addresses.map((address) => [address, [identity]] as const)),
      ...(snapshot.contested ?? []).map(({ address, identities }) => [address, identities] as const),
    ]);
    const { rows, table, prefixes } = serverRows(snapshot, this.identitiesByAddress);
    this.serverRows = rows;
    this.servers = table;
    this.prefixes = prefixes;
    this.namedTypes = snapshot.ruleSets.map(({ rules }) => new Set(rules.flatMap(({ queryTypes }) => queryTypes ?? [])));
    this.tables = previous === null ? new LRUCache({ max: TABLES_MAX }) : previous.tables;
    const warm = new Set(previous?.snapshot.ruleSets.map(({ key }) => key));
    snapshot.ruleSets.forEach(({ key }, row) => {
      if (!warm.has(key)) this.warm(row);
    });
  }

  /** Compiles a snapshot; compiled tables of rule sets that it shares with `previous` are used again. */
  static build(snapshot: Snapshot, previous: PolicyIndex | null): PolicyIndex {
    return new PolicyIndex(snapshot, previous);
  }

  /**
   * Row of the endpoint that owns the address, or −1. `words[at]` to `words[at + 3]` are the 16 address bytes as they lie
   * in memory (network order, seen through a little-endian Uint32Array); v4 is v4-mapped (::ffff:a.b.c.d).
   */
  endpointAt(words: Uint32Array, at: number): number {
    return this.endpoints.find(words, at);
  }

  endpoint(row: number): EndpointRecord {
    return this.snapshot.endpoints[row];
  }

  /** Row of what the address is as a server, in the same form; an unknown address is that of its prefix, or the world. */
  serverAt(words: Uint32Array, at: number): number {
    const exact = this.servers.find(words, at);
    if (exact >= 0) return exact;
    const row = this.prefixes.find(words, at);
    return row < 0 ? WORLD_ROW : row;
  }

  server(row: number): ServerRow {
    return this.serverRows[row];
  }

  /**
   * May the endpoint ask the server for the name, and this type of it? From 0: index of the allowing rule in the endpoint's rule
   * set (of a Service with unlike backends: of its first one); ALLOW_NO_POLICY, also where no rule of a set that is open by
   * default covers the server; DENY, or `deniedBy` a rule.
   */
  decide(
    endpointRow: number,
    serverRow: number,
    port: number,
    protocol: number,
    bytes: Uint8Array,
    view: QuestionView,
  ): number {
    const ruleSet = this.ruleSetOf[endpointRow];
    if (ruleSet < 0) return ALLOW_NO_POLICY;
    const type = this.namedTypes[ruleSet].has(view.type) ? view.type : OTHER_TYPE;
    const { allowed, denied, otherwise } = this.resolve(ruleSet, serverRow, port | (protocol << 16), type);
    if (denied !== null) {
      const denial = denied.match(bytes, view);
      if (denial >= 0) return deniedBy(denial);
    }
    if (allowed.length === 0) return otherwise;
    const first = allowed[0].match(bytes, view);
    if (first < 0) return otherwise;
    for (let i = 1; i < allowed.length; i++) if (allowed[i].match(bytes, view) < 0) return otherwise;
    return first;
  }

  /**
   * Everything that must be allowed for the server to be: one target for a pod, one per unlike backend for a Service; where that leads
   * nowhere, the unknown (selected by rules without an L3 part alone) and what the address is otherwise (which may be denied).
   * `identitiesOf`: who a backend is, if somebody knows better.
   */
  targetsOf(serverRow: number, port: number, protocol: number, identitiesOf = (address: string) => this.identitiesOf(address)): readonly Target[] {
    const open = this.servicePorts(serverRow, port, protocol);
    const { identities, isServiceOnly } = this.serverRows[serverRow];
    const direct = identities.map((identity): Target => ({ identity, ports: [port] }));
    if (open.length === 0 && !isServiceOnly) return direct;
    const targets = new Map<string, Target>();
    for (const { backends } of open) {
      for (const backend of backends) {
        const ports = backend.port === port ? [port] : [port, backend.port];
        for (const one of identitiesOf(backend.address)) targets.set(`${one}:${backend.port}`, { identity: one, ports });
      }
    }
    if (targets.size === 0) return [{ identity: RESERVED_IDENTITY.unknown, ports: [port] }, ...direct];
    return [...targets.values()];
  }

  /** Where a Service's port leads; empty for what is no Service. */
  backendsOf(serverRow: number, port: number, protocol: number): readonly { readonly address: string; readonly port: number }[] {
    return this.servicePorts(serverRow, port, protocol).flatMap(({ backends }) => backends);
  }

  private servicePorts(serverRow: number, port: number, protocol: number): ServicePort[] {
    const open: ServicePort[] = [];
    for (const index of this.serverRows[serverRow].services) {
      for (const entry of this.snapshot.services[index].ports) {
        if (entry.port === port && entry.protocol === protocol) open.push(entry);
      }
    }
    return open;
  }

  /** Of a canonical address that is no Service's: one, or all that a contested one may be. */
  identitiesOf(address: string): readonly number[] {
    const known = this.identitiesByAddress.get(address);
    if (known !== undefined) return known;
    const row = this.prefixes.find(wordsOfAddress(address), 0);
    return this.serverRows[Math.max(WORLD_ROW, row)].identities;
  }

  /** Name tables that this index had to compile itself. */
  get tablesCompiled(): number {
    return this.compiled;
  }

  private resolve(ruleSet: number, serverRow: number, portKey: number, type: number): Resolution {
    const home = mixKey(ruleSet, serverRow, portKey ^ (type << 8)) & (MEMO_SLOTS - 1);
    const memo = this.memo;
    for (let way = 0; way < 2; way++) {
      const at = (home ^ way) * MEMO_FIELDS;
      if (memo[at] === serverRow && memo[at + 1] === portKey && memo[at + 2] === ruleSet && memo[at + 3] === type) {
        return this.resolutions[memo[at + 4]];
      }
    }
    const index = this.resolveAnew(ruleSet, serverRow, portKey, type);
    const at = home * MEMO_FIELDS;
    // What lay here moves to the other way, so that a busy key survives one stranger.
    if (memo[at] >= 0) memo.copyWithin((home ^ 1) * MEMO_FIELDS, at, at + MEMO_FIELDS);
    memo[at] = serverRow;
    memo[at + 1] = portKey;
    memo[at + 2] = ruleSet;
    memo[at + 3] = type;
    memo[at + 4] = index;
    return this.resolutions[index];
  }

  private resolveAnew(ruleSet: number, serverRow: number, portKey: number, type: number): number {
    const set = this.snapshot.ruleSets[ruleSet];
    const protocol = portKey >>> 16;
    const allowing = new Set<string>();
    const denying = new Set<number>();
    for (const target of this.targetsOf(serverRow, portKey & 0xffff, protocol)) {
      const covering = coveringRules(set.rules, target, protocol);
      const denials = covering.filter((index) => set.rules[index].deny === true);
      // One target that is denied, or that nothing covers, decides for the whole server.
      const whole = denials.find((index) => set.rules[index].dnsPatterns === null);
      if (whole !== undefined) return this.remember(`!!${whole}`, { ...ALL_DENIED, otherwise: deniedBy(whole) });
      for (const index of denials) denying.add(index);
      const allows = covering.filter((index) => set.rules[index].deny !== true);
      const asked = allows.filter((index) => asksFor(set.rules[index], type));
      // A rule for other types limits the server as any does: also where nothing closes egress.
      if (allows.length > 0 && asked.length === 0) return this.remember('', ALL_DENIED);
      allowing.add(asked.join());
    }
    const isUncovered = allowing.delete('');
    if (isUncovered && set.openByDefault !== true) return this.remember('', ALL_DENIED);
    const list = [...allowing];
    const denied = [...denying].sort((a, b) => a - b).join();
    return this.remember(`${ruleSet}/${list.join('/')}!${denied}`, {
      allowed: list.map((key) => this.table(ruleSet, key)),
      denied: denied === '' ? null : this.table(ruleSet, denied),
      otherwise: list.length === 0 ? ALLOW_NO_POLICY : DENY,
    });
  }

  private remember(key: string, resolution: Resolution): number {
    const known = this.resolutionIndex.get(key);
    if (known !== undefined) return known;
    if (this.resolutions.length >= RESOLUTIONS_MAX) {
      this.memo.fill(-1);
      this.resolutions = [];
      this.resolutionIndex = new Map();
    }
    this.resolutions.push(resolution);
    this.resolutionIndex.set(key, this.resolutions.length - 1);
    return this.resolutions.length - 1;
  }

  private table(ruleSet: number, covering: string): NameTable {
    const rules = this.snapshot.ruleSets[ruleSet];
    const key = `${rules.key}/${covering}`;
    let table = this.tables.get(key);
    if (table === undefined) {
      this.compiled++;
      table = compileRules(rules, covering.split(',').map(Number));
      this.tables.set(key, table);
    }
    return table;
  }

  private warm(ruleSet: number): void {
    let left = WARM_TARGETS_MAX;
    const { rules } = this.snapshot.ruleSets[ruleSet];
    for (const rule of rules) {
      if (rule.dnsPatterns === null || rule.deny === true) continue;
      const type = rule.queryTypes?.[0] ?? OTHER_TYPE;
      for (const identity of rule.identities ?? [RESERVED_IDENTITY.world]) {
        for (const range of rule.ports) {
          if (left-- <= 0) return;
          const covering = coveringRules(rules, { identity, ports: [range.first] }, range.protocol ?? L4_PROTOCOL.udp);
          const allowing = covering.filter((index) => rules[index].deny !== true && asksFor(rules[index], type));
          if (allowing.length > 0) this.table(ruleSet, allowing.join());
        }
      }
    }
  }
}

/** What `decide` reads of a scanned question. */
export interface QuestionView extends NameView {
  /** DNS type. */
  readonly type: number;
}

function compileRules(ruleSet: RuleSet, covering: readonly number[]): NameTable {
  const entries: TableEntry[] = [];
  for (const value of covering) {
    const { dnsPatterns } = ruleSet.rules[value];
    if (dnsPatterns === null) {
      entries.push({ pattern: { kind: 'any' }, value });
      continue;
    }
    for (const one of dnsPatterns) for (const pattern of patternsOf(one, 'dns')) entries.push({ pattern, value });
  }
  return NameTable.compile(entries);
}

function serverRows(
  snapshot: Snapshot,
  identitiesByAddress: ReadonlyMap<string, readonly number[]>,
): { rows: ServerRow[]; table: AddressTable; prefixes: PrefixTable } {
  const servicesByAddress = new Map<string, number[]>();
  snapshot.services.forEach((service, index) => {
    for (const address of service.addresses) {
      const list = servicesByAddress.get(address);
      if (list === undefined) servicesByAddress.set(address, [index]);
      else list.push(index);
    }
  });
  const cidrs = snapshot.cidrs ?? [];
  const outside = [RESERVED_IDENTITY.world, ...cidrs.map(({ identity }) => identity)];
  const rows = outside.map((identity): ServerRow => ({ identities: [identity], isServiceOnly: false, services: [] }));
  const prefixes = new PrefixTable(cidrs.map(({ cidr }, i) => ({ prefix: parsePrefix(cidr)!, row: WORLD_ROW + 1 + i })));
  const rowByKey = new Map<string, number>();
  const entries: { address: string; row: number }[] = [];
  for (const address of new Set([...identitiesByAddress.keys(), ...servicesByAddress.keys()])) {
    const known = identitiesByAddress.get(address);
    const isServiceOnly = known === undefined;
    const identities = known ?? rows[Math.max(WORLD_ROW, prefixes.find(wordsOfAddress(address), 0))].identities;
    const services = servicesByAddress.get(address) ?? [];
    const key = `${identities.join('+')}/${services.join()}/${isServiceOnly}`;
    let row = rowByKey.get(key);
    if (row === undefined) {
      row = rows.length;
      rows.push({ identities, isServiceOnly, services });
      rowByKey.set(key, row);
    }
    entries.push({ address, row });
  }
  return { rows, table: new AddressTable(entries), prefixes };
}

function mixKey(a: number, b: number, c: number): number {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b);
  h = Math.imul(h ^ b ^ (h >>> 13), 0xc2b2ae35);
  h = Math.imul(h ^ c ^ (h >>> 16), 0x27d4eb2f);
  return h ^ (h >>> 15);
}
