/**
 * Ends connections that a policy no longer allows: established ones are let through unseen, so someone must look.
 *
 * Invariant: only connections with the mark that is asked for are looked at, and only those that may not go on are touched. They get the
 * mark `cut`, by which the tables refuse them both ways; were they deleted, the next packet of the other end would begin them anew, the other
 * way round. One that may go on again is deleted: its next packet is a first packet, and the rules judge it.
 * Does not know: policy.
 */
import { AppError } from '@tandem/core';
import { type ConnectionChange, connectionStride, ConnectionWord, deleteConnections, dumpConnections, markConnections } from 'node-reuseport';
import { replyText } from '../links/reply.js';
import { addressKey, textOfKey } from './row-address.js';
import { inTurns } from './turns.js';

const DEADLINE_MS = 30_000;
const CONNECTIONS_MAX = 1 << 20;

const ICMP = 1;
const ICMPV6 = 58;

/** A connection as its first packet had it. Addresses are canonical text. */
export interface TrackedFlow {
  /** IPPROTO_… */
  readonly protocol: number;
  readonly source: string;
  /** 0 for ICMP. */
  readonly sourcePort: number;
  /** Whom the source asked for: perhaps a Service. */
  readonly destination: string;
  readonly destinationPort: number;
  /** Who it was after DNAT; else `destination` again. */
  readonly backend: string;
  readonly backendPort: number;
  /** null for all but ICMP and ICMPv6. */
  readonly icmpType: number | null;
}

export interface CutResult {
  /** How many of these there were. */
  readonly examined: number;
  /** Marked; those that ended by themselves meanwhile are not counted. */
  readonly cut: number;
}

/** May it go on? unknown: if an address is open of which nothing is known here. */
export type FlowJudgement = 'allowed' | 'denied' | 'unknown';

export interface CutOptions {
  /** Connections with `ct mark & mask == mark` are looked at. */
  readonly mark: number;
  readonly mask: number;
  /** Bit of the mark of those that are cut. */
  readonly cutMark: number;
  /** Both directions of traffic hang on it. Must not throw. */
  readonly judge: (flow: TrackedFlow) => FlowJudgement;
  /** For one that is unknown: may it go on? What it rejects with ends the pass. */
  readonly lookCloser: (flow: TrackedFlow) => Promise<boolean>;
}

/** Throws UNAVAILABLE where the table cannot be read, or a connection not be marked or deleted, or as `lookCloser` does: some may be cut then, others not. */
export async function cutConnections({ mark, mask, cutMark, judge, lookCloser }: CutOptions): Promise<CutResult> {
  const dump = await dumpConnections({ mark, mask, deadlineMs: DEADLINE_MS, connectionsMax: CONNECTIONS_MAX });
  if (dump.errno !== 0) {
    throw new AppError('UNAVAILABLE', `the connection table cannot be read, so connections that policy no longer allows go on: ${replyText(dump)}`);
  }
  const { rows } = dump;
  const examined = rows.length / connectionStride;
  const [marked, pardoned, unknown]: [number[], number[], number[]] = [[], [], []];
  const isCut = (index: number): boolean => (rows[index * connectionStride + ConnectionWord.MARK] & cutMark) !== 0;
  const settle = (index: number, mayGoOn: boolean): void => {
    if (mayGoOn === isCut(index)) (mayGoOn ? pardoned : marked).push(index);
  };
  await inTurns(examined, (index) => {
    const judgement = judge(trackedFlow(rows, index * connectionStride));
    if (judgement === 'unknown') unknown.push(index);
    else settle(index, judgement === 'allowed');
  });
  for (const index of unknown) settle(index, await lookCloser(trackedFlow(rows, index * connectionStride)));
  let cut = 0;
  if (marked.length > 0) cut = checked(marked, await markConnections({ rows: picked(rows, marked), deadlineMs: DEADLINE_MS, mark: cutMark, mask: cutMark }));
  if (pardoned.length > 0) checked(pardoned, await deleteConnections({ rows: picked(rows, pardoned), deadlineMs: DEADLINE_MS }));
  return { examined, cut };
}

function picked(rows: Uint32Array, indexes: readonly number[]): Uint32Array {
  const those = new Uint32Array(indexes.length * connectionStride);
  indexes.forEach((index, i) => {
    those.set(rows.subarray(index * connectionStride, (index + 1) * connectionStride), i * connectionStride);
  });
  return those;
}

/** How many were changed. */
function checked(indexes: readonly number[], change: ConnectionChange): number {
  if (change.errno === 0) return change.changed;
  throw new AppError(
    'UNAVAILABLE',
    `connections cannot be cut, or given back, as the policy says: ${String(indexes.length - change.changed - change.absent)} are as they were: ${replyText(change)}`,
  );
}

function trackedFlow(rows: Uint32Array, at: number): TrackedFlow {
  const protocol = rows[at + ConnectionWord.PROTOCOL];
  const isIcmp = protocol === ICMP || protocol === ICMPV6;
  const ports = isIcmp ? 0 : rows[at + ConnectionWord.ORIGINAL_PORTS];
  return {
    protocol,
    source: textOfKey(addressKey(rows, at + ConnectionWord.ORIGINAL_SOURCE)),
    sourcePort: ports >>> 16,
    destination: textOfKey(addressKey(rows, at + ConnectionWord.ORIGINAL_DESTINATION)),
    destinationPort: ports & 0xffff,
    backend: textOfKey(addressKey(rows, at + ConnectionWord.REPLY_SOURCE)),
    backendPort: isIcmp ? 0 : rows[at + ConnectionWord.REPLY_PORTS] >>> 16,
    icmpType: isIcmp ? rows[at + ConnectionWord.ICMP] >>> 24 : null,
  };
}
