import t from 'tap';
import { Worker } from 'node:worker_threads';
import {
  answerRowStride,
  closeFd,
  connectSocket,
  Control,
  localAddress,
  Meta,
  Reactor,
  ReadyEvent,
  receiveInto,
  sendFrom,
  slotFlagTruncated,
  SlotState,
  transmitStride,
  unixSocketPair,
} from './index.js';
import { client, receiveIds, sendId, Side, udp } from './testing/harness.js';

const encoder = new TextEncoder();

for (const family of [4, 6] as const) {
  t.test(`a query over IPv${String(family)} goes client, slot, upstream, answer buffer, client`, (t) => {
    const b = new Side(16, 4);
    const listener = udp(family, { packetInfo: true });
    const upstream = udp(family);
    const server = udp(family);
    const asker = client(listener);
    b.reactor.addListener(listener, 0, { replyFromServerAddress: true });
    b.reactor.addUpstream(upstream, 5);
    sendFrom(asker, encoder.encode('question'), 0, 8);
    t.equal(b.reactor.step(0, 1000), 1);
    const slot = b.reactor.received[0];
    const meta = b.meta(slot);
    t.equal(b.state(slot), SlotState.WORK);
    t.equal(b.words[meta + Meta.LENGTH], 8);
    t.equal(b.words[meta + Meta.CLIENT_FAMILY], family);
    t.equal(b.words[meta + Meta.CLIENT_PORT], localAddress(asker).port);
    t.equal(b.words[meta + Meta.SERVER_PORT], localAddress(listener).port);
    t.ok(b.words[meta + Meta.INTERFACE] > 0, 'the interface is known');
    t.same(
      b.words.slice(meta + Meta.SERVER_ADDRESS, meta + Meta.SERVER_ADDRESS + 4),
      b.words.slice(meta + Meta.CLIENT_ADDRESS, meta + Meta.CLIENT_ADDRESS + 4),
      'both ends are the loopback address',
    );
    const at = new Float64Array(b.journal.buffer, (meta + Meta.RECEIVED_AT_MS) * 4, 1)[0];
    t.equal(at, b.reactor.control[Control.NOW_MS]);

    b.words.copyWithin(meta + Meta.UPSTREAM_ADDRESS, meta + Meta.CLIENT_ADDRESS, meta + Meta.CLIENT_ADDRESS + 4);
    b.words[meta + Meta.UPSTREAM_PORT] = localAddress(server).port;
    b.ask(0, slot, 8, 5);
    b.reactor.step(1, 0);
    const seen = new Uint8Array(100);
    t.equal(receiveInto(server, seen, 0, 100, false), 8);
    t.equal(new TextDecoder().decode(seen.subarray(0, 8)), 'question');

    const where = localAddress(upstream);
    connectSocket(server, where.address, where.port);
    sendFrom(server, encoder.encode('the answer'), 0, 10);
    t.equal(b.reactor.step(0, 1000), 1);
    t.equal(b.reactor.control[Control.ANSWERS], 1);
    const [offset, length, from, port] = b.reactor.answers.subarray(0, answerRowStride);
    t.same([length, from, port], [10, 5, localAddress(server).port]);
    t.same(
      b.reactor.answers.slice(4, 8),
      b.words.slice(meta + Meta.UPSTREAM_ADDRESS, meta + Meta.UPSTREAM_ADDRESS + 4),
      'the sender compares with the word form of the server',
    );

    b.reply(0, slot, offset, length);
    b.reactor.step(1, 0);
    t.equal(receiveInto(asker, seen, 0, 100, false), 10);
    t.equal(new TextDecoder().decode(seen.subarray(0, 10)), 'the answer');
    t.equal(b.state(slot), SlotState.FREE);
    t.equal(b.reactor.control[Control.REPLIES_SENT], 1);
    b.close();
    for (const fd of [listener, upstream, server, asker]) closeFd(fd);
    t.end();
  });
}

t.test('with every slot in use the queue of the socket holds, and nothing is lost', (t) => {
  const b = new Side(8, 4);
  const listener = udp(4);
  const asker = client(listener);
  b.reactor.addListener(listener, 0);
  const total = 20;
  for (let i = 0; i < total; i++) sendFrom(asker, Uint8Array.of(i), 0, 1);
  const held: number[] = [];
  while (b.reactor.step(0, 0) > 0) held.push(...b.reactor.received.subarray(0, b.reactor.control[Control.RECEIVED]));
  t.equal(held.length, 8);
  t.equal(b.reactor.control[Control.PAUSED], 1);
  t.equal(b.reactor.step(0, 0), 0, 'a readable socket without slots does not wake the loop');
  const answered: number[] = [];
  while (held.length > 0) {
    const slot = held.shift()!;
    answered.push(b.bytes[b.payload(slot)]);
    b.reply(0, slot, b.payload(slot), 1);
    b.reactor.step(1, 0);
    held.push(...b.reactor.received.subarray(0, b.reactor.control[Control.RECEIVED]));
  }
  t.same(answered.sort((x, y) => x - y), Array.from({ length: total }, (_, i) => i));
  const seen = new Uint8Array(16);
  let replies = 0;
  while (receiveInto(asker, seen, 0, 16, false) === 1) replies++;
  t.equal(replies, total);
  b.close();
  closeFd(listener);
  closeFd(asker);
  t.end();
});

t.test('a datagram longer than a slot is cut and flagged', (t) => {
  const b = new Side(4, 2);
  const listener = udp(4);
  const asker = client(listener);
  b.reactor.addListener(listener, 0);
  sendFrom(asker, new Uint8Array(3000).fill(7), 0, 3000);
  b.reactor.step(0, 1000);
  const meta = b.meta(b.reactor.received[0]);
  t.equal(b.words[meta + Meta.LENGTH], b.journal.layout.payloadCapacity);
  t.equal(b.words[meta + Meta.FLAGS], slotFlagTruncated);
  t.equal(b.reactor.control[Control.TRUNCATED], 1);
  b.close();
  closeFd(listener);
  closeFd(asker);
  t.end();
});

t.test('several listeners share one batch, and each answer leaves by the socket that was asked', (t) => {
  const b = new Side(64, 8);
  const listeners = [udp(4), udp(6), udp(4)];
  const askers = listeners.map(client);
  listeners.forEach((fd, index) => {
    b.reactor.addListener(fd, index + 3);
  });
  for (let id = 0; id < 12; id++) for (const [i, fd] of askers.entries()) sendId(fd, id * 10 + i);
  let answered = 0;
  while (answered < 36) {
    const slots = b.receive(1000);
    slots.forEach((slot, i) => {
      t.equal(b.words[b.meta(slot) + Meta.LISTENER], 3 + (b.id(slot) % 10));
      b.reply(i, slot);
    });
    b.reactor.flush(slots.length);
    answered += slots.length;
  }
  for (const [i, fd] of askers.entries()) t.same(receiveIds(fd), Array.from({ length: 12 }, (_, id) => id * 10 + i));
  b.close();
  for (const fd of [...listeners, ...askers]) closeFd(fd);
  t.end();
});

t.test('a paused listener is left alone and read again after resuming; one that is removed is forgotten', (t) => {
  const b = new Side(16, 4);
  const listener = udp();
  const asker = client(listener);
  b.reactor.addListener(listener, 0);
  t.throws(() => b.reactor.addListener(listener, 0), { code: 'EEXIST' });
  sendId(asker, 1);
  const [first] = b.receive(1000);
  b.reactor.pauseListener(0);
  sendId(asker, 2);
  t.same(b.receive(), []);
  b.reply(0, first);
  b.reactor.flush(1);
  t.same(receiveIds(asker), [1], 'answers still leave');
  b.reactor.resumeListener(0);
  const [second] = b.receive(1000);
  t.equal(b.id(second), 2);
  b.reactor.removeListener(0);
  b.reply(0, second);
  b.reactor.flush(1);
  t.equal(b.count(Control.REPLY_ERRORS), 1);
  t.equal(b.state(second), SlotState.FREE);
  t.throws(() => b.reactor.removeListener(0), { code: 'ENOENT' });
  b.close();
  for (const fd of [listener, asker]) closeFd(fd);
  t.end();
});

t.test('the reserve is kept for allocateSlot', (t) => {
  const b = new Side(6, 4);
  const listener = udp();
  const asker = client(listener);
  b.reactor.reserve = 4;
  b.reactor.addListener(listener, 0);
  for (let id = 0; id < 5; id++) sendId(asker, id);
  const received = [...b.receive(1000), ...b.receive(), ...b.receive()];
  t.equal(received.length, 2);
  const own = [1, 2, 3, 4].map(() => b.reactor.allocateSlot());
  t.equal(new Set([...own, ...received]).size, 6);
  t.equal(b.reactor.allocateSlot(), -1);
  for (const slot of own) b.reactor.freeSlot(slot);
  t.throws(() => b.reactor.freeSlot(own[0]), { code: 'EINVAL' }, 'giving back twice is an error');
  for (const slot of received) b.reactor.freeSlot(slot);
  t.equal(b.receive(1000).length, 2, 'the queue of the socket held the others');
  t.throws(() => {
    b.reactor.reserve = 7;
  }, RangeError);
  b.close();
  for (const fd of [listener, asker]) closeFd(fd);
  t.end();
});

t.test('a slot that was allocated has no client, so an answer from it goes nowhere', (t) => {
  const b = new Side(1, 1);
  const listener = udp();
  const asker = client(listener);
  b.reactor.addListener(listener, 0);
  sendId(asker, 1);
  const [slot] = b.receive(1000);
  b.reactor.freeSlot(slot);
  t.equal(b.reactor.allocateSlot(), slot, 'it had a client before');
  b.reply(0, slot);
  b.reactor.flush(1);
  t.equal(b.count(Control.REPLY_ERRORS), 1);
  t.same(receiveIds(asker), []);
  t.equal(b.state(slot), SlotState.FREE);
  t.throws(() => new Reactor(b.journal), { code: 'EBUSY' }, 'one reactor for one journal');
  b.close();
  for (const fd of [listener, asker]) closeFd(fd);
  t.end();
});

t.test('rows that make no sense are skipped and counted, and the others go out', (t) => {
  const b = new Side(8, 4);
  const listener = udp();
  const asker = client(listener);
  b.reactor.addListener(listener, 0);
  sendId(asker, 1);
  const [slot] = b.receive(1000);
  const free = (slot + 1) % 8;
  b.reply(0, 999999);
  b.reply(1, free);
  b.reply(2, slot, b.journal.layout.totalBytes - 2, 4);
  b.reply(3, slot, 0, 4);
  b.reactor.transmit.set([7, slot, 0, 0, 0, 0, 0, 0], 4 * transmitStride);
  b.ask(5, slot, 4, 3);
  b.reply(6, slot);
  b.reply(7, slot);
  b.reactor.flush(8);
  t.equal(b.count(Control.INVALID_ROWS), 7);
  t.same(receiveIds(asker), [1]);
  t.throws(() => b.reactor.step(b.journal.layout.transmitCapacity + 1, 0), { code: 'ERANGE' });
  t.throws(() => b.reactor.step(-1, 0), { code: 'ERANGE' });
  b.close();
  t.throws(() => b.reactor.step(0, 0), { code: 'EBADF' });
  for (const fd of [listener, asker]) closeFd(fd);
  t.end();
});

t.test('an answer that the kernel refuses is counted, frees its slot, and holds nobody up', (t) => {
  const b = new Side(8, 4);
  const listener = udp();
  const asker = client(listener);
  b.reactor.addListener(listener, 0);
  for (const id of [1, 2, 3]) sendId(asker, id);
  const slots = b.receive(1000);
  slots.forEach((slot, i) => {
    b.reply(i, slot);
  });
  // 65,535 bytes are more than a datagram over IPv4 can carry.
  b.reply(1, slots[1], b.journal.layout.answerOffset, 65535);
  b.reactor.flush(3);
  t.same(receiveIds(asker), [1, 3]);
  t.equal(b.count(Control.REPLY_ERRORS), 1);
  t.equal(b.count(Control.REPLIES_SENT), 2);
  t.same(slots.map((slot) => b.state(slot)), [SlotState.FREE, SlotState.FREE, SlotState.FREE]);
  b.close();
  for (const fd of [listener, asker]) closeFd(fd);
  t.end();
});

t.test('a question for a server of the other family is an error, not a packet to nowhere', (t) => {
  const b = new Side(8, 4);
  const upstream = udp(4);
  b.reactor.addUpstream(upstream, 0);
  const slot = b.reactor.allocateSlot();
  b.words[b.meta(slot) + Meta.UPSTREAM_PORT] = 53;
  b.ask(0, slot, 4, 0);
  b.reactor.flush(1);
  t.equal(b.count(Control.ASK_ERRORS), 1);
  b.close();
  closeFd(upstream);
  t.end();
});

for (const segment of [false, true]) {
  t.test(`questions of mixed lengths all arrive, cut as they were sent (segment ${String(segment)})`, (t) => {
    const b = new Side(64, 16);
    const server = udp();
    const upstream = udp();
    b.reactor.addUpstream(upstream, 2, { segment });
    const { port } = localAddress(server);
    const lengths = Array.from({ length: 40 }, (_, i) => (i < 20 ? 33 : 20 + (i % 7)));
    lengths.forEach((length, i) => {
      const slot = b.reactor.allocateSlot();
      const meta = b.meta(slot);
      b.bytes.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1], (meta + Meta.UPSTREAM_ADDRESS) * 4);
      b.words[meta + Meta.UPSTREAM_PORT] = port;
      b.bytes.fill(i, b.payload(slot), b.payload(slot) + length);
      b.ask(i, slot, length, 2);
    });
    b.reactor.flush(lengths.length);
    t.equal(b.count(Control.ASKS_SENT), lengths.length);
    const buffer = new Uint8Array(100);
    const arrived = new Map<number, number>();
    for (let left = lengths.length; left > 0; left--) {
      const length = receiveInto(server, buffer, 0, 100, false);
      t.ok(buffer.subarray(0, length).every((byte) => byte === buffer[0]), 'of one question');
      arrived.set(buffer[0], length);
    }
    t.same(arrived, new Map(lengths.map((length, i) => [i, length])), 'each once, in whatever order');
    b.close();
    for (const fd of [server, upstream]) closeFd(fd);
    t.end();
  });
}

t.test('a connected upstream gets questions at its remote address and reports a port that is closed', (t) => {
  const b = new Side(8, 4);
  const server = udp();
  const upstream = client(server);
  b.reactor.addUpstream(upstream, 0, { connected: true });
  const slot = b.reactor.allocateSlot();
  b.ask(0, slot, 4, 0);
  b.reactor.flush(1);
  t.equal(receiveIds(server).length, 1);
  closeFd(server);
  b.ask(0, slot, 4, 0);
  b.reactor.flush(1);
  b.reactor.step(0, 1000);
  t.equal(b.count(Control.UPSTREAM_ERRORS), 1);
  b.close();
  closeFd(upstream);
  t.end();
});

t.test('readiness of other descriptors is reported by token, again until it is consumed', (t) => {
  const b = new Side(8, 4);
  const [left, right] = unixSocketPair();
  b.reactor.watch(left, -77, ReadyEvent.IN);
  t.equal(b.reactor.step(0, 0), 0);
  sendId(right, 1);
  for (let i = 0; i < 2; i++) {
    t.equal(b.reactor.step(0, 1000), 1);
    t.same([...b.reactor.ready.subarray(0, 2)], [-77, ReadyEvent.IN]);
  }
  b.reactor.rewatch(left, 5, ReadyEvent.IN | ReadyEvent.OUT);
  b.reactor.step(0, 0);
  t.same([...b.reactor.ready.subarray(0, 2)], [5, ReadyEvent.IN | ReadyEvent.OUT]);
  b.reactor.unwatch(left);
  t.equal(b.reactor.step(0, 0), 0);
  t.throws(() => b.reactor.unwatch(left), { code: 'ENOENT' });
  t.throws(() => b.reactor.watch(left, 0, 4), RangeError);
  b.close();
  for (const fd of [left, right]) closeFd(fd);
  t.end();
});

t.test('a worker thread wakes the loop, and loads the addon for itself', async (t) => {
  const b = new Side(8, 4);
  const index = new URL('index.js', import.meta.url).href;
  const worker = new Worker(
    `const { workerData, parentPort } = require('node:worker_threads');
     import(workerData.index).then(({ wake, Journal }) => {
       const copy = Journal.open(workerData.journal);
       parentPort.postMessage(copy.layout.slots);
       copy.release();
       wake(workerData.fd);
     });`,
    { eval: true, workerData: { fd: b.reactor.wakeFd, index, journal: b.journal.fd } },
  );
  const gone = new Promise((resolve) => worker.once('exit', resolve));
  const slots = new Promise((resolve) => worker.once('message', resolve));
  t.equal(b.reactor.step(0, 10_000), 1);
  t.equal(b.count(Control.WOKEN), 1);
  t.equal(b.reactor.step(0, 0), 0);
  t.equal(await slots, 8);
  await gone;
  b.reactor.wake();
  b.reactor.wake();
  b.reactor.step(0, 0);
  t.equal(b.count(Control.WOKEN), 2);
  b.close();
});
