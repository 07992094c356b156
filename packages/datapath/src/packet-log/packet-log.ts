/**
 * Reads the kernel's packet log: the group that the datapath's rules log to, bound by one socket in a network namespace.
 *
 * Invariant: a bounded number of packets is handed over per turn of the event loop. What the kernel could not hand over is counted, by
 * the gap in its numbers: so late by one packet. Nothing is read unless it is bound; where another process has the group (a predecessor of
 * this role, which is about to end), it is asked for again until that one is gone.
 * Does not know who should read it: who leads starts it.
 */
import { type Log, type LoggedPacket, monoMs, type MonoMs } from '@tandem/core';
import { closeFd, NETLINK, openNetlink, Readable, receiveNetlink, sendNetlink } from 'node-reuseport';
import { parseIpHeader } from './ip-header.js';
import { bindRequest, type LogMessage, readLogMessages } from './log-messages.js';
import { parsePrefix } from './prefix.js';

/** Of each packet: the longest IPv4 header and a TCP header, or IPv6 with an extension header or two. */
const SNAP_BYTES = 128;
/** The kernel hands over so many at once, or what there is after so long. */
const BATCH_PACKETS = 32;
const BATCH_DELAY_MS = 10;
const BATCH_BYTES = 32 * 1024;
/** What waits while this thread is busy: some thousand packets. */
const RECEIVE_BUFFER_BYTES = 2 * 1024 * 1024;
const DATAGRAMS_PER_TURN = 16;
const BIND_AGAIN_MS = 1000;
const SEQUENCE = 1;
const EPERM = 1;
const EAGAIN = 11;
const ENOBUFS = 105;

export interface PacketLogOptions {
  /** As the rules say it: 1 to 65535. */
  readonly group: number;
  readonly log: Log;
  readonly nowMs: () => MonoMs;
  readonly onPackets: (packets: readonly LoggedPacket[]) => void;
  /** So many were logged, and are lost. */
  readonly onLost: (packets: number) => void;
}

export class PacketLog {
  private readonly options: PacketLogOptions;
  private readonly buffer = new Uint8Array(BATCH_BYTES * 2);
  private fd = -1;
  private readable: Readable | null = null;
  private again: NodeJS.Timeout | null = null;
  private isStarted = false;
  /** Why nothing is read; null: it is, or need not be. */
  private complaint: string | null = null;
  /** Number of the packet that is to come next: the kernel counts from the moment of binding. */
  private expected = 0;

  constructor(options: PacketLogOptions) {
    this.options = options;
  }

  /** For an operator, one line; null: all is well. */
  get problem(): string | null {
    return this.complaint;
  }

  /** Reads from here on, or as soon as the group can be had. A second time does nothing. */
  start(): void {
    if (this.isStarted) return;
    this.isStarted = true;
    this.bind();
  }

  stop(): void {
    this.isStarted = false;
    this.complaint = null;
    if (this.again !== null) clearTimeout(this.again);
    this.again = null;
    this.close();
  }

  private bind(): void {
    const refusal = this.tryToBind();
    if (refusal === null) {
      if (this.complaint !== null) this.options.log.info('the packet log is read', { group: this.options.group });
      this.complaint = null;
      this.expected = 0;
      this.readable = new Readable(this.fd, () => this.read());
      return;
    }
    this.close();
    if (refusal !== this.complaint) this.options.log.warn(refusal);
    this.complaint = refusal;
    this.again = setTimeout(() => this.bind(), BIND_AGAIN_MS);
    this.again.unref();
  }

  /** Null: it is bound. */
  private tryToBind(): string | null {
    const { group } = this.options;
    try {
      this.fd = openNetlink({ protocol: NETLINK.netfilter, receiveBufferBytes: RECEIVE_BUFFER_BYTES });
    } catch (error) {
      return unread(group, error instanceof Error ? error.message : String(error));
    }
    const sent = sendNetlink(this.fd, bindRequest({ group, snapBytes: SNAP_BYTES, packetsMax: BATCH_PACKETS, bytesMax: BATCH_BYTES, delayMs: BATCH_DELAY_MS }, SEQUENCE));
    if (sent < 0) return unread(group, `the kernel does not take the request: errno ${-sent}`);
    // The kernel has answered when the request is sent. A packet that comes before the answer counts as lost, as the next one tells.
    let errno: number | null = null;
    while (errno === null) {
      const length = receiveNetlink(this.fd, this.buffer);
      if (length < 0 && length !== -ENOBUFS) return unread(group, `the kernel does not answer: errno ${-length}`);
      readLogMessages(this.buffer.subarray(0, Math.max(0, length)), {
        onPacket: () => undefined,
        onAcknowledged: (acknowledgement) => { errno = acknowledgement.errno; },
      });
    }
    if (errno === 0) return null;
    // The kernel says no other word to one without privilege.
    if (errno === EPERM) return unread(group, 'another process reads it, and it is asked for again every second; or CAP_NET_ADMIN is missing');
    return unread(group, `errno ${String(errno)}: the kernel needs its module nfnetlink_log`);
  }

  private read(): void {
    const packets: LoggedPacket[] = [];
    const atMs = this.options.nowMs();
    for (let i = 0; i < DATAGRAMS_PER_TURN; i++) {
      const length = receiveNetlink(this.fd, this.buffer);
      // Which packets were lost is told by the number of the next one.
      if (length === -ENOBUFS) continue;
      if (length === -EAGAIN) break;
      if (length < 0) {
        this.lostSocket(-length);
        break;
      }
      readLogMessages(this.buffer.subarray(0, length), {
        onPacket: (message) => {
          this.count(message);
          const packet = packetOf(message, atMs);
          if (packet !== null) packets.push(packet);
        },
        onAcknowledged: () => undefined,
      });
    }
    if (packets.length > 0) this.options.onPackets(packets);
  }

  private count({ sequence }: LogMessage): void {
    if (sequence === null) return;
    const lost = (sequence - this.expected) >>> 0;
    this.expected = (sequence + 1) >>> 0;
    if (lost > 0) this.options.onLost(lost);
  }

  private lostSocket(errno: number): void {
    this.options.log.warn(`the packet log cannot be read: errno ${errno}; it is bound again`);
    this.close();
    this.again = setTimeout(() => this.bind(), BIND_AGAIN_MS);
    this.again.unref();
  }

  private close(): void {
    this.readable?.close();
    this.readable = null;
    if (this.fd >= 0) closeFd(this.fd);
    this.fd = -1;
  }
}

/** Null where it is not one of ours, or no IP packet. */
export function packetOf({ prefix, inputInterface, outputInterface, payload }: LogMessage, atMs: MonoMs): LoggedPacket | null {
  const logged = parsePrefix(prefix);
  const header = logged === null ? null : parseIpHeader(payload);
  if (logged === null || header === null) return null;
  return { ...logged, ...header, interfaceIndex: logged.direction === 'egress' ? inputInterface : outputInterface, atMs: monoMs(atMs) };
}

function unread(group: number, why: string): string {
  return `the packet log (group ${group}) cannot be read, so connections make no flows: ${why}`;
}
