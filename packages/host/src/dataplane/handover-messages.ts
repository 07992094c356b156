/**
 * What two members say to each other when they hand sockets over: one JSON text per message of a Unix seqpacket socket,
 * descriptors beside it. Each worker of a member connects to the handover socket of the other's worker of the same number, its
 * counterpart, and *gives* there; it *holds* what comes in on its own socket.
 *
 *   giver                                   holder
 *   hello (role, layout, workers, addresses)   ->
 *                                     <-    welcome + the sockets of the giver's predecessor, if held
 *   share + journal and sockets       ->
 *                                     <-    taken          (only now the giver binds)
 *   reading                           ->                   (the holder stops reading the giver's sockets)
 *   connection + its descriptor       ->                   (one per client connection, also later)
 *   drain                             ->                   (the giver wants to leave)
 *                                     <-    adopted        (the holder reads the giver's sockets again)
 *                                     or    busy           (the holder is about to leave itself: ask again when it is back)
 *
 * A successor that finds a living member of its own role says hello to each worker of that one, which answers `legacy` with its sockets.
 * Once worker 0 has been asked, the member drains as above, and then does nothing more until it is ended.
 *
 * Invariant: whatever does not fit this shape ends the connection and nothing else.
 */
import { join } from 'node:path';
import { AppError, parseSocketAddress, type Role } from '@tandem/core';
import { closeFd, receiveWithFds, sendWithFds } from 'node-reuseport';

/**
 * The newest version that is spoken here, and the oldest. A giver says its newest, the holder answers with the older of the two
 * newest, and both keep to that.
 */
export const HANDOVER_PROTOCOL = 1;
const OLDEST_PROTOCOL = 1;

/** Shared addresses are at most 16 (`--listen`), a UDP and a TCP socket each, and the journal or the HTTP socket. */
export const DESCRIPTORS_MAX = 33;
const MESSAGE_BYTES_MAX = 16 * 1024;
const COUNT_MAX = 0x7fff_ffff;

export type HandoverMessage =
  | { readonly kind: 'hello'; readonly protocol: number; readonly role: Role; readonly layout: number; readonly workers?: number; readonly listen: readonly string[] }
  /**
   * `layout`: the newest journal that the holder can read. Descriptors: a UDP and a TCP socket per address, or none. Here and below the
   * addresses come several times over where the giver has the sockets of several workers of its predecessor.
   */
  | { readonly kind: 'welcome'; readonly protocol: number; readonly layout: number; readonly listen: readonly string[] }
  /** Descriptors: the journal, then a UDP and a TCP socket per address. */
  | { readonly kind: 'share'; readonly listen: readonly string[] }
  /** Descriptor: a client's connection, the giver's record of it by number and generation. */
  | { readonly kind: 'connection'; readonly index: number; readonly generation: number }
  /** Descriptors: a UDP and a TCP socket per address, then the HTTP socket if there is one. */
  | { readonly kind: 'legacy'; readonly listen: readonly string[] }
  | { readonly kind: 'taken' }
  | { readonly kind: 'reading' }
  | { readonly kind: 'drain' }
  | { readonly kind: 'adopted' }
  | { readonly kind: 'busy' };

export interface Received {
  readonly message: HandoverMessage;
  /** Ours from now on. */
  readonly fds: readonly number[];
}

/** Of the member's worker with that number. */
export function handoverSocketPath(runDir: string, role: Role, worker = 0): string {
  return join(runDir, worker === 0 ? `${role}-handover.sock` : `${role}-handover-${worker}.sock`);
}

/** How many workers the member has that says hello; members without the word have one. */
export function workersOf({ workers = 1 }: { readonly workers?: number }): number {
  return workers;
}

/** False when the other side is gone or so far behind that it is as good as gone. */
export function sendHandover(fd: number, message: HandoverMessage, fds: readonly number[] = []): boolean {
  return sendWithFds(fd, new TextEncoder().encode(JSON.stringify(message)), fds) > 0;
}

/** The next message, 'none' for now, or 'end'. @throws AppError LINK for what is no message or lost its descriptors. */
export function receiveHandover(fd: number): Received | 'none' | 'end' {
  const raw = receiveWithFds(fd, MESSAGE_BYTES_MAX, DESCRIPTORS_MAX);
  if (raw === null) return 'none';
  if (raw.end) return 'end';
  try {
    if (raw.fdsLost) {
      throw new AppError('LINK', 'a security module or the limit of open files took descriptors from the handover; see seLinuxOptions and ulimit -n');
    }
    if (raw.truncated) throw new AppError('LINK', 'a handover message is too long');
    return { message: parse(new TextDecoder().decode(raw.data)), fds: raw.fds };
  } catch (error) {
    for (const each of raw.fds) closeFd(each);
    throw error;
  }
}

function parse(text: string): HandoverMessage {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new AppError('LINK', 'a handover message is no JSON', { cause: error });
  }
  if (typeof value !== 'object' || value === null) throw new AppError('LINK', 'a handover message is no object');
  const { kind, protocol, role, layout, workers, listen, index, generation } = value as Readonly<Record<string, unknown>>;
  switch (kind) {
    case 'taken':
    case 'reading':
    case 'drain':
    case 'adopted':
    case 'busy':
      return { kind };
    case 'connection':
      if (!isCount(index) || !isCount(generation)) throw new AppError('LINK', 'a connection without number or generation');
      return { kind, index, generation };
    case 'welcome':
      if (!isCount(layout)) throw new AppError('LINK', 'a welcome without layout version');
      if (!isCount(protocol) || protocol < OLDEST_PROTOCOL || protocol > HANDOVER_PROTOCOL) throw new AppError('LINK', `handover protocol ${String(protocol)} is not spoken here`);
      return { kind, protocol, layout, listen: addresses(listen) };
    case 'share':
    case 'legacy':
      return { kind, listen: addresses(listen) };
    case 'hello':
      if (!isCount(protocol) || protocol < OLDEST_PROTOCOL) throw new AppError('LINK', `handover protocol ${String(protocol)} is older than ${OLDEST_PROTOCOL}`);
      if (role !== 'agent' && role !== 'dns-proxy') throw new AppError('LINK', `no role: ${String(role)}`);
      if (!isCount(layout)) throw new AppError('LINK', 'a hello without layout version');
      if (workers !== undefined && !isCount(workers)) throw new AppError('LINK', 'a hello with no number of workers');
      return { kind, protocol, role, layout, ...(workers === undefined ? {} : { workers }), listen: addresses(listen) };
    default:
      throw new AppError('LINK', `no handover message: ${String(kind).slice(0, 40)}`);
  }
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= COUNT_MAX;
}

function addresses(value: unknown): string[] {
  const fits = Array.isArray(value) && value.length <= (DESCRIPTORS_MAX - 1) / 2;
  if (!fits || !value.every((text) => typeof text === 'string' && parseSocketAddress(text) !== null)) {
    throw new AppError('LINK', 'a handover message without addresses');
  }
  return value as string[];
}
