/**
 * `node relay.js SOCKET ADDRESS PORT`: hands connections to a Unix socket on to an address. Run in another network namespace it makes a server
 * there reachable from here. Prints `ready`.
 */
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream';

const [path, address, port] = process.argv.slice(2);

createServer({ allowHalfOpen: true }, (client: Socket) => {
  const server = connect({ host: address, port: Number(port), allowHalfOpen: true });
  // Whichever side fails takes the other along.
  for (const [from, to] of [[client, server], [server, client]] as const) pipeline(from, to, (error) => { if (error) to.destroy(); });
}).listen(path, () => {
  process.stdout.write('ready\n');
});
