/** A second process is killed, or stopped, at each named place; this one finishes what it owed. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import {
  closeFd,
  type CodePoint,
  connectSocket,
  Control,
  disarmCodePoints,
  Journal,
  listenersPerMember,
  onCodePoint,
  scan,
  scanStride,
  SlotState,
  Take,
} from './index.js';
import { client, receiveIds, sendId, Side, udp } from './testing/harness.js';
import { SecondProcess } from './testing/second-process.js';

const total = 1000;
const askerCount = 8;
const chunk = 50;
const adoptedListener = listenersPerMember;

/** The test's end: its own reactor, the other's journal and socket, and the clients. */
class Survivor {
  readonly side = new Side(2048, 32);
  readonly peer: Journal;
  readonly other: SecondProcess;
  readonly answers = new Map<number, number>();
  sent = 0;
  private readonly listener: number;
  private readonly askers: number[] = [];
  private readonly received: BigUint64Array;

  constructor(args: readonly string[]) {
    this.other = new SecondProcess(['owner', ...args]);
    const [listener, journal] = this.other.hear()!.fds;
    this.listener = listener;
    this.peer = Journal.open(journal);
    closeFd(journal);
    this.other.say('bind');
    const port = Number(this.other.hear()!.text);
    for (let i = 0; i < askerCount; i++) {
      const fd = udp();
      connectSocket(fd, '127.0.0.1', port);
      this.askers.push(fd);
    }
    this.received = new BigUint64Array(this.peer.buffer, this.peer.layout.countersOffset, 1);
    this.side.reactor.addListener(listener, adoptedListener);
    this.side.reactor.pauseListener(adoptedListener);
  }

  /** Stopped by the signal; a late heartbeat alone may be a busy machine. */
  isStopped(): boolean {
    const status = readFileSync(`/proc/${String(this.other.process.pid)}/stat`, 'utf8');
    return status.slice(status.lastIndexOf(')')).startsWith(') T');
  }

  collect(): void {
    for (const fd of this.askers) {
      for (const id of receiveIds(fd)) this.answers.set(id, (this.answers.get(id) ?? 0) + 1);
    }
  }

  send(count: number): void {
    for (let i = 0; i < count && this.sent < total; i++, this.sent++) {
      sendId(this.askers[this.sent % askerCount], this.sent);
    }
    this.collect();
  }

  /** Sends in chunks that the socket's queue can hold, until the other has come to its point. */
  sendUntil(happened: () => boolean): void {
    while (this.sent < total && !happened()) {
      this.send(chunk);
      this.other.until(() => happened() || Number(this.received[0]) >= this.sent, 'the owner to receive');
    }
  }

  /** Takes everything that the other owes and answers it; returns the codes. */
  takeAll(ownerGone: boolean): number[] {
    const rows = scan(this.peer);
    const codes: number[] = [];
    for (let i = 0; i < rows.length; i += scanStride) {
      const code = this.side.reactor.take(this.peer, rows[i], adoptedListener, ownerGone);
      codes.push(code);
      const [slot, offset, length] = this.side.reactor.taken;
      if (code === Take.QUERY) this.side.reply(0, slot);
      else if (code === Take.ANSWER) this.side.reply(0, slot, offset, length);
      else continue;
      this.side.reactor.flush(1);
    }
    this.collect();
    return codes;
  }

  serve(): void {
    this.side.reactor.resumeListener(adoptedListener);
    for (let idle = false; !(idle && this.sent === total); ) {
      // Only when nothing waits: the queue of a socket holds a few hundred datagrams.
      if (idle) this.send(chunk);
      const slots = this.side.receive(this.sent < total ? 0 : 10);
      slots.forEach((slot, i) => {
        this.side.reply(i, slot);
      });
      this.side.reactor.flush(slots.length);
      this.collect();
      idle = slots.length === 0;
    }
  }

  /** [lost, answered twice] */
  faults(): [number, number] {
    let lost = 0;
    let twice = 0;
    for (let id = 0; id < total; id++) {
      const count = this.answers.get(id) ?? 0;
      if (count === 0) lost++;
      if (count > 1) twice++;
    }
    return [lost, twice];
  }

  close(): void {
    disarmCodePoints();
    this.other.end();
    this.side.close();
    this.peer.release();
    for (const fd of [...this.askers, this.listener]) closeFd(fd);
  }
}

const killed: readonly [CodePoint, number, number][] = [
  ['before-receive', 9, Control.TAKEN_QUERIES],
  ['after-receive', 9, Control.TAKEN_ARMED],
  ['mid-batch', 9, Control.TAKEN_ARMED],
  ['after-take', 9, Control.TAKEN_QUERIES],
  ['before-send', 5, Control.TAKEN_ANSWERS],
  ['after-send', 5, Control.TAKEN_SENT],
];

for (const [point, countdown, counter] of killed) {
  t.test(`a process killed at ${point} leaves no query unanswered and none answered twice`, (t) => {
    const s = new Survivor([point, String(countdown)]);
    s.sendUntil(() => s.other.isGone());
    t.ok(s.other.isGone(), 'it died');
    t.ok(s.sent < total, 'in the middle of the traffic');
    s.takeAll(true);
    t.equal(scan(s.peer).length, 0, 'it owes nothing any more');
    s.serve();
    t.same(s.faults(), [0, 0]);
    t.ok(s.side.count(Control.TAKEN_QUERIES) > 0, `queries taken: ${String(s.side.count(Control.TAKEN_QUERIES))}`);
    t.ok(s.side.count(counter) > 0, `the counter of this place: ${String(s.side.count(counter))}`);
    s.close();
    t.end();
  });
}

for (const point of ['after-receive', 'after-take', 'before-send', 'after-send'] as const) {
  t.test(`a process stopped at ${point} and woken after the takeover answers nothing twice`, (t) => {
    const s = new Survivor([point, '5', 'SIGSTOP']);
    s.sendUntil(() => s.isStopped());
    t.ok(s.isStopped(), 'it stopped');
    s.takeAll(false);
    s.other.process.kill('SIGCONT');
    s.serve();
    s.other.say('finish');
    s.other.until(() => {
      s.collect();
      return scan(s.peer).length === 0;
    }, 'the owner to finish');
    s.other.say('report');
    const control = JSON.parse(s.other.hear()!.text) as number[];
    s.collect();
    t.same(s.faults(), [0, 0]);
    t.ok(control[Control.LOST_TO_PEER] > 0, 'it found slots taken');
    if (point === 'before-send') t.ok(control[Control.POISONED] > 0, 'its late send was refused');
    if (point === 'after-receive') t.ok(s.side.count(Control.TAKEN_ARMED) > 0);
    s.close();
    t.end();
  });
}

t.test('an owner that sends between the thief’s swap and its poison leaves word, and the thief does not send', (t) => {
  const s = new Survivor(['before-send', '5', 'SIGSTOP']);
  s.sendUntil(() => s.isStopped());
  t.ok(s.isStopped(), 'it stopped');
  const rows = scan(s.peer);
  let slot = -1;
  for (let i = 0; i < rows.length; i += scanStride) if (rows[i + 1] === SlotState.SEND) slot = rows[i];
  t.ok(slot >= 0);
  const words = new Uint32Array(s.peer.buffer);
  onCodePoint('steal-after-swap', 1, () => {
    s.other.process.kill('SIGCONT');
    const at = s.peer.layout.stateOffset / 4 + slot;
    s.other.until(() => (words[at] & 7) !== SlotState.STOLEN, 'the owner to take its slot back');
  });
  t.equal(s.side.reactor.take(s.peer, slot, adoptedListener), Take.SENT);
  s.serve();
  s.other.say('finish');
  s.other.until(() => {
    s.collect();
    return scan(s.peer).length === 0;
  }, 'the owner to finish');
  s.collect();
  t.same(s.faults(), [0, 0]);
  s.close();
  t.end();
});

const dyingThief: readonly [CodePoint, number][] = [
  ['steal-before-swap', Take.MOOT],
  ['steal-after-swap', Take.SENT],
  ['steal-after-poison', Take.QUERY],
];

for (const [point, expected] of dyingThief) {
  t.test(`a thief killed at ${point} of a living owner’s answer costs no answer and no second one`, (t) => {
    const owner = new Side(64, 8);
    const socket = udp();
    const asker = client(socket);
    owner.reactor.addListener(socket, 0);
    const thief = new SecondProcess(['thief', point, '1']);
    thief.say('sockets', [socket, owner.journal.fd]);
    const [fd] = thief.hear()!.fds;
    const back = Journal.open(fd);
    sendId(asker, 5);
    const [slot] = owner.receive(1000);
    owner.reply(0, slot);
    onCodePoint('before-send', 1, () => {
      thief.say('take');
      t.equal(thief.hear(), null, 'it died');
    });
    owner.reactor.flush(1);
    const [copy] = scan(back);
    const code = owner.reactor.take(back, copy);
    t.equal(code, expected);
    if (code === Take.QUERY) {
      owner.reply(0, owner.reactor.taken[0]);
      owner.reactor.flush(1);
    }
    t.same(receiveIds(asker), [5]);
    thief.end();
    back.release();
    owner.close();
    for (const each of [fd, socket, asker]) closeFd(each);
    t.end();
  });
}

t.test('two processes that take from one journal at the same time take each slot once', (t) => {
  const owner = new Side(2000, 8);
  const here = new Side(2000, 8);
  const socket = udp();
  const asker = client(socket);
  const there = new SecondProcess(['thief']);
  there.say('sockets', [socket, owner.journal.fd]);
  const [fd] = there.hear()!.fds;
  const slots: number[] = [];
  for (let slot = owner.reactor.allocateSlot(); slot >= 0; slot = owner.reactor.allocateSlot()) slots.push(slot);
  const half = slots.length / 2;
  let elsewhere = 0;
  // This one stops between copy and swap of its next slot; the other takes all that is left, that slot, too.
  onCodePoint('steal-before-swap', half + 1, () => {
    there.say('take');
    elsewhere = Number(there.hear()!.text);
  });
  const codes = slots.map((slot) => here.reactor.take(owner.journal, slot));
  t.equal(codes.filter((code) => code === Take.QUERY).length, half);
  t.equal(codes.filter((code) => code === Take.RACE).length, 1);
  t.equal(codes.filter((code) => code === Take.NOTHING).length, half - 1);
  t.equal(elsewhere, half);
  for (const slot of slots) owner.reactor.freeSlot(slot);
  t.equal(owner.count(Control.LOST_TO_PEER), 2000);
  there.end();
  here.close();
  owner.close();
  for (const each of [fd, socket, asker]) closeFd(each);
  t.end();
});
