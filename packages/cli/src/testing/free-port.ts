import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

const TRIES = 20;
/** Below the range that the kernel chooses from (ip_local_port_range). */
const FIRST_PORT = 20_240;
const PORTS = 10_000;

/** A port of 127.0.0.1 that nobody listens at, and that the kernel gives to nobody who asks for any. */
export async function freePort(): Promise<number> {
  for (let i = 1; ; i++) {
    const port = FIRST_PORT + randomInt(PORTS);
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
      server.close();
      await once(server, 'close');
      return port;
    } catch (error) {
      if (i === TRIES) throw error;
    }
  }
}
