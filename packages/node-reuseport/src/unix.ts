/**
 * Unix sockets: file descriptors from process to process, and who is at the other end.
 * Default type is `seqpacket`: a message arrives whole, with its descriptors, or not at all.
 */
import { binding } from './binding.js';
import { argumentError, check, checkFd, checkInteger, systemError } from './errors.js';

export type UnixType = 'seqpacket' | 'stream';

function isStream(type: UnixType): boolean {
  if (!['seqpacket', 'stream'].includes(type)) throw argumentError('type', type, "'seqpacket' or 'stream'");
  return type === 'stream';
}

/** Binds and listens; the path has `mode` from its first moment. EADDRINUSE: the path exists (perhaps a dead socket's). */
export function listenUnix(path: string, mode: number, type: UnixType = 'seqpacket'): number {
  checkInteger('mode', mode, 0, 0o777);
  return check(binding.listenUnix(path, mode, isStream(type)), 'listen', path);
}

/** Connects at once or throws (ECONNREFUSED, ENOENT, EAGAIN when the listener's backlog is full). */
export function connectUnix(path: string, type: UnixType = 'seqpacket'): number {
  return check(binding.connectUnix(path, isStream(type)), 'connect', path);
}

/** Two connected sockets. */
export function unixSocketPair(type: UnixType = 'seqpacket'): [number, number] {
  const result = binding.unixSocketPair(isStream(type));
  if (typeof result === 'number') throw systemError(-result, 'socketpair', type);
  return result;
}

/** Most descriptors in one message (the kernel's SCM_MAX_FD). */
export const fdsPerMessageMax = 253;
export const messageBytesMax = 1 << 20;

/**
 * Sends `data` (at least one byte) and duplicates of `fds`. Returns bytes sent or −errno: −11 (EAGAIN) when the other
 * side's queue is full, −32 (EPIPE) when it is gone. A `stream` may take fewer bytes; the descriptors went with the first.
 */
export function sendWithFds(fd: number, data: Uint8Array, fds: readonly number[]): number {
  checkFd('fd', fd);
  checkInteger('data.length', data.length, 1, messageBytesMax);
  checkInteger('fds.length', fds.length, 0, fdsPerMessageMax);
  for (const each of fds) checkFd('fds', each);
  return binding.sendWithFds(fd, data, fds);
}

export interface Message {
  readonly data: Uint8Array;
  /** Close-on-exec; the caller owns them. */
  readonly fds: readonly number[];
  /** Bytes or descriptors were cut off. */
  readonly truncated: boolean;
  /** Descriptors were dropped: more than `maxFds`, too many open files, or a security module forbade them. */
  readonly fdsLost: boolean;
  /** The other side has closed, and everything it had sent has been read; `data` is empty. */
  readonly end: boolean;
}

/** The next message, or null when none waits. Throws for other errors. Hides the ECONNRESET of a peer that died. */
export function receiveWithFds(fd: number, maxBytes: number, maxFds: number): Message | null {
  checkFd('fd', fd);
  checkInteger('maxBytes', maxBytes, 1, messageBytesMax);
  checkInteger('maxFds', maxFds, 0, fdsPerMessageMax);
  const result = binding.receiveWithFds(fd, maxBytes, maxFds);
  if (typeof result === 'number') throw systemError(-result, 'recvmsg', `descriptor ${String(fd)}`);
  return result;
}

export interface Credentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Who connected or listened, as the kernel recorded it then (SO_PEERCRED). */
export function peerCredentials(fd: number): Credentials {
  checkFd('fd', fd);
  const result = binding.peerCredentials(fd);
  if (typeof result === 'number') throw systemError(-result, 'getsockopt', 'SO_PEERCRED');
  return result;
}
