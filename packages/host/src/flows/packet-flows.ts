/**
 * What becomes of logged packets in this member: each is counted, given its meaning (pod, rule, names) by the policy and the cache of
 * this moment, and written into the control thread's flow ring, which the peer has mapped, too.
 *
 * Invariant: what is counted is what was logged; without a ring (flows are off, or nothing is bound yet) nothing else happens.
 * Does not know who reads the kernel's log: this member or, while it leads, the other.
 */
import {
  ALLOW_NO_POLICY, deniedBy, DENY, formatAddress, type LoggedPacket, PACKET_DIRECTIONS, PACKET_VERDICTS, type PacketDirection, type PacketVerdict,
} from '@tandem/core';
import type { FlowDirectory, KnownRules } from './directory.js';
import type { LearnedNames } from './learned-names.js';
import { MATCH, type Match } from './packet-record.js';
import { type PacketMeaning, PacketWriter } from './packet-writer.js';

const REVISION_MODULUS = 2 ** 32;

export interface PacketFlowsOptions {
  readonly directory: FlowDirectory;
  readonly names: LearnedNames;
  /** Time of day at boot, milliseconds since 1970. */
  readonly bootedAtMs: () => number;
}

export interface PacketCount {
  readonly direction: PacketDirection;
  readonly verdict: PacketVerdict;
  readonly count: number;
}

export class PacketFlows {
  /** Packets that the kernel logged and could not hand over. */
  lostCount = 0;
  private readonly options: PacketFlowsOptions;
  private readonly numbers = PACKET_DIRECTIONS.map(() => PACKET_VERDICTS.map(() => 0));
  private writer: PacketWriter | null = null;

  constructor(options: PacketFlowsOptions) {
    this.options = options;
  }

  /** A ring that nobody else writes, and nothing is in yet. */
  useRing(ring: Uint32Array): void {
    this.writer = new PacketWriter(ring);
  }

  logged(packets: readonly LoggedPacket[]): void {
    const bootedAtMs = this.options.bootedAtMs();
    for (const packet of packets) {
      this.numbers[PACKET_DIRECTIONS.indexOf(packet.direction)][PACKET_VERDICTS.indexOf(packet.verdict)]++;
      if (this.writer !== null) this.writer.write(packet, this.meaningOf(packet, bootedAtMs));
    }
  }

  lost(packets: number): void {
    this.lostCount += packets;
  }

  counts(): readonly PacketCount[] {
    return PACKET_DIRECTIONS.flatMap((direction, row) => PACKET_VERDICTS.map((verdict, column) => ({ direction, verdict, count: this.numbers[row][column] })));
  }

  private meaningOf(packet: LoggedPacket, bootedAtMs: number): PacketMeaning {
    const { directory, names } = this.options;
    const isEgress = packet.direction === 'egress';
    const [own, other] = isEgress ? [packet.source, packet.destination] : [packet.destination, packet.source];
    const isStranger = packet.verdict === 'stranger' || packet.verdict === 'audited-stranger';
    const pod = isStranger ? null : directory.podAt(formatAddress(own));
    if (pod === null) return { endpointId: 0, ...ruleOf(packet, null), revision: 0, names: [], bootedAtMs };
    const judged = packet.ruleSet === null ? null : directory.rulesOf(pod.id, packet.direction, packet.ruleSet);
    return {
      endpointId: pod.id,
      ...ruleOf(packet, judged?.rules ?? null),
      revision: (judged?.revision ?? directory.revision) % REVISION_MODULUS,
      names: names.namesOf(pod.uid, formatAddress(other)),
      bootedAtMs,
    };
  }
}

/** A rule is named only where its rule set is known. */
function ruleOf({ verdict, rule }: LoggedPacket, rules: KnownRules | null): { readonly rule: number; readonly match: Match } {
  const isAllowed = verdict === 'allowed';
  const match = rule === null ? undefined : rules?.matches[rule];
  if (rule !== null && match !== undefined) return { rule: isAllowed ? rule : deniedBy(rule), match };
  return isAllowed ? { rule: ALLOW_NO_POLICY, match: MATCH.all } : { rule: DENY, match: MATCH.none };
}
