/** Two reasons to leave a listener unread, the caller's pause and the want of slots: each holds while it lasts, alone. */
import t from 'tap';
import { closeFd, Control } from './index.js';
import { client, receiveIds, sendId, Side, udp } from './testing/harness.js';

interface Scene {
  b: Side;
  listeners: number[];
  askers: number[];
  /** Steps once and returns the ids received; their slots are kept in `held`. */
  read: (timeoutMs?: number) => number[];
  held: number[];
  freeHeld: () => void;
  close: () => void;
}

/** Two listeners, 0 and 1; four slots, all of which one step can fill. */
function scene(): Scene {
  const b = new Side(4, 4);
  const listeners = [udp(), udp()];
  const askers = listeners.map(client);
  listeners.forEach((fd, index) => {
    b.reactor.addListener(fd, index);
  });
  const held: number[] = [];
  return {
    b,
    listeners,
    askers,
    held,
    read: (timeoutMs = 0) => {
      const slots = b.receive(timeoutMs);
      held.push(...slots);
      return slots.map((slot) => b.id(slot));
    },
    freeHeld: () => {
      for (const slot of held.splice(0)) b.reactor.freeSlot(slot);
    },
    close: () => {
      b.close();
      for (const fd of [...listeners, ...askers]) closeFd(fd);
    },
  };
}

t.test('a listener that the caller paused stays paused when slots return', (t) => {
  const s = scene();
  s.b.reactor.pauseListener(1);
  sendId(s.askers[1], 100);
  for (let id = 0; id < 6; id++) sendId(s.askers[0], id);
  t.same(s.read(1000), [0, 1, 2, 3]);
  t.same(s.read(), []);
  t.equal(s.b.count(Control.PAUSED), 1, 'no slot is left');
  s.freeHeld();
  t.same(s.read(1000), [4, 5]);
  t.equal(s.b.count(Control.PAUSED), 0);
  t.same(s.read(), [], 'its datagram waits');
  s.b.reactor.resumeListener(1);
  t.same(s.read(1000), [100]);
  s.close();
  t.end();
});

t.test('pausing and resuming while no slot is left take effect when slots return', (t) => {
  const s = scene();
  for (let id = 0; id < 4; id++) sendId(s.askers[0], id);
  t.equal(s.read(1000).length, 4);
  sendId(s.askers[0], 4);
  sendId(s.askers[1], 100);
  t.same(s.read(), []);
  s.b.reactor.pauseListener(1);
  s.b.reactor.pauseListener(1);
  s.freeHeld();
  t.same(s.read(1000), [4], 'the paused one is not read');
  for (let id = 5; id < 8; id++) sendId(s.askers[0], id);
  t.same(s.read(1000), [5, 6, 7]);
  t.same(s.read(), []);
  s.b.reactor.resumeListener(1);
  s.b.reactor.resumeListener(1);
  t.equal(s.b.reactor.step(0, 0), 0, 'a resumed listener waits for a slot without waking the loop');
  t.equal(s.b.count(Control.PAUSED), 1);
  s.freeHeld();
  t.same(s.read(1000), [100]);
  s.close();
  t.end();
});

t.test('a listener that is added and paused at once is never read, with slots or without', (t) => {
  const s = scene();
  const [early, late] = [udp(), udp()];
  const askers = [early, late].map(client);
  for (const fd of askers) sendId(fd, 7);
  s.b.reactor.addListener(early, 2);
  s.b.reactor.pauseListener(2);
  for (let id = 0; id < 4; id++) sendId(s.askers[0], id);
  t.same(s.read(1000), [0, 1, 2, 3]);
  t.same(s.read(), []);
  t.equal(s.b.count(Control.PAUSED), 1);
  s.b.reactor.addListener(late, 3);
  s.b.reactor.pauseListener(3);
  for (let round = 0; round < 3; round++) {
    s.freeHeld();
    sendId(s.askers[0], round);
    t.same(s.read(1000), [round]);
    t.same(s.read(), []);
  }
  t.same([early, late].map(receiveIds), [[7], [7]], 'what came is there for another holder of the socket');
  s.close();
  for (const fd of [early, late, ...askers]) closeFd(fd);
  t.end();
});

for (const how of ['pauseListener', 'removeListener'] as const) {
  t.test(`a listener that epoll has named and whose turn had not come is not read after ${how}`, (t) => {
    const s = scene();
    for (let id = 0; id < 4; id++) sendId(s.askers[0], id);
    for (let id = 100; id < 104; id++) sendId(s.askers[1], id);
    const first = s.read(1000);
    const other = first[0] < 100 ? 1 : 0;
    t.equal(new Set(first.map((id) => id < 100)).size, 1, 'one socket filled the batch');
    s.b.reactor[how](other);
    s.freeHeld();
    t.same(s.read(), []);
    t.equal(receiveIds(s.listeners[other]).length, 4);
    s.close();
    t.end();
  });
}

t.test('a listener that could not be polled again is tried at every step', (t) => {
  const s = scene();
  for (let id = 0; id < 4; id++) sendId(s.askers[0], id);
  t.equal(s.read(1000).length, 4);
  t.same(s.read(), []);
  t.equal(s.b.count(Control.PAUSED), 1);
  closeFd(s.listeners[0]);
  s.freeHeld();
  sendId(s.askers[1], 100);
  t.same(s.read(1000), [100], 'the other listener is read');
  t.equal(s.b.count(Control.RECEIVE_ERRORS), 1, 'epoll refused the descriptor');
  s.listeners[0] = udp();
  const asker = client(s.listeners[0]);
  sendId(asker, 5);
  t.same(s.read(1000), [5], 'the number names a socket again');
  t.equal(s.b.count(Control.RECEIVE_ERRORS), 1);
  closeFd(asker);
  s.close();
  t.end();
});
