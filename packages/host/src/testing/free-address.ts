/** Ports for tests that must name one before it is bound. */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, isIPv6 } from 'node:net';
import type { SocketAddress } from '@tandem/core';

const TRIES = 20;
/** Below the range that the kernel chooses from (ip_local_port_range). */
const FIRST_PORT = 10_240;
const PORTS = 10_000;

/**
 * A port of the address that is free for UDP and TCP, and that the kernel gives to nobody who asks for any: clients and
 * the data plane itself open many of those.
 */
export async function freeAddress(address = '127.0.0.1'): Promise<SocketAddress> {
  const family = isIPv6(address) ? 6 : 4;
  for (let i = 1; ; i++) {
    const port = FIRST_PORT + randomInt(PORTS);
    const udp = createSocket({ type: family === 6 ? 'udp6' : 'udp4', ipv6Only: family === 6 });
    const tcp = createServer();
    try {
      udp.bind(port, address);
      await once(udp, 'listening');
      tcp.listen({ port, host: address, ipv6Only: family === 6 });
      await once(tcp, 'listening');
      tcp.close();
      await once(tcp, 'close');
      return { address, family, port };
    } catch (error) {
      if (i === TRIES) throw error;
    } finally {
      udp.close();
    }
  }
}
