import t from 'tap';
import { slotPayload } from '@tandem/core';
import { Control, Journal, Reactor } from 'node-reuseport';
import { freeAddress } from '../testing/free-address.js';
import { bindListener, closeListener, createListener } from './listeners.js';
import { slotMemory } from './slot-memory.js';
import { UdpClient } from './testing/clients.js';
import { query } from './testing/messages.js';
import { DEADLINE_MS, until } from './testing/wait.js';
import { ReactorWire } from './wire.js';

const BATCH = 8;
const CAPACITY = 4;
const ANSWER_BYTES = 12;

t.test('a small answer is not overwritten by a later one, also when the transmit list was full in between', async (t) => {
  const journal = Journal.create({ slots: 2 * BATCH, batch: BATCH, transmitCapacity: CAPACITY });
  const reactor = new Reactor(journal);
  const memory = slotMemory(journal);
  const wire = new ReactorWire(reactor, memory);
  const listener = bindListener(createListener(await freeAddress()));
  const client = await UdpClient.open('127.0.0.1');
  t.teardown(() => {
    client.close();
    reactor.close();
    closeListener(listener);
    journal.release();
  });
  reactor.addListener(listener.udp, 0);
  for (let i = 0; i < BATCH; i++) client.send(query(`name-${i}.example`), listener.address);
  const slots: number[] = [];
  await until('all queries to be received', DEADLINE_MS, () => {
    reactor.step(0, 0);
    slots.push(...reactor.received.subarray(0, reactor.control[Control.RECEIVED]));
    return slots.length === BATCH;
  });

  // Answers from the slots themselves fill the list up to its last row; the rest is made in scratch buffers.
  slots.forEach((slot, i) => {
    const inPlace = i < CAPACITY - 1;
    const at = inPlace ? slotPayload(memory, slot) : wire.scratch();
    memory.bytes.fill(i + 1, at, at + ANSWER_BYTES);
    wire.reply(slot, memory.bytes, at, ANSWER_BYTES);
  });
  wire.flush();
  await until('all answers', DEADLINE_MS, () => client.received.length === BATCH);
  t.strictSame(client.received.map(({ bytes }) => bytes[0]).sort(), slots.map((_, i) => i + 1));
});
