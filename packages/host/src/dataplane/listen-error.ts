/** Why a `--listen` address is not to be had, in words that an operator can act on. */
import { formatSocketAddress, type SocketAddress } from '@tandem/core';

const REMEDIES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is taken; stop what listens there (both members must run as one user), or choose another address or port with --listen',
  EADDRNOTAVAIL: 'this host has no such address; assign it to an interface, or choose another with --listen',
  EACCES: 'no permission for this port; choose one of 1024 or more, or grant CAP_NET_BIND_SERVICE',
};

/** The system's error with a message that names the address and the remedy; its `code` stays. */
export function listenError(address: SocketAddress, error: unknown): Error {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const why = REMEDIES[code] ?? (error instanceof Error ? error.message : String(error));
  return Object.assign(new Error(`--listen ${formatSocketAddress(address)}: ${why}`, { cause: error }), { code });
}
