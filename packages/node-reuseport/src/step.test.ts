import t from 'tap';
import { Control, Journal, Meta, Reactor, slotFlagTruncated, SlotState, TransmitKind } from './index.js';
import { answerRowStride, transmitStride } from './index.js';
import { bindSocket, closeFd, localAddress, openSocket, receiveInto, connectSocket, sendFrom } from './index.js';

const encoder = new TextEncoder();

function udp(family: 4 | 6, extra: { packetInfo?: boolean } = {}): number {
  const fd = openSocket({ type: 'udp', family, ...extra });
  bindSocket(fd, family === 4 ? '127.0.0.1' : '::1', 0);
  return fd;
}

function client(server: number): number {
  const where = localAddress(server);
  const fd = udp(where.family);
  connectSocket(fd, where.address, where.port);
  return fd;
}

interface Bench {
  journal: Journal;
  reactor: Reactor;
  words: Uint32Array;
  bytes: Uint8Array;
  state(slot: number): number;
  meta(slot: number): number;
  payload(slot: number): number;
}

function bench(slots: number, batch: number): Bench {
  const journal = Journal.create({ slots, batch });
  const reactor = new Reactor(journal);
  const { layout } = journal;
  const words = new Uint32Array(journal.buffer);
  return {
    journal,
    reactor,
    words,
    bytes: new Uint8Array(journal.buffer),
    state: (slot) => words[layout.stateOffset / 4 + slot] & 7,
    meta: (slot) => (layout.slotOffset + slot * layout.slotStride) / 4,
    payload: (slot) => layout.slotOffset + slot * layout.slotStride + layout.payloadOffset,
  };
}

function row(b: Bench, index: number, values: readonly number[]): void {
  b.reactor.transmit.set(values, index * transmitStride);
}

for (const family of [4, 6] as const) {
  t.test(`a query over IPv${String(family)} goes client, slot, upstream, answer buffer, client`, (t) => {
    const b = bench(16, 4);
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
    row(b, 0, [TransmitKind.ASK, slot, b.payload(slot), 8, 5]);
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

    row(b, 0, [TransmitKind.REPLY, slot, offset, length]);
    b.reactor.step(1, 0);
    t.equal(receiveInto(asker, seen, 0, 100, false), 10);
    t.equal(new TextDecoder().decode(seen.subarray(0, 10)), 'the answer');
    t.equal(b.state(slot), SlotState.FREE);
    t.equal(b.reactor.control[Control.REPLIES_SENT], 1);
    b.reactor.close();
    b.journal.release();
    for (const fd of [listener, upstream, server, asker]) closeFd(fd);
    t.end();
  });
}

t.test('with every slot in use the queue of the socket holds, and nothing is lost', (t) => {
  const b = bench(8, 4);
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
    row(b, 0, [TransmitKind.REPLY, slot, b.payload(slot), 1]);
    b.reactor.step(1, 0);
    held.push(...b.reactor.received.subarray(0, b.reactor.control[Control.RECEIVED]));
  }
  t.same(answered.sort((x, y) => x - y), Array.from({ length: total }, (_, i) => i));
  const seen = new Uint8Array(16);
  let replies = 0;
  while (receiveInto(asker, seen, 0, 16, false) === 1) replies++;
  t.equal(replies, total);
  b.reactor.close();
  b.journal.release();
  closeFd(listener);
  closeFd(asker);
  t.end();
});

t.test('a datagram longer than a slot is cut and flagged', (t) => {
  const b = bench(4, 2);
  const listener = udp(4);
  const asker = client(listener);
  b.reactor.addListener(listener, 0);
  sendFrom(asker, new Uint8Array(3000).fill(7), 0, 3000);
  b.reactor.step(0, 1000);
  const meta = b.meta(b.reactor.received[0]);
  t.equal(b.words[meta + Meta.LENGTH], b.journal.layout.payloadCapacity);
  t.equal(b.words[meta + Meta.FLAGS], slotFlagTruncated);
  t.equal(b.reactor.control[Control.TRUNCATED], 1);
  b.reactor.close();
  b.journal.release();
  closeFd(listener);
  closeFd(asker);
  t.end();
});
