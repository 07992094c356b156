import t from 'tap';
import { ownAddress } from '../harness/address.js';
import { generate, startNative } from '../harness/native.js';
import type { Load } from '../harness/native.js';

const RATE = 1_000;
const DELAY_MS = 50;

async function loadOn(delayMs: number, args: readonly string[]): Promise<Load> {
  const upstream = await startNative('upstream', ['--listen', `${ownAddress}:0`, '--delay-ms', String(delayMs)]);
  try {
    return await generate(['--server', `${ownAddress}:${String(upstream.port)}`, ...args]);
  } finally {
    await upstream.child.stop();
  }
}

t.test('at a rate latency counts from when a query was due, and what was not sent counts with its wait', async (t) => {
  // One query at a time, so most are due long before they can be sent.
  const load = await loadOn(DELAY_MS, ['--rate', String(RATE), '--seconds', '1', '--window', '1', '--clients', '1']);
  t.ok(load.sent <= 1_000 / DELAY_MS + 1, 'the server answers few');
  t.ok(Math.abs(load.sent + load.unsent - RATE) <= 1, `all that was due is counted: ${String(load.sent)} sent, ${String(load.unsent)} not`);
  t.ok(load.p50Us > 5 * DELAY_MS * 1_000, `half waited ${String(load.p50Us)} µs or longer`);
});

t.test('over TCP every answer is checked like over UDP', async (t) => {
  const load = await loadOn(0, ['--protocol', 'tcp', '--clients', '4', '--window', '16', '--count', '2000']);
  t.match(load, { sent: 2_000, answered: 2_000, lost: 0, wrong: 0, refused: 0, failed: 0, unexpected: 0, closed: 0 });
});

t.test('a name that must be refused and is answered is wrong', async (t) => {
  const load = await loadOn(0, ['--denied', 'denied.test', '--count', '1000', '--names', '500']);
  t.match(load, { answered: 1_000, denied: 0, lost: 0 });
  t.ok(load.wrong > 400 && load.wrong < 600, `half of the names: ${String(load.wrong)}`);
});
