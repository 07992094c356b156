/**
 * Ends connections that a policy no longer allows: established ones are let through unseen, so someone must look.
 *
 * Invariant: only connections with the mark that is asked for are looked at, and only those that `judge` says no to are deleted. The next packet of
 * such a one is a first packet again, and the rules refuse it, or allow it after all: a mistake here costs a look, not a connection.
 * Does not know: policy.
 */
import { AppError } from '@tandem/core';
import { connectionStride, ConnectionWord, deleteConnections, dumpConnections } from 'node-reuseport';
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
  /** Deleted; those that ended by themselves meanwhile are not counted. */
  readonly cut: number;
}

export interface CutOptions {
  /** Connections with `ct mark & mask == mark` are looked at. */
  readonly mark: number;
  readonly mask: number;
  /** Whether the connection may go on; both directions of traffic hang on it. Must not throw. */
  readonly judge: (flow: TrackedFlow) => boolean;
}

/** Throws UNAVAILABLE where the table cannot be read, or a connection not be deleted: some may be cut then, others not. */
export async function cutConnections({ mark, mask, judge }: CutOptions): Promise<CutResult> {
  const dump = await dumpConnections({ mark, mask, deadlineMs: DEADLINE_MS, connectionsMax: CONNECTIONS_MAX });
  if (dump.errno !== 0) {
    throw new AppError('UNAVAILABLE', `the connection table cannot be read, so connections that policy no longer allows go on: ${replyText(dump)}`);
  }
  const { rows } = dump;
  const examined = rows.length / connectionStride;
  const condemned: number[] = [];
  await inTurns(examined, (index) => {
    if (!judge(trackedFlow(rows, index * connectionStride))) condemned.push(index);
  });
  if (condemned.length === 0) return { examined, cut: 0 };
  const those = new Uint32Array(condemned.length * connectionStride);
  condemned.forEach((index, i) => {
    those.set(rows.subarray(index * connectionStride, (index + 1) * connectionStride), i * connectionStride);
  });
  const deletion = await deleteConnections({ rows: those, deadlineMs: DEADLINE_MS });
  if (deletion.errno === 0) return { examined, cut: deletion.deleted };
  throw new AppError(
    'UNAVAILABLE',
    `connections that policy no longer allows cannot be cut, ${String(condemned.length - deletion.deleted - deletion.absent)} may go on: ${replyText(deletion)}`,
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
