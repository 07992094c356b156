import t, { type Test } from 'tap';
import {
  acceptConnection, bindSocket, closeFd, connectTcp, Control, EAGAIN, Journal, listenSocket, localAddress, openSocket, Reactor, ReadyEvent, receiveInto,
  readyStride, shutdownFd, tcpProgress,
} from 'node-reuseport';
import { Claim } from './claim.js';
import { ClientOutput } from './client-output.js';
import { CONNECTION, ConnectionRecords, type OwnRecord } from './connection-records.js';
import { Interest } from './interest.js';
import { privateRegion } from './shared-region.js';
import { UNSENT_MAX, UnsentBudget } from './stream.js';
import { Messages } from './testing/messages.js';

const LARGE = 60_000;
const SEND_BUFFER_BYTES = 16 * 1024;
const buffer = new Uint8Array(1 << 20);

class Rig {
  client: number;
  readonly region = privateRegion(1);
  readonly records = new ConnectionRecords(this.region);
  readonly record: OwnRecord = this.records.allocate(0)!;
  readonly unsent = new UnsentBudget();
  readonly done: number[] = [];
  /** Slots, and where what they are written with starts. */
  readonly started: [number, number][] = [];
  readonly output: ClientOutput;
  readonly reactor: Reactor;
  private readonly server: number;
  private readonly messages = new Messages();

  constructor(t: Test, canJoin = true) {
    const listener = openSocket({ type: 'tcp', family: 4, sendBufferBytes: SEND_BUFFER_BYTES });
    bindSocket(listener, '127.0.0.1', 0);
    listenSocket(listener, 1);
    this.client = connectTcp(localAddress(listener));
    this.server = acceptConnection(listener);
    const journal = Journal.create({ slots: 1, batch: 1 });
    this.reactor = new Reactor(journal);
    const { records, unsent, reactor, server } = this;
    const interest = new Interest(reactor, server, 1, 0);
    this.output = new ClientOutput(server, {
      records, claim: new Claim(records, this.record), interest, unsent, canJoin, onStart: (slot, start) => this.started.push([slot, start]), onDone: (slot) => this.done.push(slot),
    }, 0);
    t.teardown(() => {
      reactor.close();
      journal.release();
      for (const fd of [listener, this.client, server]) if (fd >= 0) closeFd(fd);
    });
  }

  get state(): number {
    return this.records.state(this.record);
  }

  get written(): number {
    const { bytesAcked, unsent } = tcpProgress(this.server);
    return bytesAcked + unsent;
  }

  /** An answer alone, as far as it can be written now. */
  send(slot: number, answer: Buffer): string {
    const put = this.output.put(slot, answer, 0, answer.length);
    return put === 'ok' && !this.output.isUnderWay ? this.output.flush() : put;
  }

  /** Answers 1, 2, … until one is written in part; its number. */
  stuck(): number {
    for (let slot = 1; ; slot++) {
      this.send(slot, message(slot));
      if (this.output.isUnderWay) return slot;
    }
  }

  /** The socket is said to take more. */
  isWritable(): boolean {
    this.reactor.step(0, 0);
    return this.reactor.control[Control.READY] > 0 && (this.reactor.ready[readyStride - 1] & ReadyEvent.OUT) !== 0;
  }

  /** What came, whole messages. */
  read(): Buffer[] {
    const count = receiveInto(this.client, buffer, 0, buffer.length, false);
    return count === -EAGAIN ? [] : this.messages.push(buffer.slice(0, count));
  }

  /** The client reads, and the rest is written, to the last byte. */
  drain(): Buffer[] {
    const came: Buffer[] = [];
    for (let turns = 0; turns < 1000; turns++) {
      const whole = this.read();
      came.push(...whole);
      if (this.isWritable()) {
        if (this.output.flush() !== 'ok') throw new Error('the connection is broken');
      } else if (whole.length === 0 && this.output.pendingBytes === 0) break;
    }
    return came;
  }
}

function message(mark: number, bytes = LARGE): Buffer {
  return Buffer.alloc(bytes, mark);
}

t.test('an answer that the socket takes whole is done at once, and the claim is let go of', (t) => {
  const rig = new Rig(t);
  t.equal(rig.send(7, Buffer.from('answer')), 'ok');
  t.same(rig.done, [7]);
  t.equal(rig.state, CONNECTION.open);
  t.equal(rig.records.find(rig.record).answerBytes, 0);
  t.same(rig.read().map(String), ['answer']);
  t.equal(rig.unsent.bytes, 0);
  t.end();
});

t.test('of an answer that is written in part the record says all that a thief needs', (t) => {
  const rig = new Rig(t);
  const slot = rig.stuck();
  t.equal(rig.state, CONNECTION.busy);
  const found = rig.records.find(rig.record);
  t.match(found, { answerBytes: 2 + LARGE, answerStart: (slot - 1) * (2 + LARGE), answerSlot: slot });
  t.ok(Buffer.from(found.answer!.subarray(2)).equals(message(slot)));
  t.equal(rig.output.pendingBytes, found.answerStart + found.answerBytes - rig.written);
  t.notOk(rig.done.includes(slot));
  t.same(rig.output.slots(), [slot]);
  t.end();
});

t.test('answers wait for the one under way and follow in their order, each done when its last byte is written', (t) => {
  const rig = new Rig(t);
  const first = rig.stuck();
  for (const slot of [first + 1, first + 2]) t.equal(rig.send(slot, message(slot)), 'ok');
  t.same(rig.output.slots(), [first, first + 1, first + 2]);
  const came = rig.drain();
  t.same(came.map((bytes) => bytes[0]), Array.from({ length: first + 2 }, (_, i) => i + 1));
  t.ok(came.every((bytes) => bytes.equals(message(bytes[0]))));
  t.same(rig.done, came.map((bytes) => bytes[0]));
  t.equal(rig.state, CONNECTION.open);
  t.same([rig.output.pendingBytes, rig.unsent.bytes, rig.unsent.slots], [0, 0, 0]);
  t.notOk(rig.isWritable(), 'nobody asks any more whether it takes more');
  t.end();
});

t.test('the answers of a turn are one write: their slots are marked by where it starts, and done when its last byte is written', (t) => {
  const rig = new Rig(t);
  t.equal(rig.send(1, Buffer.from('before')), 'ok');
  const start = rig.written;
  for (const slot of [2, 3, 4]) t.equal(rig.output.put(slot, message(slot, 10 * slot), 0, 10 * slot), 'ok');
  t.same(rig.done, [1], 'nothing is written yet');
  t.equal(rig.state, CONNECTION.open, 'nor claimed');
  t.equal(rig.output.flush(), 'ok');
  t.same(rig.started, [[1, 0], [2, start], [3, start], [4, start]]);
  t.same(rig.done, [1, 2, 3, 4]);
  t.same(rig.read().map((bytes) => bytes.length), [6, 20, 30, 40]);
  t.same([rig.output.pendingBytes, rig.unsent.bytes, rig.unsent.slots, rig.state], [0, 0, 0, CONNECTION.open]);
  t.end();
});

t.test('of several that are written in part the record has all bytes, and none is done', (t) => {
  const rig = new Rig(t);
  const slots = [1, 2, 3, 4, 5];
  for (const slot of slots) rig.output.put(slot, message(slot, 12_000), 0, 12_000);
  t.equal(rig.output.flush(), 'ok');
  t.ok(rig.output.isUnderWay);
  t.match(rig.records.find(rig.record), { answerBytes: 5 * (2 + 12_000), answerStart: 0, answerSlot: 1 });
  t.same(rig.output.slots(), slots);
  t.same(rig.drain().map((bytes) => bytes[0]), slots);
  t.same(rig.done, slots);
  t.end();
});

t.test('more than a row of the shared region takes are several writes', (t) => {
  const rig = new Rig(t);
  for (const slot of [1, 2, 3]) rig.output.put(slot, message(slot, 30_000), 0, 30_000);
  t.equal(rig.output.flush(), 'ok');
  t.same(rig.drain().map((bytes) => bytes[0]), [1, 2, 3]);
  t.same(rig.started.map(([, start]) => start), [0, 0, 2 * 30_002]);
  t.end();
});

t.test('beside a peer of an older layout each answer is a write', (t) => {
  const rig = new Rig(t, false);
  for (const slot of [1, 2]) rig.output.put(slot, message(slot, 100), 0, 100);
  t.equal(rig.output.flush(), 'ok');
  t.same(rig.started, [[1, 0], [2, 102]]);
  t.same(rig.done, [1, 2]);
  t.end();
});

t.test('the rest of another\'s answer comes first and has no slot', (t) => {
  const rig = new Rig(t);
  const whole = Buffer.concat([Buffer.of(0, 6), Buffer.from('begun!')]);
  t.equal(rig.output.goOn(whole), 'ok');
  t.same(rig.done, []);
  t.same(rig.read().map(String), ['begun!']);
  t.end();
});

t.test('with all rows in use an answer is written all the same, and its record says that there is none', (t) => {
  const rig = new Rig(t);
  while (rig.records.takeRow() !== null);
  const slot = rig.stuck();
  t.match(rig.records.find(rig.record), { answerBytes: 2 + LARGE, answerSlot: slot, answer: null });
  t.equal(rig.drain().length, slot);
  t.end();
});

t.test('a row is used again, after an answer and after an end in the middle of one', (t) => {
  const rig = new Rig(t);
  for (let slot = 0; slot < 3 * rig.region.rows.length; slot++) rig.send(slot, Buffer.from('x'));
  rig.stuck();
  rig.output.end();
  t.same([rig.output.pendingBytes, rig.unsent.bytes, rig.unsent.slots], [0, 0, 0]);
  let rows = 0;
  while (rig.records.takeRow() !== null) rows++;
  t.equal(rows, rig.region.rows.length);
  t.end();
});

t.test('a client that reads nothing is owed so much and no more, and all clients together', (t) => {
  const alone = new Rig(t);
  let slot = alone.stuck();
  let result = 'ok';
  while (result === 'ok') {
    t.ok(alone.output.pendingBytes <= UNSENT_MAX);
    result = alone.send(++slot, message(slot));
  }
  t.equal(result, 'broken');
  t.ok(alone.output.pendingBytes <= UNSENT_MAX + 2 + LARGE);
  t.end();
});

t.test('nothing is written once a peer has the connection, and what waits is still to be given back', (t) => {
  const rig = new Rig(t);
  t.ok(rig.records.steal(rig.record, CONNECTION.open));
  t.equal(rig.send(1, Buffer.from('x')), 'stolen');
  t.same(rig.read(), []);
  t.same(rig.done, []);
  t.end();
});

t.test('a connection that is gone is broken', (t) => {
  const rig = new Rig(t);
  const slot = rig.stuck();
  shutdownFd(rig.client, 'both');
  closeFd(rig.client);
  rig.client = -1;
  let result = 'ok';
  for (let turns = 0; turns < 1000 && result === 'ok'; turns++) result = rig.output.flush();
  t.equal(result, 'broken');
  t.same(rig.output.slots(), [slot]);
  t.end();
});
