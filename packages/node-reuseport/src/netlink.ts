/**
 * Netlink: how the kernel is asked about and told of links, routes, nftables and connections. Messages are bytes here, in
 * the kernel's own layout (struct nlmsghdr and what follows, host byte order); what is in them is the caller's.
 *
 * Invariant: only what the kernel itself sent is ever handed out. Sockets belong to the network namespace that the calling
 * thread is in when they are opened.
 */
import { binding, type Handle } from './binding.js';
import { argumentError, check, checkFd, checkInteger, systemError } from './errors.js';

/** NETLINK_ROUTE and NETLINK_NETFILTER of <linux/netlink.h>. */
export const NETLINK = { route: 0, netfilter: 12 } as const;

/** Longest request of an exchange. */
export const netlinkRequestBytesMax = 16 << 20;
/** Largest reply that an exchange may allow. */
export const netlinkReplyBytesMax = 256 << 20;

const groupMax = 1024;
const receiveBufferBytesMax = 32 << 20;
const deadlineMsMax = 600_000;

function checkProtocol(protocol: number): void {
  if (protocol === NETLINK.route || protocol === NETLINK.netfilter) return;
  throw argumentError('protocol', protocol, 'NETLINK.route or NETLINK.netfilter');
}

export interface NetlinkOptions {
  /** One of `NETLINK`. */
  readonly protocol: number;
  /** Numbers of multicast groups (RTNLGRP_…, NFNLGRP_…), not bits. */
  readonly groups?: readonly number[];
  /** Room for events that wait; beyond the administrator's bound where CAP_NET_ADMIN allows. Default: the kernel's. */
  readonly receiveBufferBytes?: number;
}

/**
 * A non-blocking, close-on-exec socket, bound, member of `groups`; the caller closes it with `closeFd`. Extended
 * acknowledgements are on; for `route` dumps are checked strictly. Throws a SystemError (EPERM: a group needs CAP_NET_ADMIN).
 */
export function openNetlink({ protocol, groups = [], receiveBufferBytes = 0 }: NetlinkOptions): number {
  checkProtocol(protocol);
  checkInteger('receiveBufferBytes', receiveBufferBytes, 0, receiveBufferBytesMax);
  for (const group of groups) checkInteger('groups', group, 1, groupMax);
  return check(binding.openNetlink(protocol, Uint32Array.from(groups), receiveBufferBytes), 'socket', `netlink ${String(protocol)}`);
}

/**
 * One datagram of messages into `into`. Its length, or −errno: −11 (EAGAIN) none waits, −105 (ENOBUFS) events were lost
 * because the buffer was full, −90 (EMSGSIZE) it was longer than `into` and is gone.
 */
export function receiveNetlink(fd: number, into: Uint8Array): number {
  checkFd('fd', fd);
  return binding.receiveNetlink(fd, into);
}

/**
 * One request by a socket that stays: for what the kernel binds to it, such as a group of its packet log. 0, or −errno: −1 (EPERM)
 * not privileged, −90 (EMSGSIZE) too long. What the kernel answers, refusals among it, waits to be received when this returns.
 */
export function sendNetlink(fd: number, request: Uint8Array): number {
  checkFd('fd', fd);
  return binding.sendNetlink(fd, request);
}

export interface NetlinkRequest {
  /** One of `NETLINK`. */
  readonly protocol: number;
  /**
   * Messages, one behind the other, each at a multiple of four. At least one asks for an answer, by NLM_F_ACK or NLM_F_DUMP, and so
   * does the last, unless it belongs to the same part (below) as one that does. Copied before the call returns.
   */
  readonly request: Uint8Array;
  /** From now on; 1 to 600,000. */
  readonly deadlineMs: number;
  /** Most bytes of `messages`. */
  readonly bytesMax: number;
}

export interface NetlinkReply {
  /**
   * 0, or the positive errno of the first message refused. Also EAGAIN (11): what was dumped changed meanwhile, ask again;
   * EMSGSIZE (90): more than `bytesMax`; ETIMEDOUT (110): not answered by the deadline; ENOBUFS (105): answers were lost.
   */
  readonly errno: number;
  /** nlmsg_seq of that message; 0 where there is none. */
  readonly sequence: number;
  /** The kernel's own words (NLMSGERR_ATTR_MSG), or what is said above; '' where there are none. */
  readonly message: string;
  /** All other messages, one behind the other, each padded to a multiple of four. Incomplete unless `errno` is 0. */
  readonly messages: Uint8Array;
}

/**
 * Sends a request by a socket of its own and collects what comes until every message with NLM_F_ACK is acknowledged and every
 * dump has ended, or one is refused. On a thread of libuv's pool: the event loop goes on. A message with both bits of NLM_F_DUMP
 * ends a part of the request, and what follows is sent when the dump is over, for a socket has room for one; nothing after a
 * part with a refusal is sent. Rejects only when there is no socket to be had or an argument makes no sense.
 */
export async function netlinkExchange({ protocol, request, deadlineMs, bytesMax }: NetlinkRequest): Promise<NetlinkReply> {
  checkProtocol(protocol);
  checkInteger('request.length', request.length, 1, netlinkRequestBytesMax);
  checkInteger('deadlineMs', deadlineMs, 1, deadlineMsMax);
  checkInteger('bytesMax', bytesMax, 0, netlinkReplyBytesMax);
  const reply = binding.netlinkExchange(protocol, request, deadlineMs, bytesMax);
  if (typeof reply !== 'number') return await reply;
  if (reply === -EINVAL) throw malformed();
  throw systemError(-reply, 'socket', `netlink ${String(protocol)}`);
}

const EBADF = 9;
const EINVAL = 22;
const EMSGSIZE = 90;

function malformed(): RangeError {
  return argumentError('request', 'what was given', 'whole netlink messages, of which one asks for an answer');
}

/**
 * Calls back in this thread's event loop whenever `fd` is readable or has an error to be read, again until it is read. Does
 * not keep the process alive. Close it before the descriptor.
 */
export class Readable {
  private handle: Handle | null;

  constructor(fd: number, onReadable: () => void) {
    checkFd('fd', fd);
    const handle = binding.pollStart(fd, onReadable);
    if (typeof handle === 'number') throw systemError(-handle, 'epoll_ctl', `descriptor ${String(fd)}`);
    this.handle = handle;
  }

  /** No call back after this; a second time does nothing. */
  close(): void {
    if (this.handle !== null) binding.pollClose(this.handle);
    this.handle = null;
  }
}

export interface NetlinkWriterOptions {
  /** One of `NETLINK`. */
  readonly protocol: number;
  /** Requests that wait, are under way, or are done and not collected: 1 to 65,536. */
  readonly capacity: number;
  /** Longest request: 20 to 1,048,576 bytes. `capacity` × `bytesMax` is at most 1 GiB, of which only what is used is resident. */
  readonly bytesMax: number;
}

const capacityMax = 65536;
const writerBytesMax = 1 << 20;
const writerBytesLeast = 20;
const ringBytesMax = 1 << 30;

/** Words of one completion: ticket, errno (0: all done), nlmsg_seq of the message that was refused. */
export const completionStride = 3;

/**
 * A thread of its own that passes requests to the kernel one after another, so that a caller that must not wait does not.
 * Made for nfnetlink batches (NFNL_MSG_BATCH_BEGIN … END, NLM_F_ACK on each message between): a request is done when all of
 * them are acknowledged, or the kernel has said no to one. Order is kept. Belongs to the thread that made it, and ends with it.
 */
export class NetlinkWriter {
  /** An eventfd, readable while completions wait: for a reactor's `watch` or `Readable`. Gone after `close`. */
  readonly fd: number;
  private readonly handle: Handle;
  private readonly bytesMax: number;

  constructor({ protocol, capacity, bytesMax }: NetlinkWriterOptions) {
    checkProtocol(protocol);
    checkInteger('capacity', capacity, 1, capacityMax);
    checkInteger('bytesMax', bytesMax, writerBytesLeast, Math.min(writerBytesMax, Math.floor(ringBytesMax / capacity)));
    const writer = binding.writerCreate(protocol, capacity, bytesMax);
    if (typeof writer === 'number') throw systemError(-writer, 'socket', `netlink ${String(protocol)}`);
    this.handle = writer.handle;
    this.bytesMax = bytesMax;
    this.fd = writer.fd;
  }

  /**
   * Copies the request and returns at once. `ticket`: any 32-bit number; it comes back with the completion. False: `capacity`
   * is reached. Throws for a request that is too long or is not made of messages, and after `close`.
   */
  submit(request: Uint8Array, ticket: number): boolean {
    const result = binding.writerSubmit(this.handle, request, ticket);
    if (result >= 0) return result === 1;
    if (result === -EMSGSIZE) throw argumentError('request.length', request.length, `at most ${String(this.bytesMax)}`);
    if (result === -EBADF) throw systemError(EBADF, 'write', 'a closed NetlinkWriter');
    throw malformed();
  }

  /**
   * Fills rows of `completionStride` words, oldest first, and returns how many. What finds no room stays, and `fd` stays
   * readable; when all are out it is not. errno as in `NetlinkReply`. Allocates nothing.
   */
  completions(into: Int32Array): number {
    return binding.writerCompletions(this.handle, into);
  }

  /**
   * Ends the thread, after the request under way; requests that wait are not sent and completions are gone. Waits as long as the
   * kernel needs for that one request. A second time does nothing.
   */
  close(): void {
    binding.writerClose(this.handle);
  }
}
