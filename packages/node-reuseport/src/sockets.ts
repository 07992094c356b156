/**
 * Sockets as plain file descriptors. Nothing here closes one by itself: a descriptor lives until `closeFd`, or until
 * the process and every other holder of a duplicate are gone.
 * Knows nothing of journals and reactors.
 */
import { isIP } from 'node:net';
import { constants } from 'node:os';
import { binding, type RawAddress } from './binding.js';
import { argumentError, check, checkFd, checkInteger, systemError } from './errors.js';

export interface SocketOptions {
  readonly type: 'udp' | 'tcp';
  readonly family: 4 | 6;
  /** SO_REUSEPORT: several sockets share one address; the kernel spreads flows over them. */
  readonly reusePort?: boolean;
  /** SO_REUSEADDR. */
  readonly reuseAddress?: boolean;
  /** IP_TRANSPARENT / IPV6_TRANSPARENT: bind and answer from addresses that are not assigned. Needs CAP_NET_ADMIN. */
  readonly transparent?: boolean;
  /** IP_PKTINFO / IPV6_RECVPKTINFO: destination address and ingress interface of each datagram or connection. */
  readonly packetInfo?: boolean;
  /** IP_RECVORIGDSTADDR / IPV6_RECVORIGDSTADDR: destination before a TPROXY redirect. */
  readonly originalDestination?: boolean;
  /** SO_RCVMARK: the mark that the firewall put on each datagram (kernel 5.19). */
  readonly receiveMark?: boolean;
  /** SO_MARK for what is sent; 32 bits. Needs CAP_NET_ADMIN. */
  readonly mark?: number;
  /** SO_RCVBUFFORCE, or SO_RCVBUF (capped by net.core.rmem_max) without the privilege. */
  readonly receiveBufferBytes?: number;
  readonly sendBufferBytes?: number;
  /** IPV6_V6ONLY, family 6 only. Default true. */
  readonly v6Only?: boolean;
}

export interface SocketAddress {
  /** Textual, without brackets or zone. */
  readonly address: string;
  readonly port: number;
  readonly family: 4 | 6;
}

const bufferBytesMin = 1024;
const bufferBytesMax = 1 << 30;
const waitMsMax = 60_000;

function flag(name: string, value: unknown): number {
  if (typeof value !== 'boolean') throw argumentError(name, value, 'true or false');
  return value ? 1 : 0;
}

function optionList(o: SocketOptions): [string, number][] {
  const list: [string, number][] = [];
  const add = (name: string, value: boolean | undefined): void => {
    if (value !== undefined) list.push([name, flag(name, value)]);
  };
  add('v6Only', o.family === 6 ? (o.v6Only ?? true) : undefined);
  add('reusePort', o.reusePort);
  add('reuseAddress', o.reuseAddress);
  add('transparent', o.transparent);
  add('packetInfo', o.packetInfo);
  add('originalDestination', o.originalDestination);
  add('receiveMark', o.receiveMark);
  if (o.mark !== undefined) {
    checkInteger('mark', o.mark, 0, 0xffffffff);
    list.push(['mark', o.mark | 0]);
  }
  for (const name of ['receiveBufferBytes', 'sendBufferBytes'] as const) {
    const value = o[name];
    if (value === undefined) continue;
    checkInteger(name, value, bufferBytesMin, bufferBytesMax);
    list.push([name, value]);
  }
  return list;
}

/** A new socket, non-blocking and close-on-exec, its options set, not bound. Returns the file descriptor. */
export function openSocket(o: SocketOptions): number {
  if (!['udp', 'tcp'].includes(o.type)) throw argumentError('type', o.type, "'udp' or 'tcp'");
  if (![4, 6].includes(o.family)) throw argumentError('family', o.family, '4 or 6');
  if (o.v6Only !== undefined && o.family === 4) throw argumentError('v6Only', o.v6Only, 'left out for family 4');
  const options = optionList(o);
  const fd = check(binding.openSocket(o.type === 'tcp' ? 1 : 0, o.family), 'socket', `${o.type} over IPv${String(o.family)}`);
  for (const [name, value] of options) {
    const result = binding.setOption(fd, o.family, name, value);
    if (result < 0) {
      binding.closeFd(fd);
      throw systemError(-result, 'setsockopt', `option ${name} = ${String(value)}`);
    }
  }
  return fd;
}

/** SO_RCVBUFFORCE, or SO_RCVBUF (capped by net.core.rmem_max) without the privilege. What waits in the socket stays, though it be more. */
export function setReceiveBuffer(fd: number, bytes: number): void {
  checkFd('fd', fd);
  checkInteger('bytes', bytes, bufferBytesMin, bufferBytesMax);
  check(binding.setOption(fd, 4, 'receiveBufferBytes', bytes), 'setsockopt', `option receiveBufferBytes = ${String(bytes)}`);
}

function checkAddress(address: string, port: number): string {
  if (isIP(address) === 0) throw argumentError('address', address, 'an IPv4 or IPv6 address');
  checkInteger('port', port, 0, 65535);
  return `${isIP(address) === 6 ? `[${address}]` : address}:${String(port)}`;
}

export function bindSocket(fd: number, address: string, port: number): void {
  checkFd('fd', fd);
  const where = checkAddress(address, port);
  check(binding.bindSocket(fd, address, port), 'bind', where);
}

export function listenSocket(fd: number, backlog: number): void {
  checkFd('fd', fd);
  checkInteger('backlog', backlog, 1, 65535);
  check(binding.listenSocket(fd, backlog), 'listen', `backlog ${String(backlog)}`);
}

/** Fixes the remote address: of a UDP socket at once; a TCP one is then under way (`connectTcp` opens and connects). */
export function connectSocket(fd: number, address: string, port: number): void {
  checkFd('fd', fd);
  const where = checkAddress(address, port);
  const result = binding.connectSocket(fd, address, port);
  if (result < 0) {
    const error = systemError(-result, 'connect', where);
    if (error.code !== 'EINPROGRESS') throw error;
  }
}

function addressOr(result: RawAddress | number, syscall: string, fd: number): SocketAddress {
  if (typeof result === 'number') throw systemError(-result, syscall, `descriptor ${String(fd)}`);
  return result;
}

export function localAddress(fd: number): SocketAddress {
  checkFd('fd', fd);
  return addressOr(binding.localAddress(fd), 'getsockname', fd);
}

/** Null for a socket that is not connected (or no longer). */
export function remoteAddress(fd: number): SocketAddress | null {
  checkFd('fd', fd);
  const result = binding.remoteAddress(fd);
  if (typeof result !== 'number') return result;
  const error = systemError(-result, 'getpeername', `descriptor ${String(fd)}`);
  if (error.code === 'ENOTCONN') return null;
  throw error;
}

export interface ConnectOptions {
  readonly address: string;
  readonly port: number;
  readonly mark?: number;
  readonly localAddress?: string;
  /** `localAddress` need not be assigned to this host (IP_TRANSPARENT). */
  readonly transparent?: boolean;
}

/** A non-blocking TCP connection under way: writable when done, then `socketError` says 0 or why not. */
export function connectTcp(o: ConnectOptions): number {
  checkAddress(o.address, o.port);
  const family = isIP(o.address) === 6 ? 6 : 4;
  const fd = openSocket({
    type: 'tcp', family, ...(o.mark === undefined ? {} : { mark: o.mark }), ...(o.transparent === undefined ? {} : { transparent: o.transparent }),
  });
  try {
    if (o.localAddress !== undefined) bindSocket(fd, o.localAddress, 0);
    connectSocket(fd, o.address, o.port);
  } catch (error) {
    binding.closeFd(fd);
    throw error;
  }
  return fd;
}

/** Throws EBADF for a descriptor that is not open: closing twice is a mistake that hits somebody else's. */
export function closeFd(fd: number): void {
  checkFd('fd', fd);
  check(binding.closeFd(fd), 'close', `descriptor ${String(fd)}`);
}

/** Whether the stream socket listens (SO_ACCEPTCONN). One that does not, bound or not, reports a hang-up to whoever polls it. */
export function isListening(fd: number): boolean {
  checkFd('fd', fd);
  return check(binding.isListening(fd), 'getsockopt', `descriptor ${String(fd)}`) === 1;
}

/**
 * Whether a pipe, socket or terminal takes bytes (POLLOUT), or an attempt would fail at once; files always do. A pipe takes PIPE_BUF (4096) of
 * them, a terminal perhaps one. Waits for that `timeoutMs` at most, 0 to 60,000, and less where a signal comes.
 */
export function awaitWritable(fd: number, timeoutMs: number): boolean {
  checkFd('fd', fd);
  checkInteger('timeoutMs', timeoutMs, 0, waitMsMax);
  const ready = binding.awaitWritable(fd, timeoutMs);
  return ready !== -constants.errno.EINTR && check(ready, 'poll', `descriptor ${String(fd)}`) > 0;
}

const shutdownCodes = { read: 0, write: 1, both: 2 } as const;

/** Ends the connection for every holder of the descriptor; one that is not connected any more is no error. */
export function shutdownFd(fd: number, how: 'read' | 'write' | 'both'): void {
  checkFd('fd', fd);
  if (!Object.hasOwn(shutdownCodes, how)) throw argumentError('how', how, "'read', 'write' or 'both'");
  const result = binding.shutdownFd(fd, shutdownCodes[how]);
  if (result < 0) {
    const error = systemError(-result, 'shutdown', `descriptor ${String(fd)}`);
    if (error.code !== 'ENOTCONN') throw error;
  }
}

/** SO_ERROR: 0 or a positive errno; reading clears it. */
export function socketError(fd: number): number {
  checkFd('fd', fd);
  return check(binding.socketError(fd), 'getsockopt', 'SO_ERROR');
}
