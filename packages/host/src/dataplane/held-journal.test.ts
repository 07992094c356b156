import t from 'tap';
import { SLOT, SLOT_FLAG, slotWord, TAKEN } from '@tandem/core';
import { bindSocket, closeFd, connectSocket, localAddress, onCodePoint, openSocket, sendFrom } from 'node-reuseport';
import { BATCH, HELD_BASE, Stage } from './testing/takeover-stage.js';

t.test('a datagram that its owner has not looked at is taken, whatever its slot held before', (t) => {
  const stage = new Stage(t);
  const { owner, thief } = stage;
  const socket = openSocket({ type: 'udp', family: 4 });
  const asker = openSocket({ type: 'udp', family: 4 });
  bindSocket(socket, '127.0.0.1', 0);
  const { address, port } = localAddress(socket);
  connectSocket(asker, address, port);
  // Every slot that is not armed yet has held a query that came by TCP.
  for (let slot = owner.reactor.allocateSlot(), slots = [slot]; ; slots.push(slot)) {
    owner.memory.words[slotWord(owner.memory, slot) + SLOT.flags] = SLOT_FLAG.tcp;
    slot = owner.reactor.allocateSlot();
    if (slot >= 0) continue;
    for (const each of slots) owner.reactor.freeSlot(each);
    break;
  }
  owner.reactor.addListener(socket, 0);
  thief.reactor.addListener(socket, HELD_BASE);
  thief.reactor.pauseListener(HELD_BASE);
  const codes: number[] = [];
  for (let datagram = 0; datagram < 2 * BATCH; datagram++) {
    sendFrom(asker, new Uint8Array(40).fill(datagram), 0, 40);
    // The first ones go through the entries that were armed before, and stay in their slots.
    if (datagram >= BATCH) onCodePoint('after-receive', 1, () => codes.push(...stage.take(false)));
    owner.reactor.step(0, 1000);
    if (datagram === BATCH - 1) codes.push(...stage.take(false));
  }
  t.same(codes, new Array(2 * BATCH).fill(TAKEN.query));
  t.same(thief.asked.map((slot) => thief.question(slot)[0]).sort(), [0, 1, 2, 3, 4, 5, 6, 7]);
  owner.reactor.removeListener(0);
  thief.reactor.removeListener(HELD_BASE);
  for (const fd of [socket, asker]) closeFd(fd);
  t.end();
});

t.test('a slot into which its owner has put nothing yet is left alone', (t) => {
  const stage = new Stage(t);
  const slot = stage.owner.reactor.allocateSlot();
  t.same(stage.take(false), []);
  stage.owner.reactor.freeSlot(slot);
  t.equal(stage.owner.freeSlots, stage.owner.slotsFree);
  t.equal(stage.thief.freeSlots, stage.thief.slotsFree);
  t.end();
});
