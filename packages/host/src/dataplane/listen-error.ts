/** Why a `--listen` address is not to be had, in words that an operator can act on. */
import { formatSocketAddress, type SocketAddress } from '@tandem/core';

const REMEDIES: Readonly<Record<string, (at: string) => string>> = {
  // Sockets of one address are shared within one user only.
  EADDRINUSE: (at) => `another program holds ${at}: find it with \`ss -lntup\` (a member of another user is one, too), or choose another --listen`,
  EADDRNOTAVAIL: () => 'this host has no such address; assign it to an interface, or choose another --listen',
  EACCES: () => 'no permission for this port; choose one of 1024 or more, or grant CAP_NET_BIND_SERVICE',
};

/** The system's error with a message that names the address and the remedy; its `code` stays. */
export function listenError(address: SocketAddress, error: unknown): Error {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const at = formatSocketAddress(address);
  const why = REMEDIES[code]?.(at) ?? (error instanceof Error ? error.message : String(error));
  return Object.assign(new Error(`--listen ${at}: ${why}`, { cause: error }), { code });
}
