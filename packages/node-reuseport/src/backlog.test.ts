/** Since when a datagram waits: asked of the kernel only behind a full batch. */
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { closeFd, connectSocket, Control, localAddress, Meta } from './index.js';
import { client, sendId, Side, udp } from './testing/harness.js';

const BATCH = 4;
const WAIT_MS = 60;
const TRIES_MAX = 100;
/** Of less than the default receive buffer holds. */
const ANSWERS = 100;

t.test('what waits in a socket behind a full batch says since when, and what comes to an empty one came now', async (t) => {
  const b = new Side(32, BATCH);
  const listener = udp(4);
  const asker = client(listener);
  b.reactor.addListener(listener, 0);
  /** What the reactor finds now, by how long it has waited. */
  const queuedMs = (): number[] => {
    const slots = b.receive(0);
    const nowMs = b.reactor.control[Control.NOW_MS];
    const queued = slots.map((slot) => nowMs - new Float64Array(b.journal.buffer, (b.meta(slot) + Meta.RECEIVED_AT_MS) * 4, 1)[0]);
    for (const slot of slots) b.reactor.freeSlot(slot);
    return queued;
  };
  const send = (count: number): void => {
    for (let id = 0; id < count; id++) sendId(asker, id);
  };
  // The kernel begins to keep time stamps a while after it is asked for the first.
  let isStamped = false;
  for (let tries = 0; tries < TRIES_MAX && !isStamped; tries++) {
    send(2 * BATCH + 1);
    t.same(queuedMs(), [0, 0, 0, 0], 'until now there was no backlog');
    await pause(WAIT_MS);
    const queued = queuedMs();
    t.equal(queued.length, BATCH);
    isStamped = queued.every((ms) => ms >= WAIT_MS);
    if (isStamped) t.ok(b.reactor.queuedMs(0) >= WAIT_MS);
    t.same(queuedMs(), [0], 'behind it there is nothing');
    t.equal(b.reactor.queuedMs(0), 0);
  }
  t.ok(isStamped);
  send(BATCH);
  queuedMs();
  b.reactor.step(0, 0);
  await pause(WAIT_MS);
  send(BATCH);
  t.same(queuedMs(), [0, 0, 0, 0], 'a batch that was just full, and nothing behind it, is no backlog');
  b.close();
  for (const fd of [listener, asker]) closeFd(fd);
});

t.test('while answers are piled up, fewer queries are received', (t) => {
  const batch = 2;
  const b = new Side(512, batch);
  const listener = udp(4);
  const asker = client(listener);
  const upstream = udp(4);
  const server = client(upstream);
  connectSocket(upstream, localAddress(server).address, localAddress(server).port);
  b.reactor.addListener(listener, 0);
  b.reactor.addUpstream(upstream, 0);
  for (let id = 0; id < ANSWERS; id++) {
    sendId(asker, id);
    sendId(server, id);
  }
  const received: number[] = [];
  while (b.reactor.step(0, 0) > 0 && b.count(Control.ANSWERS) > 0) {
    received.push(b.count(Control.RECEIVED));
    for (const slot of b.reactor.received.subarray(0, b.count(Control.RECEIVED))) b.reactor.freeSlot(slot);
  }
  t.equal(received.length, ANSWERS / batch, 'answers come in full batches');
  t.same([received[0], received.at(-1)], [batch, batch / 2]);
  t.equal(b.count(Control.RECEIVED), batch, 'and as many as ever when none is left');
  b.close();
  for (const fd of [listener, asker, upstream, server]) closeFd(fd);
  t.end();
});
