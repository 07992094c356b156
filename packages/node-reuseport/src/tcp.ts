/**
 * Calls on stream sockets, non-blocking, for use on hot paths: a refusal is a value (−errno), never an exception.
 * Knows nothing of message framing.
 */
import { binding } from './binding.js';
import { checkFd, systemError } from './errors.js';

/** What the calls here return, negative, when there is nothing to do at the moment. */
export const EAGAIN = 11;

/** A new connection: its descriptor (non-blocking, close-on-exec, TCP_NODELAY) or −errno; −11 (EAGAIN): none waits. */
export function acceptConnection(listenerFd: number): number {
  return binding.acceptConnection(listenerFd);
}

/**
 * Index of the interface through which the connection came in; 0 if unknown.
 * The listener needs `packetInfo` before the connection arrives.
 */
export function connectionInterface(fd: number): number {
  return binding.connectionInterface(fd);
}

/**
 * Reads at most `length` bytes into `target` at `offset`. With `peek` they stay unread, and a second holder of the
 * connection sees them again. Returns bytes; 0 at the end of the stream; −errno (−14, EFAULT: not inside `target`).
 */
export function receiveInto(fd: number, target: Uint8Array, offset: number, length: number, peek: boolean): number {
  return binding.receiveInto(fd, target, offset, length, peek);
}

/** Consumes `length` bytes of a TCP stream without copying them: after an answer to a peeked request. Bytes or −errno. */
export function discard(fd: number, length: number): number {
  return binding.discard(fd, length);
}

/** Sends from `source`; never raises SIGPIPE. Bytes taken by the kernel (perhaps fewer than asked) or −errno. */
export function sendFrom(fd: number, source: Uint8Array, offset: number, length: number): number {
  return binding.sendFrom(fd, source, offset, length);
}

/** The socket is readable from so many bytes on (SO_RCVLOWAT), or at its end. 0 or −errno. */
export function setReceiveLowWater(fd: number, bytes: number): number {
  return binding.setReceiveLowWater(fd, bytes);
}

/** Resets a TCP connection, also for those who hold a duplicate of it. 0 or −errno. */
export function resetConnection(fd: number): number {
  return binding.resetConnection(fd);
}

export interface TcpProgress {
  /** The other side has ended its half, or the connection is closed. */
  readonly isHalfClosed: boolean;
  /** tcpi_bytes_received less the FIN that it counts: payload bytes that came in order. */
  readonly received: number;
  /** SIOCINQ: of them, those that nobody has read. `received - unread` is what was consumed, by whichever process. */
  readonly unread: number;
  /** tcpi_bytes_acked (RFC 4898): bytes that the other side has acknowledged. */
  readonly bytesAcked: number;
  /** SIOCOUTQ: bytes written and not acknowledged yet. */
  readonly unsent: number;
}

/**
 * `bytesAcked + unsent` is what has been written to an accepted connection, by whichever process. All four are of one instant; throws
 * EBUSY where the client leaves none.
 */
export function tcpProgress(fd: number): TcpProgress {
  checkFd('fd', fd);
  const result = binding.tcpProgress(fd);
  if (typeof result === 'number') throw systemError(-result, 'getsockopt', 'TCP_INFO');
  return result;
}
