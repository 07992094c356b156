/** `tandem up` with the true daemons and one of them killed: what clients and the operator see. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t from 'tap';
import type { Role } from '@tandem/core';
import { decodeMessage, encodeMessage } from '@tandem/dns/codec';
import { apiSocketPath } from '@tandem/host';
import { isReady } from '../client.js';
import { runCli } from '../program.js';
import { FakeIo } from '../testing/fake-io.js';
import { freePort } from '../testing/free-port.js';

/** `examples/quickstart` lets it ask for the name. */
const CLIENT = '127.0.1.1';
const NAME = 'www.shop.example.';
const ANSWER_MS = 5_000;
const QUERIES_BEFORE = 20;

/** One query from a port of its own, asked once: null if nothing came. */
async function rcodeOf(port: number, id: number): Promise<number | null> {
  const socket = createSocket('udp4').bind(0, CLIENT);
  await once(socket, 'listening');
  socket.send(encodeMessage({ id, recursionDesired: true, questions: [{ name: NAME, type: 'A' }] }), port, '127.0.0.1');
  try {
    const [bytes] = await once(socket, 'message', { signal: AbortSignal.timeout(ANSWER_MS) }) as [Buffer];
    return decodeMessage(bytes)?.rcode ?? null;
  } catch {
    return null;
  } finally {
    socket.close();
  }
}

/** Whether the member holds all that it needs to answer for the other: before that the promise does not hold. */
async function isRedundant(runDir: string, role: Role): Promise<boolean> {
  const [answer] = await once(get({ socketPath: apiSocketPath(runDir, role), path: '/metrics', agent: false }), 'response') as [IncomingMessage];
  return /^tandem_redundant(?:\{[^}]*\})? 1$/m.test(await text(answer));
}

t.test('with the agent killed every query is answered, and the agent comes back', async (t) => {
  const runDir = mkdtempSync(join(tmpdir(), 'tandem-kill-'));
  t.teardown(() => { rmSync(runDir, { recursive: true }); });
  const port = await freePort();
  const output = { err: '' };
  let greeted: (agentPid: number) => void = () => undefined;
  let returned: () => void = () => undefined;
  const greeting = new Promise<number>((resolve) => { greeted = resolve; });
  const comeback = new Promise<void>((resolve) => { returned = resolve; });
  const io = new FakeIo({
    env: { PATH: process.env.PATH! },
    onOut: (piece) => {
      const pid = /Tandem is up: agent \(pid (\d+)\)/.exec(piece);
      if (pid !== null) greeted(Number(pid[1]));
    },
    onErr: (piece) => {
      output.err += piece;
      if (piece.startsWith('tandem: agent is started again')) returned();
    },
  });
  const done = runCli(['up', '--listen', `127.0.0.1:${port}`, '--http-listen', '127.0.0.1:0', '--run-dir', runDir], io);
  const agentPid = await Promise.race([greeting, done.then(() => null)]);
  if (agentPid === null) throw new Error(output.err);
  while (!(await isRedundant(runDir, 'agent')) || !(await isRedundant(runDir, 'dns-proxy')));
  const asked: Promise<number | null>[] = [];
  for (let id = 1; id <= QUERIES_BEFORE; id++) asked.push(rcodeOf(port, id));
  process.kill(agentPid, 'SIGKILL');
  let isBack = false;
  void comeback.then(() => { isBack = true; });
  for (let id = QUERIES_BEFORE + 1; !isBack || (await isReady(runDir, 'agent')) !== true; id++) asked.push(Promise.resolve(await rcodeOf(port, id)));
  const rcodes = await Promise.all(asked);
  t.equal(rcodes.filter((rcode) => rcode !== 0).length, 0, `of ${rcodes.length} queries`);
  t.match(output.err, 'tandem: agent was ended by SIGKILL; dns-proxy goes on, agent is started again in 1 s\n');
  t.equal(await rcodeOf(port, 1), 0);
  process.kill(process.pid, 'SIGTERM');
  await done;
  t.equal(io.code, 0, output.err);
});
