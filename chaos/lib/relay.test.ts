import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { until } from '#harness/until.js';
import { LinkRelay } from './relay.js';

const DEADLINE_MS = 5_000;

/** A server that keeps what it is sent, with a relay in its place. */
async function relayed(t: Test) {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-relay-'));
  const path = join(folder, 'pair.sock');
  const state = { received: '' };
  const server = createServer((socket) => {
    socket.setEncoding('latin1').on('data', (text: string) => {
      state.received += text;
    });
    socket.on('error', () => undefined); // cut by the test
  }).listen(path);
  await once(server, 'listening');
  const relay = await LinkRelay.interpose(path);
  t.teardown(() => {
    relay.close();
    server.close();
    rmSync(folder, { recursive: true });
  });
  const open = async (): Promise<Socket> => {
    const socket = connect(path);
    socket.on('error', () => undefined); // cut by the test
    await once(socket, 'connect');
    return socket;
  };
  return { relay, state, open };
}

t.test('bytes pass until the link is cut, and again when it is healed', async (t) => {
  const { relay, state, open } = await relayed(t);
  const first = await open();
  first.write('one ');
  await until('the first', DEADLINE_MS, () => (state.received === 'one ' ? true : null));
  t.equal(relay.connections, 1);
  const closed = once(first, 'close');
  relay.cut();
  await closed;
  const refused = await open();
  await once(refused, 'close');
  relay.heal();
  (await open()).write('two');
  await until('the second', DEADLINE_MS, () => (state.received === 'one two' ? true : null));
});

t.test('a message is held in its middle until it is released', async (t) => {
  const { relay, state, open } = await relayed(t);
  const half = relay.half();
  const caller = await open();
  caller.write('abcd');
  await half;
  caller.write('efgh');
  await until('the first half', DEADLINE_MS, () => (state.received === 'ab' ? true : null));
  relay.release();
  await until('all of it', DEADLINE_MS, () => (state.received === 'abcdefgh' ? true : null));
});
