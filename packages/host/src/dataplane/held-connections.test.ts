import t, { type Test } from 'tap';
import { monoMs, SLOT, SLOT_FLAG, slotPayload, slotWord, TAKEN } from '@tandem/core';
import { onCodePoint } from 'node-reuseport';
import { CONNECTION } from './connection-records.js';
import { framed } from './testing/messages.js';
import { RawClient, Stage, type StreamSide } from './testing/takeover-stage.js';

const RESET_AFTER_MS = 1000;
const LOST_SLOT_MS = 1000;
const ECONNRESET = 104;
const LARGE = 60_000;

/** A message that can be told from others: `length` bytes, the first says which. */
function message(mark: number, length = 40): Buffer {
  const bytes = Buffer.alloc(length, mark);
  bytes[length - 1] = 255;
  return bytes;
}

function marks(client: RawClient): number[] {
  return client.received.map((bytes) => bytes[0]);
}

/** A client whose queries 1 to `count` are with the owner's path. */
function asking(t: Test, stage: Stage, count: number): RawClient {
  const client = new RawClient(t, stage.server);
  for (let mark = 1; mark <= count; mark++) client.send(framed(message(mark)));
  stage.owner.until('the queries', () => stage.owner.asked.length === count);
  return client;
}

function answerAll(side: StreamSide, answer?: (question: Buffer) => Buffer): void {
  while (side.asked.length > 0) side.answer(answer?.(side.question(side.asked[0])));
}

/** Large answers until the socket takes no more: the last one is under way, its client reads nothing. Gives the number begun. */
function stuck(stage: Stage): number {
  const { owner } = stage;
  for (let begun = 1; ; begun++) {
    owner.answer(message(begun, LARGE));
    if (owner.unsent.bytes > 0) return begun;
  }
}

/** Every slot of the member is free, once what it left to the other had its time. */
function atRest(t: Test, side: StreamSide): void {
  side.nowMs = monoMs(side.nowMs + LOST_SLOT_MS);
  side.turn();
  side.turn();
  t.equal(side.freeSlots, side.slotsFree, 'every slot is free');
}

t.test('a dead owner\'s queries are answered by the other, on the same connection, once', (t) => {
  const stage = new Stage(t);
  const client = asking(t, stage, 3);
  stage.owner.answer();
  t.same(stage.take(true), [TAKEN.query, TAKEN.query]);
  client.send(framed(message(9)));
  stage.thief.until('the next query', () => stage.thief.asked.length === 3);
  answerAll(stage.thief);
  t.equal(client.read(), 'open');
  t.same(marks(client).sort(), [1, 2, 3, 9]);
  t.equal(stage.counters.get('connections_taken'), 1);
  atRest(t, stage.thief);
  t.end();
});

/** What the owner and then the thief answered, and whether each query of the client got one answer. */
function finish(t: Test, stage: Stage, client: RawClient, count: number): void {
  for (let turns = 0; turns < 200; turns++) {
    client.read();
    stage.thief.turn(1);
  }
  answerAll(stage.thief);
  client.read();
  t.same(marks(client).sort((a, b) => a - b), Array.from({ length: count }, (_, i) => i + 1), 'each query has one answer');
}

t.test('answers that a dead owner had not begun to write are all asked for again', (t) => {
  const stage = new Stage(t);
  const client = asking(t, stage, 5);
  for (let i = 0; i < 3; i++) stage.owner.prepare();
  t.same(stage.take(true), new Array(5).fill(TAKEN.query));
  finish(t, stage, client, 5);
  t.end();
});

t.test('of answers that a dead owner had written together none is asked for again', (t) => {
  const stage = new Stage(t);
  const client = asking(t, stage, 5);
  for (let i = 0; i < 3; i++) stage.owner.prepare();
  // It dies when all is written, before it does anything else.
  stage.owner.reactor.freeSlot = () => { throw new Error('dead'); };
  t.throws(() => { stage.owner.clients.flush(); }, { message: 'dead' });
  t.same(stage.take(true), [TAKEN.query, TAKEN.query]);
  finish(t, stage, client, 5);
  delete (stage.owner.reactor as { freeSlot?: unknown }).freeSlot;
  t.end();
});

t.test('answers that a dead owner had written together in part are gone on with, and none of them is asked for again', (t) => {
  const stage = new Stage(t);
  const { owner } = stage;
  const client = asking(t, stage, 60);
  let begun = 0;
  while (owner.unsent.bytes === 0) {
    for (let i = 0; i < 3; i++) owner.prepare(message(++begun, 20_000));
    owner.clients.flush();
  }
  t.equal(stage.take(true).length, 60 - begun);
  finish(t, stage, client, 60);
  t.end();
});

t.test('a query that is in a slot and still in the socket is answered once', (t) => {
  const stage = new Stage(t);
  const { owner } = stage;
  const client = asking(t, stage, 1);
  answerAll(owner);
  owner.turn();
  const query = framed(message(2));
  client.send(query);
  // As an owner leaves it that dies before it consumes.
  const slot = owner.reactor.allocateSlot();
  const word = slotWord(owner.memory, slot);
  const { words, bytes } = owner.memory;
  words[word + SLOT.flags] = SLOT_FLAG.tcp;
  words[word + SLOT.length] = query.length - 2;
  words[word + SLOT.connection] = 1;
  words[word + SLOT.connectionGeneration] = 1;
  words[word + SLOT.streamEnd] = 2 * query.length;
  bytes.set(query.subarray(2), slotPayload(owner.memory, slot));
  t.same(stage.take(true), []);
  stage.thief.until('the query', () => stage.thief.asked.length === 1);
  answerAll(stage.thief);
  client.read();
  t.same(marks(client), [1, 2]);
  t.end();
});

t.test('an owner that wakes lets go of what was taken: the client notices nothing, no slot is lost', (t) => {
  const stage = new Stage(t);
  const client = asking(t, stage, 3);
  t.same(stage.take(false), [TAKEN.query, TAKEN.query, TAKEN.query]);
  answerAll(stage.owner);
  t.equal(stage.owner.clients.count, 0, 'let go of');
  t.equal(client.read(), 'open');
  t.same(marks(client), []);
  answerAll(stage.thief);
  t.equal(client.read(), 'open');
  t.same(marks(client), [1, 2, 3]);
  client.send(framed(message(4)));
  stage.owner.turn();
  stage.thief.until('the next query', () => stage.thief.asked.length === 1);
  answerAll(stage.thief);
  t.equal(client.read(), 'open');
  t.same(marks(client), [1, 2, 3, 4]);
  atRest(t, stage.owner);
  atRest(t, stage.thief);
  t.end();
});

t.test('queries that were on their way to the other when the connection came back find their way back, too', (t) => {
  const stage = new Stage(t);
  const { owner, thief } = stage;
  stage.holdBack();
  const client = asking(t, stage, 4);
  // The owner hangs, and the thief hangs in the midst of taking: the owner takes the connection back, with the one query that is there.
  t.same(stage.takeSome(1), [TAKEN.query]);
  thief.clients.tick();
  t.same(stage.takeBack(), [TAKEN.query]);
  // The thief goes on: one more is taken for the connection that it still believes to have, then it finds that lost.
  t.same(stage.takeStranded(1), [TAKEN.query]);
  answerAll(thief);
  t.same(stage.takeStranded(), [TAKEN.nothing, TAKEN.nothing], 'these it only passes on');
  t.same(stage.takeStrandedBack(), [TAKEN.query, TAKEN.query, TAKEN.query]);
  answerAll(owner);
  client.read();
  t.same(marks(client).sort(), [1, 2, 3, 4], 'each has one answer');
  t.same(stage.takeStrandedBack(), []);
  atRest(t, thief);
  atRest(t, owner);
  t.end();
});

t.test('an owner that is robbed between two answers keeps no slot', (t) => {
  const stage = new Stage(t);
  const { owner } = stage;
  const client = asking(t, stage, 60);
  stuck(stage);
  answerAll(owner);
  const record = { index: 0, generation: 1 };
  t.equal(stage.owner.records.state(record), CONNECTION.busy);
  stage.held.close();
  // Robbed by one that takes it for dead: it finds that out when it has written what was under way.
  t.ok(owner.records.steal(record, CONNECTION.busy));
  for (let turns = 0; owner.clients.count > 0 && turns < 1000; turns++) {
    client.read();
    owner.turn(1);
  }
  t.equal(owner.clients.count, 0);
  t.equal(owner.unsent.bytes, 0);
  atRest(t, owner);
  t.end();
});

t.test('a connection that its hung owner was writing to is reset after a second, and counted', (t) => {
  const stage = new Stage(t);
  const client = asking(t, stage, 60);
  stuck(stage);
  t.same(stage.take(false), []);
  stage.thief.nowMs = monoMs(stage.thief.nowMs + RESET_AFTER_MS - 1);
  stage.take(false);
  t.equal(stage.counters.get('connections_reset'), 0);
  stage.thief.nowMs = monoMs(stage.thief.nowMs + 1);
  stage.take(false);
  t.equal(stage.counters.get('connections_reset'), 1);
  t.equal(client.read(), -ECONNRESET);
  stage.owner.asked.length = 0;
  stage.owner.until('the owner to notice', () => stage.owner.clients.count === 0);
  t.end();
});

t.test('two short hangs in the middle of an answer do not add up to a long one', (t) => {
  const stage = new Stage(t);
  const client = asking(t, stage, 60);
  stuck(stage);
  for (let hangs = 0; hangs < 3; hangs++) {
    stage.held.take(false, stage.thief.nowMs);
    stage.held.awake();
    stage.thief.nowMs = monoMs(stage.thief.nowMs + RESET_AFTER_MS);
  }
  t.equal(stage.counters.get('connections_reset'), 0);
  t.equal(client.read(), 'open');
  t.end();
});

t.test('an answer that a dead owner was writing is written to its end, and the others follow', (t) => {
  const stage = new Stage(t);
  const client = asking(t, stage, 60);
  const begun = stuck(stage);
  const owed = stage.take(true);
  t.equal(owed.length, 60 - begun, 'all but those that were begun are asked again');
  t.equal(stage.counters.get('connections_taken'), 1);
  for (let turns = 0; client.received.length < begun && turns < 1000; turns++) {
    t.equal(client.read(), 'open');
    stage.thief.turn(1);
  }
  client.received.forEach((bytes, i) => t.ok(bytes.equals(message(i + 1, LARGE)), `answer ${i + 1} is whole`));
  answerAll(stage.thief);
  client.read();
  t.same(marks(client), Array.from({ length: 60 }, (_, i) => i + 1));
  atRest(t, stage.thief);
  t.end();
});

t.test('an answer that lies in no row cannot be gone on with: its connection is reset, and counted', (t) => {
  const stage = new Stage(t);
  while (stage.owner.records.takeRow() !== null);
  const client = asking(t, stage, 60);
  stuck(stage);
  stage.take(true);
  t.same([stage.counters.get('connections_reset'), stage.counters.get('connections_taken')], [1, 0]);
  t.equal(client.read(), -ECONNRESET);
  t.equal(stage.thief.freeSlots, stage.thief.slotsFree, 'nothing is taken of which no answer can be given');
  t.end();
});

t.test('the rest of an overlong query is thrown away by whoever has the connection then', (t) => {
  const stage = new Stage(t);
  const client = new RawClient(t, stage.server);
  const overlong = framed(message(1, 5000));
  client.send(overlong.subarray(0, 3000));
  stage.owner.until('the first piece', () => stage.owner.asked.length === 1);
  t.same(stage.take(true), [TAKEN.query]);
  client.send(Buffer.concat([overlong.subarray(3000), framed(message(2))]));
  stage.thief.until('the next query', () => stage.thief.asked.length === 2);
  t.ok(stage.thief.question(stage.thief.asked[1]).equals(message(2)));
  t.end();
});

t.test('the rest of an overlong query is thrown away also after the connection has changed hands twice', (t) => {
  const stage = new Stage(t);
  const { owner } = stage;
  stage.holdBack();
  const client = new RawClient(t, stage.server);
  const overlong = framed(message(1, 5000));
  client.send(overlong.subarray(0, 3000));
  owner.until('the first piece', () => owner.asked.length === 1);
  t.same(stage.take(false), [TAKEN.query]);
  client.send(overlong.subarray(3000, 4000));
  stage.thief.turn();
  t.same(stage.takeBack(), [TAKEN.query]);
  const before = owner.asked.length;
  client.send(Buffer.concat([overlong.subarray(4000), framed(message(2))]));
  owner.until('the next query', () => owner.asked.length > before);
  t.ok(owner.question(owner.asked[before]).equals(message(2)));
  t.end();
});

t.test('a message that a dead owner saw a piece of is taken, and after it a shorter one', (t) => {
  const stage = new Stage(t);
  const { owner, thief } = stage;
  const client = new RawClient(t, stage.server);
  const long = framed(message(1, 300));
  client.send(long.subarray(0, 100));
  owner.until('the connection', () => owner.clients.count === 1);
  client.send(long.subarray(100));
  t.same(stage.take(true), []);
  thief.until('the query', () => thief.asked.length === 1);
  thief.turn();
  client.send(framed(message(2)));
  thief.until('the shorter one', () => thief.asked.length === 2);
  t.ok(thief.question(thief.asked[1]).equals(message(2)));
  t.end();
});

t.test('queries of a connection that is gone by the time they are taken are taken by nobody', (t) => {
  const stage = new Stage(t);
  const client = asking(t, stage, 2);
  stage.held.take(true, stage.thief.nowMs);
  client.close();
  stage.thief.until('the end', () => stage.thief.clients.count === 0);
  t.same(stage.take(true), []);
  t.equal(stage.thief.clients.count, 0);
  t.equal(stage.thief.freeSlots, stage.thief.slotsFree);
  t.end();
});

t.test('a slot that its owner frees and uses again while it is taken gives the query to no other client', (t) => {
  const stage = new Stage(t);
  const { owner, thief } = stage;
  const first = asking(t, stage, 1);
  const [slot] = owner.asked;
  const second = new RawClient(t, stage.server);
  onCodePoint('steal-after-swap', 1, () => {
    // The owner wakes, notices, and has another client's query in the slot.
    owner.reactor.freeSlot(slot);
    second.send(framed(message(7)));
    owner.until('the other query', () => owner.asked.length === 2);
    t.equal(owner.asked[1], slot);
  });
  stage.take(false);
  answerAll(thief);
  first.read();
  second.read();
  t.same([marks(first), marks(second)], [[1], []]);
  t.end();
});
