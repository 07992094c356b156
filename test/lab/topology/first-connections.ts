/**
 * `first-connections.js SERVER 4|6 COUNT`: looks up each of the names that nobody has asked for and connects at once to what it gets, once. Prints
 * one JSON object. Run in a pod.
 */
import { Resolver } from 'node:dns/promises';
import { connect } from 'node:net';
import { freshName, WEB_PORT } from './plan.js';

export interface FirstConnections {
  readonly connected: number;
  readonly failures: readonly string[];
  readonly slowestLookUpMs: number;
}

const AT_ONCE = 8;
const CONNECT_DEADLINE_MS = 5_000;

function connection(address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port: WEB_PORT, timeout: CONNECT_DEADLINE_MS });
    socket.on('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.on('timeout', () => socket.destroy(new Error('no answer')));
    socket.on('error', reject);
  });
}

const [server, family, count] = process.argv.slice(2);
const resolver = new Resolver();
resolver.setServers([server]);
let next = 0;
let connected = 0;
let slowestLookUpMs = 0;
const failures: string[] = [];
await Promise.all(Array.from({ length: AT_ONCE }, async () => {
  for (let index = next++; index < Number(count); index = next++) {
    const { name } = freshName(index);
    try {
      const started = performance.now();
      const [address] = family === '6' ? await resolver.resolve6(name) : await resolver.resolve4(name);
      slowestLookUpMs = Math.max(slowestLookUpMs, performance.now() - started);
      await connection(address);
      connected++;
    } catch (error) {
      failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}));
process.stdout.write(`${JSON.stringify({ connected, failures: failures.slice(0, 10), slowestLookUpMs: Math.round(slowestLookUpMs) } satisfies FirstConnections)}\n`);
