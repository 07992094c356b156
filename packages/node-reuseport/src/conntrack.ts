/**
 * The kernel's connection table (conntrack) as rows of words, and the deletion and marking of connections by such rows. Needs
 * CAP_NET_ADMIN. All work on a thread of libuv's pool. Tables belong to the network namespace of the calling thread.
 *
 * Knows nothing of whose connections they are, nor of what a mark means.
 */
import { binding } from './binding.js';
import { argumentError, checkInteger, systemError } from './errors.js';

/** Words of one row. */
export const connectionStride = 24;

/**
 * Where in a row. Addresses are four words, the most significant first, IPv4 as IPv4-mapped (0, 0, 0xffff, address). "Original" is
 * as the first packet had it, "reply" as answers come: after DNAT the reply's source is whom the client really talks to.
 */
export const ConnectionWord = {
  ORIGINAL_SOURCE: 0,
  ORIGINAL_DESTINATION: 4,
  REPLY_SOURCE: 8,
  REPLY_DESTINATION: 12,
  /** IPPROTO_… */
  PROTOCOL: 16,
  /** source << 16 | destination; for ICMP identifier << 16. */
  ORIGINAL_PORTS: 17,
  REPLY_PORTS: 18,
  /** For ICMP: original type << 24 | code << 16 | reply type << 8 | code. */
  ICMP: 19,
  /** The connection's mark (ct mark). */
  MARK: 20,
  /**
   * The kernel's number for it, which tells another one with the same addresses and ports apart, unless that one lies in the very
   * memory of the first (the number is a hash of both).
   */
  ID: 21,
  ZONE: 22,
  /** IPS_… bits of <linux/netfilter/nf_conntrack_common.h>. */
  STATUS: 23,
} as const;

/** Most connections of one dump: 48 MiB a half million. */
export const connectionsMaxMost = 4 << 20;
const connectionsMaxDefault = 1 << 20;
const deadlineMsMax = 600_000;
const wordMax = 0xffffffff;

export interface ConnectionFilter {
  /** Connections with `ct mark & mask == mark`, sorted out by the kernel; mask 0 is every connection. */
  readonly mark: number;
  readonly mask: number;
  /** 1 to 600,000. */
  readonly deadlineMs: number;
  /** Default 1,048,576. More is EMSGSIZE: a part of the table is no table. */
  readonly connectionsMax?: number;
}

export interface ConnectionDump {
  /** 0, or why the table could not be read to its end: as in `NetlinkReply`, EPERM (1) without CAP_NET_ADMIN. */
  readonly errno: number;
  /** The kernel's own words, '' where there are none. */
  readonly message: string;
  /** `connectionStride` words each, IPv4 and IPv6, in no order. What was read so far where `errno` is not 0. */
  readonly rows: Uint32Array;
}

/** Reads the table once. One that begins or ends meanwhile may be missed, and seldom one comes twice. */
export async function dumpConnections(filter: ConnectionFilter): Promise<ConnectionDump> {
  const { mark, mask, deadlineMs, connectionsMax = connectionsMaxDefault } = filter;
  checkInteger('mark', mark, 0, wordMax);
  checkInteger('mask', mask, 0, wordMax);
  checkInteger('deadlineMs', deadlineMs, 1, deadlineMsMax);
  checkInteger('connectionsMax', connectionsMax, 1, connectionsMaxMost);
  const dump = binding.dumpConnections(mark, mask, deadlineMs, connectionsMax);
  if (typeof dump === 'number') throw systemError(-dump, 'socket', 'netlink conntrack');
  return await dump;
}

export interface ConnectionChange {
  /** 0, or the first refusal other than ENOENT; what comes 512 rows after it, or later, was not tried. */
  readonly errno: number;
  readonly message: string;
  /** Deleted, or marked. */
  readonly changed: number;
  /** Were gone already. */
  readonly absent: number;
}

export interface ConnectionRows {
  /** Whole rows of `dumpConnections`. */
  readonly rows: Uint32Array;
  /** 1 to 600,000. */
  readonly deadlineMs: number;
}

/** Deletes the connections of `rows`, each only if it still has the row's `ID`. The next packet of such a connection is a first packet to the firewall. */
export async function deleteConnections({ rows, deadlineMs }: ConnectionRows): Promise<ConnectionChange> {
  checkRows(rows, deadlineMs);
  const change = binding.deleteConnections(rows, deadlineMs);
  if (typeof change === 'number') throw systemError(-change, 'socket', 'netlink conntrack');
  return await change;
}

/**
 * Gives the connections of `rows` the bits of `mark` where `mask` has ones; their marks' other bits stay. A connection that has come to the
 * addresses and ports of a row meanwhile is marked for it: the kernel does not compare `ID`s here.
 */
export async function markConnections({ rows, deadlineMs, mark, mask }: ConnectionRows & { readonly mark: number; readonly mask: number }): Promise<ConnectionChange> {
  checkRows(rows, deadlineMs);
  checkInteger('mask', mask, 0, wordMax);
  checkInteger('mark', mark, 0, mask);
  const change = binding.markConnections(rows, deadlineMs, mark, mask);
  if (typeof change === 'number') throw systemError(-change, 'socket', 'netlink conntrack');
  return await change;
}

function checkRows(rows: Uint32Array, deadlineMs: number): void {
  if (rows.length % connectionStride !== 0) throw argumentError('rows.length', rows.length, `a multiple of ${String(connectionStride)}`);
  checkInteger('rows.length', rows.length / connectionStride, 0, connectionsMaxMost);
  checkInteger('deadlineMs', deadlineMs, 1, deadlineMsMax);
}
