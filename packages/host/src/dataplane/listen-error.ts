/** Why a `--listen` address is not to be had, in words that an operator can act on. */
import { formatSocketAddress, type SocketAddress } from '@tandem/core';

/** What transparent mode listens on unless --listen says otherwise. */
const OF_FAMILY = { 4: '127.0.0.153:53', 6: '[fd53::1]:53' } as const;

const REMEDIES: Readonly<Record<string, (address: SocketAddress) => string>> = {
  // Sockets of one address are shared within one user only.
  EADDRINUSE: (address) => `another program holds ${formatSocketAddress(address)}: find it with \`ss -lntup\` (a member of another user is one, too), or choose another --listen`,
  EADDRNOTAVAIL: ({ family }) => `this host has no such address${family === 6 ? ' (or IPv6 is switched off: net.ipv6.conf.all.disable_ipv6)' : ''}; assign it to an interface, or choose another --listen`,
  EACCES: () => 'no permission for this port; choose one of 1024 or more, or grant CAP_NET_BIND_SERVICE',
  EAFNOSUPPORT: ({ family }) => {
    const other = family === 6 ? 4 : 6;
    return `this host has no IPv${family}: give addresses of IPv${other} alone, such as --listen ${OF_FAMILY[other]} (in the configuration file: listen: "${OF_FAMILY[other]}")`;
  },
};

/** The system's error with a message that names the address and the remedy; its `code` stays. */
export function listenError(address: SocketAddress, error: unknown): Error {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const why = REMEDIES[code]?.(address) ?? (error instanceof Error ? error.message : String(error));
  return Object.assign(new Error(`--listen ${formatSocketAddress(address)}: ${why}`, { cause: error }), { code });
}
