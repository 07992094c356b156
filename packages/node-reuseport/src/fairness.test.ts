/** Who is read when more waits than a batch takes: no socket starves the others, nobody's answers are split in vain. */
import t from 'tap';
import { answerRowStride, closeFd, Control, Meta, sendFrom } from './index.js';
import { client, sendId, Side, udp } from './testing/harness.js';

const flood = 80;
const floodId = 7;

function sendFlood(fd: number): void {
  const bytes = new Uint8Array(Uint32Array.of(floodId).buffer);
  // What the socket's queue does not hold is dropped, as in a real flood.
  for (let i = 0; i < flood; i++) sendFrom(fd, bytes, 0, bytes.length);
}

/** Upstream index of each answer of the last step. */
function answeredBy(b: Side): number[] {
  return Array.from({ length: b.count(Control.ANSWERS) }, (_, i) => b.reactor.answers[i * answerRowStride + 2]);
}

function receiveAndFree(b: Side, timeoutMs = 1000): number[] {
  const slots = b.receive(timeoutMs);
  for (const slot of slots) b.reactor.freeSlot(slot);
  return slots.map((slot) => b.words[b.meta(slot) + Meta.LISTENER]);
}

for (const [batch, stepsMax] of [[64, 1], [4, 2]] as const) {
  t.test(`a flooded listener leaves its neighbour a turn (batch of ${String(batch)}, ${String(stepsMax)} steps)`, (t) => {
    const b = new Side(256, batch);
    const listeners = [udp(), udp()];
    const askers = listeners.map(client);
    listeners.forEach((fd, index) => {
      b.reactor.addListener(fd, index);
    });
    // The flooded one is first in epoll's list, and stays so.
    sendFlood(askers[0]);
    receiveAndFree(b);
    for (let round = 0; round < 5; round++) {
      sendId(askers[1], round);
      let seen = 0;
      for (let step = 0; step < stepsMax; step++) {
        sendFlood(askers[0]);
        const from = receiveAndFree(b);
        t.equal(from.length, batch, 'the batch is full');
        seen += from.filter((listener) => listener === 1).length;
      }
      t.equal(seen, 1);
    }
    b.close();
    for (const fd of [...listeners, ...askers]) closeFd(fd);
    t.end();
  });
}

t.test('one flooded upstream port does not silence the other 63', (t) => {
  const b = new Side(8, 64);
  const ports = Array.from({ length: 64 }, () => udp());
  const servers = ports.map(client);
  ports.forEach((fd, index) => {
    b.reactor.addUpstream(fd, index);
  });
  sendFlood(servers[0]);
  b.reactor.step(0, 1000);
  for (const answering of [1, 32, 63]) {
    sendFlood(servers[0]);
    sendId(servers[answering], 1);
    b.reactor.step(0, 1000);
    const from = answeredBy(b);
    t.equal(from.length, 64, 'the batch is full');
    t.same(from.filter((port) => port !== 0), [answering], `port ${String(answering)} is heard in the same step`);
  }
  b.close();
  for (const fd of [...ports, ...servers]) closeFd(fd);
  t.end();
});

t.test('sixteen answers on each of 64 upstream ports come in whole runs, each port once', (t) => {
  const b = new Side(8, 64);
  const ports = Array.from({ length: 64 }, () => udp());
  const servers = ports.map(client);
  ports.forEach((fd, index) => {
    b.reactor.addUpstream(fd, index);
  });
  for (const fd of servers) for (let id = 0; id < 16; id++) sendId(fd, id);
  const runs: number[] = [];
  for (let step = 0; step < 16; step++) {
    b.reactor.step(0, 1000);
    const from = answeredBy(b);
    t.equal(from.length, 64);
    for (let i = 0; i < from.length; i += 16) {
      t.ok(from.slice(i, i + 16).every((port) => port === from[i]));
      runs.push(from[i]);
    }
  }
  t.same(runs.sort((x, y) => x - y), ports.map((_, index) => index));
  t.equal(b.reactor.step(0, 0), 0);
  b.close();
  for (const fd of [...ports, ...servers]) closeFd(fd);
  t.end();
});

for (const readyCapacity of [256, 4]) {
  t.test(`with every port flooded each has its turn (events taken a step: ${String(readyCapacity)})`, (t) => {
    const b = new Side(8, 16, { readyCapacity });
    const ports = Array.from({ length: 8 }, () => udp());
    const servers = ports.map(client);
    ports.forEach((fd, index) => {
      b.reactor.addUpstream(fd, index);
    });
    const turns = new Array<number>(ports.length).fill(0);
    for (let step = 0; step < 5 * ports.length; step++) {
      for (const fd of servers) sendFlood(fd);
      b.reactor.step(0, 1000);
      for (const port of answeredBy(b)) turns[port]++;
    }
    // A turn is one batch here. What waits is known to the reactor only when epoll has named it, at first in portions.
    for (const count of turns) t.ok(count >= 4 * 16, `answers heard: ${String(count)}`);
    b.close();
    for (const fd of [...ports, ...servers]) closeFd(fd);
    t.end();
  });
}

t.test('what one busy socket leaves of the batch another busy one may use', (t) => {
  const b = new Side(256, 64);
  const listeners = [udp(), udp(), udp(), udp()];
  const askers = listeners.map(client);
  listeners.forEach((fd, index) => {
    b.reactor.addListener(fd, index);
  });
  for (const [i, count] of [3, 50, 2, 40].entries()) for (let id = 0; id < count; id++) sendId(askers[i], id);
  const first = receiveAndFree(b);
  const per = [0, 1, 2, 3].map((index) => first.filter((listener) => listener === index).length);
  t.equal(first.length, 64);
  t.same([per[0], per[2]], [3, 2]);
  t.ok(per[1] >= 16 && per[3] >= 16, `the busy ones: ${String(per[1])}, ${String(per[3])}`);
  t.equal(receiveAndFree(b).length, 3 + 50 + 2 + 40 - 64, 'and the rest comes next');
  b.close();
  for (const fd of [...listeners, ...askers]) closeFd(fd);
  t.end();
});
