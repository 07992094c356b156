import t from 'tap';
import {
  closeFd,
  Control,
  disarmCodePoints,
  Journal,
  listenersPerMember,
  Meta,
  onCodePoint,
  scan,
  scanStride,
  SlotState,
  Take,
} from './index.js';
import { client, receiveIds, sendId, Side, udp } from './testing/harness.js';

/** An owner and a thief that holds a mapping of the owner's journal and a listener of the same socket. */
interface Stage {
  owner: Side;
  thief: Side;
  /** The owner's journal as the thief maps it. */
  peer: Journal;
  socket: number;
  asker: number;
  close: () => void;
}

const thiefListener = listenersPerMember;

function stage(slots = 64, batch = 8, thiefSlots = slots): Stage {
  const owner = new Side(slots, batch);
  const thief = new Side(thiefSlots, batch);
  const peer = Journal.open(owner.journal.fd);
  const socket = udp();
  const asker = client(socket);
  owner.reactor.addListener(socket, 0);
  thief.reactor.addListener(socket, thiefListener);
  thief.reactor.pauseListener(thiefListener);
  return {
    owner,
    thief,
    peer,
    socket,
    asker,
    close: () => {
      disarmCodePoints();
      owner.close();
      thief.close();
      peer.release();
      for (const fd of [socket, asker]) closeFd(fd);
    },
  };
}

function take(s: Stage, slot: number): number {
  return s.thief.reactor.take(s.peer, slot, thiefListener);
}

function answerTaken(s: Stage, code: number): void {
  const [slot, offset, length] = s.thief.reactor.taken;
  if (code === Take.ANSWER) s.thief.reply(0, slot, offset, length);
  else s.thief.reply(0, slot);
  s.thief.reactor.flush(1);
}

t.test('a query in WORK changes hands whole, and its owner learns of it when it answers', (t) => {
  const s = stage();
  sendId(s.asker, 77);
  const [slot] = s.owner.receive(1000);
  const before = s.owner.words.slice(s.owner.meta(slot), s.owner.meta(slot) + 32);
  t.same([...scan(s.peer)], [slot, SlotState.WORK, 0]);
  t.equal(take(s, slot), Take.QUERY);
  const own = s.thief.reactor.taken[0];
  const after = s.thief.words.slice(s.thief.meta(own), s.thief.meta(own) + 32);
  t.equal(after[Meta.LISTENER], thiefListener);
  t.equal(after[Meta.STEALS], 1);
  before[Meta.LISTENER] = thiefListener;
  before[Meta.STEALS] = 1;
  t.same(after, before, 'all other metadata is the same');
  t.equal(s.thief.id(own), 77);
  answerTaken(s, Take.QUERY);
  t.equal(take(s, slot), Take.NOTHING, 'stolen once only');
  t.equal(scan(s.peer).length, 0);
  s.owner.reply(0, slot);
  s.owner.reactor.flush(1);
  t.same(receiveIds(s.asker), [77], 'one answer');
  t.equal(s.owner.count(Control.LOST_TO_PEER), 1);
  t.equal(s.owner.state(slot), SlotState.FREE, 'the owner has its slot back');
  s.close();
  t.end();
});

t.test('a datagram that the owner received and never noticed is taken with its metadata', (t) => {
  const s = stage();
  for (const id of [1, 2, 3]) sendId(s.asker, id);
  const codes: number[] = [];
  onCodePoint('after-receive', 1, () => {
    const rows = scan(s.peer);
    for (let i = 0; i < rows.length; i += scanStride) {
      t.same([...rows.subarray(i + 1, i + 3)], [SlotState.ARMED, 1]);
      codes.push(take(s, rows[i]));
      const meta = s.thief.meta(s.thief.reactor.taken[0]);
      t.equal(s.thief.words[meta + Meta.LENGTH], 4);
      t.equal(s.thief.words[meta + Meta.LISTENER], thiefListener);
      answerTaken(s, Take.QUERY);
    }
  });
  t.same(s.owner.receive(1000), [], 'nothing is left for the owner');
  t.same(codes, [Take.QUERY, Take.QUERY, Take.QUERY]);
  t.equal(s.thief.count(Control.TAKEN_ARMED), 3);
  t.equal(s.owner.count(Control.LOST_TO_PEER), 3);
  t.same(receiveIds(s.asker).sort(), [1, 2, 3]);
  sendId(s.asker, 4);
  t.equal(s.owner.receive(1000).length, 1, 'the owner goes on');
  s.close();
  t.end();
});

t.test('of two members that each take the other for hung, one ends up with the query', (t) => {
  const s = stage();
  const back = Journal.open(s.thief.journal.fd);
  sendId(s.asker, 7);
  const [slot] = s.owner.receive(1000);
  onCodePoint('steal-before-swap', 1, () => {
    const [copy] = scan(back);
    t.equal(s.owner.reactor.take(back, copy), Take.MOOT, 'the owner still has it');
  });
  t.equal(take(s, slot), Take.QUERY);
  answerTaken(s, Take.QUERY);
  s.owner.reply(0, slot);
  s.owner.reactor.flush(1);
  t.same(receiveIds(s.asker), [7]);
  back.release();
  s.close();
  t.end();
});

t.test('what was stolen is taken back from a dead thief, also when its slot was stolen from once more', (t) => {
  const s = stage(1, 1, 8);
  const back = Journal.open(s.thief.journal.fd);
  const copies = [1, 2].map((id) => {
    sendId(s.asker, id);
    const [slot] = s.owner.receive(1000);
    t.equal(take(s, slot), Take.QUERY);
    s.owner.reactor.freeSlot(slot);
    return s.thief.reactor.taken[0];
  });
  for (const [i, copy] of copies.entries()) {
    t.equal(s.owner.reactor.take(back, copy, 0, true), Take.QUERY);
    const [own] = s.owner.reactor.taken;
    t.equal(s.owner.id(own), i + 1);
    s.owner.reactor.freeSlot(own);
  }
  back.release();
  s.close();
  t.end();
});

t.test('armed slots in which nothing has arrived are not taken', (t) => {
  const s = stage();
  s.owner.receive();
  t.equal(scan(s.peer).length, 0);
  for (let slot = 0; slot < s.peer.layout.slots; slot++) t.equal(take(s, slot), Take.NOTHING);
  s.close();
  t.end();
});

t.test('ABA: a thief that pauses between copy and swap does not steal the slot’s next query', (t) => {
  const s = stage(1, 1);
  sendId(s.asker, 1);
  const [slot] = s.owner.receive(1000);
  onCodePoint('steal-before-swap', 1, () => {
    s.owner.reply(0, slot);
    s.owner.reactor.flush(1);
    sendId(s.asker, 2);
    t.same(s.owner.receive(1000), [slot], 'the same slot has another query, again in WORK');
  });
  t.equal(take(s, slot), Take.RACE);
  t.equal(s.thief.count(Control.TAKE_RACES), 1);
  t.equal(s.owner.state(slot), SlotState.WORK);
  s.owner.reply(0, slot);
  s.owner.reactor.flush(1);
  t.same(receiveIds(s.asker), [1, 2], 'each answered once');
  t.equal(s.owner.count(Control.LOST_TO_PEER), 0);
  t.equal(s.thief.reactor.allocateSlot(), 0, 'the thief has its own slot back');
  s.close();
  t.end();
});

t.test('ABA while ARMED: the entry is used again before the swap', (t) => {
  const s = stage(1, 1);
  sendId(s.asker, 1);
  onCodePoint('after-receive', 1, () => {
    const codeInside: number[] = [];
    onCodePoint('steal-before-swap', 1, () => {
      // What the owner does next, by hand: the same word, one generation on.
      const at = s.owner.journal.layout.stateOffset / 4;
      s.owner.words[at] += 8;
    });
    codeInside.push(take(s, 0));
    t.same(codeInside, [Take.RACE]);
    s.owner.words[s.owner.journal.layout.stateOffset / 4] -= 8;
  });
  const [slot] = s.owner.receive(1000);
  t.equal(s.owner.id(slot), 1, 'the owner kept it');
  s.close();
  t.end();
});

t.test('late send: an owner stopped between SEND and the call does not answer a second time', (t) => {
  const s = stage();
  for (const id of [1, 2, 3]) sendId(s.asker, id);
  const slots = s.owner.receive(1000);
  slots.forEach((slot, i) => {
    s.owner.reply(i, slot);
  });
  onCodePoint('before-send', 1, () => {
    t.same([...scan(s.peer)].filter((_, i) => i % 3 === 1), [3, 3, 3], 'all in SEND');
    const code = take(s, slots[1]);
    t.equal(code, Take.ANSWER);
    answerTaken(s, code);
    t.same(receiveIds(s.asker), [2], 'the thief has answered');
  });
  s.owner.reactor.flush(3);
  t.same(receiveIds(s.asker), [1, 3], 'the owner sends the others alone');
  t.equal(s.owner.count(Control.POISONED), 1);
  t.equal(s.owner.count(Control.LOST_TO_PEER), 1);
  t.equal(s.owner.count(Control.REPLIES_SENT), 2);
  t.strictSame([s.owner.count(Control.CROSSED), s.thief.count(Control.CROSSED)], [0, 1], 'the thief cannot know how far the owner was');
  t.equal(s.owner.count(Control.REPLY_ERRORS), 0);
  s.close();
  t.end();
});

t.test('an answer that was sent but not noted is not sent again', (t) => {
  const s = stage();
  sendId(s.asker, 1);
  const [slot] = s.owner.receive(1000);
  s.owner.reply(0, slot);
  onCodePoint('after-send', 1, () => {
    t.equal(take(s, slot), Take.SENT);
  });
  s.owner.reactor.flush(1);
  t.same(receiveIds(s.asker), [1]);
  t.equal(s.thief.count(Control.TAKEN_SENT), 1);
  t.equal(s.owner.count(Control.REPLIES_SENT), 1);
  t.strictSame([s.owner.count(Control.CROSSED), s.thief.count(Control.CROSSED)], [1, 0], 'the owner cannot know that the thief saw it');
  s.close();
  t.end();
});

t.test('poison that hits a header already in use again is undone by the owner, who sends', (t) => {
  const s = stage();
  for (const id of [1, 2, 3]) sendId(s.asker, id);
  const slots = s.owner.receive(1000);
  slots.forEach((slot, i) => {
    s.owner.reply(i, slot);
  });
  onCodePoint('before-send', 1, () => {
    const { transmitHeaderOffset } = s.owner.journal.layout;
    // All three are one message, the first.
    const header = transmitHeaderOffset / 4;
    s.owner.words.fill(0, header, header + 3);
  });
  s.owner.reactor.flush(3);
  t.same(receiveIds(s.asker), [1, 2, 3]);
  t.equal(s.owner.count(Control.POISONED), 1);
  t.equal(s.owner.count(Control.REPLIES_SENT), 3);
  s.close();
  t.end();
});

t.test('a large answer goes through the adoption buffer, one at a time', (t) => {
  const s = stage();
  for (const id of [1, 2]) sendId(s.asker, id);
  const slots = s.owner.receive(1000);
  const { answerOffset, answerStride } = s.owner.journal.layout;
  slots.forEach((slot, i) => {
    const offset = answerOffset + i * answerStride;
    s.owner.bytes.fill(i + 1, offset, offset + 5000);
    s.owner.reply(i, slot, offset, 5000);
  });
  onCodePoint('before-send', 1, () => {
    t.equal(take(s, slots[0]), Take.ANSWER);
    const [own, offset, length] = s.thief.reactor.taken;
    t.equal(take(s, slots[1]), Take.FLUSH_FIRST);
    s.thief.reply(0, own, offset, length);
    s.thief.reactor.flush(1);
    t.equal(take(s, slots[1]), Take.ANSWER);
    answerTaken(s, Take.ANSWER);
  });
  s.owner.reactor.flush(2);
  t.same(receiveIds(s.asker), [0x01010101, 0x02020202]);
  s.close();
  t.end();
});

t.test('without a free slot, or the listener, nothing is taken', (t) => {
  const s = stage(4, 2);
  sendId(s.asker, 1);
  const [slot] = s.owner.receive(1000);
  const mine = [0, 1, 2, 3].map(() => s.thief.reactor.allocateSlot());
  t.equal(take(s, slot), Take.NO_SLOT);
  t.equal(s.owner.state(slot), SlotState.WORK);
  for (const own of mine) s.thief.reactor.freeSlot(own);
  sendId(s.asker, 2);
  onCodePoint('after-receive', 1, () => {
    const armed = scan(s.peer).find((_, i, rows) => i % 3 === 0 && rows[i + 1] === SlotState.ARMED)!;
    t.equal(s.thief.reactor.take(s.peer, armed, 2 * listenersPerMember), Take.UNKNOWN_LISTENER);
  });
  t.equal(s.owner.receive(1000).length, 1);
  s.close();
  t.end();
});

t.test('a stolen query that is stolen back counts both thefts', (t) => {
  const s = stage();
  sendId(s.asker, 1);
  const [slot] = s.owner.receive(1000);
  const back = Journal.open(s.thief.journal.fd);
  t.equal(take(s, slot), Take.QUERY);
  t.equal(s.owner.reactor.take(back, s.thief.reactor.taken[0], listenersPerMember), Take.QUERY);
  const own = s.owner.reactor.taken[0];
  t.equal(s.owner.id(own), 1);
  t.equal(s.owner.words[s.owner.meta(own) + Meta.LISTENER], 0);
  t.equal(s.owner.words[s.owner.meta(own) + Meta.STEALS], 2);
  back.release();
  s.close();
  t.end();
});

t.test('what the owner received through a socket that is ours is answered as ours, wherever it was killed', (t) => {
  const s = stage();
  // The owner reads a second socket, the thief's own, as it does while it answers for the thief.
  const ours = udp();
  const asker = client(ours);
  s.thief.reactor.addListener(ours, 1);
  s.thief.reactor.pauseListener(1);
  s.owner.reactor.addListener(ours, 3 * listenersPerMember + 1);
  sendId(asker, 1);
  const [slot] = s.owner.receive(1000);
  t.equal(take(s, slot), Take.QUERY, 'noticed');
  answerTaken(s, Take.QUERY);
  sendId(asker, 2);
  const [other] = s.owner.receive(1000);
  s.owner.reply(0, other);
  onCodePoint('before-send', 1, () => {
    t.equal(take(s, other), Take.ANSWER, 'about to be answered');
    answerTaken(s, Take.ANSWER);
  });
  s.owner.reactor.flush(1);
  sendId(asker, 3);
  onCodePoint('after-receive', 1, () => {
    const [armed] = scan(s.peer);
    t.equal(take(s, armed), Take.QUERY, 'received and not noticed');
    t.equal(s.thief.words[s.thief.meta(s.thief.reactor.taken[0]) + Meta.LISTENER], 1);
    answerTaken(s, Take.QUERY);
  });
  t.same(s.owner.receive(1000), []);
  t.same(receiveIds(asker), [1, 2, 3]);
  s.thief.reactor.removeListener(1);
  s.close();
  for (const fd of [ours, asker]) closeFd(fd);
  t.end();
});

t.test('a reactor refuses to be entered from its own code point', (t) => {
  const s = stage();
  sendId(s.asker, 1);
  onCodePoint('after-take', 1, () => {
    t.throws(() => s.owner.reactor.step(0, 0), { code: 'EBUSY' });
    t.throws(() => { s.owner.reactor.close(); }, { code: 'EBUSY' });
  });
  t.equal(s.owner.receive(1000).length, 1);
  t.throws(() => { onCodePoint('nowhere' as 'mid-batch', 1, () => undefined); }, { code: 'ERR_INVALID_ARG_VALUE' });
  t.throws(() => { onCodePoint('mid-batch', 0, () => undefined); }, { code: 'ERR_INVALID_ARG_VALUE' });
  s.close();
  t.end();
});
