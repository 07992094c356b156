/** Why the TCP port of a setting is not to be had, in words that an operator can act on. */
import { formatSocketAddress, type SocketAddress } from '@tandem/core';

/** `flag`: the setting's, with its dashes. `code`: the system's. */
export function portRefusal(flag: string, at: SocketAddress, code: string): string {
  const where = `${flag} ${formatSocketAddress(at)}`;
  switch (code) {
    case 'EADDRINUSE':
      return `${where}: the port is taken; stop what listens there or choose another with ${flag}`;
    case 'EACCES':
      return `${where}: no permission for this port; choose one of 1024 or more, or grant CAP_NET_BIND_SERVICE`;
    case 'EADDRNOTAVAIL':
      return `${where}: this host has no such address`;
    default:
      return `${where}: ${code}`;
  }
}
