/**
 * Errors of this package: what the kernel refused, with the errno's name, the call, and what to do about it.
 * Knows nothing of any one call's arguments.
 */
import { constants } from 'node:os';

/** `code` is the errno's name (EADDRINUSE …), `errno` its number, `syscall` the refused call. */
export interface SystemError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
}

/** By the errno's name, or by call and name where the call gives it a meaning of its own. */
const remedies: Readonly<Record<string, string>> = {
  EADDRINUSE:
    'another socket holds the address; to share it every socket needs reusePort before its bind, and the same effective user',
  EACCES: 'a port below net.ipv4.ip_unprivileged_port_start needs CAP_NET_BIND_SERVICE; a path needs its permissions',
  'setsockopt EPERM': 'transparent and mark need CAP_NET_ADMIN (or CAP_NET_RAW); run with that capability or leave the option out',
  'socket EPERM': 'a raw socket needs CAP_NET_RAW, a group of netlink CAP_NET_ADMIN',
  EADDRNOTAVAIL: 'no interface of this host has the address: assign it, or choose another',
  'connect EADDRNOTAVAIL':
    'this host has no address to send from, or every local port towards there is taken (net.ipv4.ip_local_port_range)',
  EAFNOSUPPORT: 'the address family is off in this kernel or does not fit the socket',
  ENOPROTOOPT: 'this kernel is too old for the option; leave it out or use a newer kernel',
  EMFILE: 'too many open files in this process: raise its limit (ulimit -n)',
  ENFILE: 'too many open files on this host: raise fs.file-max',
  ENOBUFS: 'the kernel is out of memory for sockets',
  ENOMEM: 'not enough memory',
  ENOENT: 'nothing is there under that name',
  EEXIST: 'it is there already',
  ECONNREFUSED: 'nobody listens there',
  ENAMETOOLONG: 'a Unix socket path has at most 107 bytes',
  EBADF: 'the file descriptor or object is not open',
  EBUSY: 'it is in use: finish or close the user first',
};

const names = new Map(Object.entries(constants.errno).map(([name, errno]) => [errno, name]));
// Two names for one number: the usual one.
names.set(constants.errno.EAGAIN, 'EAGAIN');

/** Makes the error of a refused call. `errno` is positive; `detail` says what was asked for. */
export function systemError(errno: number, syscall: string, detail: string): SystemError {
  const code = names.get(errno) ?? `E${String(errno)}`;
  const remedy = remedies[`${syscall} ${code}`] ?? remedies[code];
  const error = new Error(`${syscall} ${code}: ${detail}${remedy === undefined ? '' : ` (${remedy})`}`);
  return Object.assign(error, { code, errno, syscall });
}

/** Passes a result that is not negative on, throws for −errno. */
export function check(result: number, syscall: string, detail: string): number {
  if (result < 0) throw systemError(-result, syscall, detail);
  return result;
}

/** An argument that no kernel needs to see to be wrong. `code` is ERR_INVALID_ARG_VALUE. */
export function argumentError(name: string, value: unknown, expected: string): RangeError {
  const error = new RangeError(`${name} must be ${expected}, not ${String(value)}`);
  return Object.assign(error, { code: 'ERR_INVALID_ARG_VALUE' });
}

export function checkInteger(name: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw argumentError(name, value, `a whole number from ${String(min)} to ${String(max)}`);
  }
}

const fdMax = 0x7fffffff;

export function checkFd(name: string, fd: number): void {
  checkInteger(name, fd, 0, fdMax);
}
