/** Several replies in one message: who shares one, what a thief and a kernel that refuses it make of it. */
import { execFileSync } from 'node:child_process';
import t from 'tap';
import { bindSocket, closeFd, connectSocket, Control, disarmCodePoints, Journal, layoutVersion, listenersPerMember, localAddress, onCodePoint, openSocket, receiveInto, Take } from './index.js';
import { sendId, Side } from './testing/harness.js';
import { enterOwnNamespace } from './testing/namespace.js';

enterOwnNamespace();

/** Below what the longest reply of these tests needs. */
const MTU = 600;
const LONG_BYTES = 800;
const HEADER_WORDS = 16;
const IOVLEN_WORD = 6;
const SEGMENTS_MAX = 64;

class Thief {
  private readonly side = new Side(256, 8);
  private readonly journal: Journal;

  constructor(owner: Side, listener: number) {
    this.journal = Journal.open(owner.journal.fd);
    this.side.reactor.addListener(listener, listenersPerMember);
    this.side.reactor.pauseListener(listenersPerMember);
  }

  take(slot: number): number {
    return this.side.reactor.take(this.journal, slot, listenersPerMember);
  }

  /** Sends the answer that it last took. */
  answer(): void {
    const [own, offset, length] = this.side.reactor.taken;
    this.side.reply(0, own, offset, length);
    this.side.reactor.flush(1);
  }

  close(): void {
    this.side.close();
    this.journal.release();
  }
}

/** An owner with a listener of a family, and clients of it. */
class Stage {
  readonly owner: Side;
  readonly listener: number;
  readonly askers: number[] = [];
  private readonly family: 4 | 6;
  private other: Thief | null = null;

  constructor(options: { readonly family?: 4 | 6; readonly clients?: number; readonly version?: number; readonly packetInfo?: boolean } = {}) {
    this.family = options.family ?? 4;
    const address = this.family === 4 ? '127.0.0.1' : '::1';
    this.owner = new Side(256, 128, { version: options.version ?? layoutVersion });
    this.listener = openSocket({ type: 'udp', family: this.family, packetInfo: options.packetInfo === true });
    bindSocket(this.listener, address, 0);
    this.owner.reactor.addListener(this.listener, 0, { replyFromServerAddress: options.packetInfo === true });
    for (let n = 0; n < (options.clients ?? 1); n++) {
      const fd = openSocket({ type: 'udp', family: this.family });
      bindSocket(fd, address, 0);
      connectSocket(fd, address, localAddress(this.listener).port);
      this.askers.push(fd);
    }
  }

  /** So many queries of each client, answered with as many bytes as `lengths` says, in turn; returns their slots. */
  list(each: number, ...lengths: number[]): number[] {
    for (let id = 1; id <= each; id++) for (const fd of this.askers) sendId(fd, id);
    const slots: number[] = [];
    while (slots.length < each * this.askers.length) slots.push(...this.owner.receive(1000));
    slots.forEach((slot, i) => { this.owner.reply(i, slot, this.owner.payload(slot), lengths[i % lengths.length]); });
    return slots;
  }

  /** The IDs and lengths of what each client got, in order of IDs. */
  answers(): (readonly [number, number])[][] {
    const buffer = new Uint8Array(65_536);
    return this.askers.map((fd) => {
      const got: (readonly [number, number])[] = [];
      for (let length = receiveInto(fd, buffer, 0, buffer.length, false); length >= 0; length = receiveInto(fd, buffer, 0, buffer.length, false)) {
        got.push([new DataView(buffer.buffer).getUint32(0, true), length]);
      }
      return got.sort(([a], [b]) => a - b);
    });
  }

  /** Of the first `count` messages, when they are about to be sent: how many replies each has. */
  sizes(count: number): number[] {
    const { transmitHeaderOffset } = this.owner.journal.layout;
    return Array.from({ length: count }, (_, message) => this.owner.words[transmitHeaderOffset / 4 + message * HEADER_WORDS + IOVLEN_WORD]);
  }

  /** Another member, which has the listener, too, and the owner's journal open. */
  thief(): Thief {
    this.other = new Thief(this.owner, this.listener);
    return this.other;
  }

  close(): void {
    disarmCodePoints();
    this.other?.close();
    this.owner.close();
    for (const fd of [this.listener, ...this.askers]) closeFd(fd);
  }
}

for (const family of [4, 6] as const) {
  for (const packetInfo of [false, true]) {
    t.test(`IPv${String(family)}${packetInfo ? ', with the address asked as source' : ''}: what is of one length and to one client is one message, and arrives as datagrams`, (t) => {
      const s = new Stage({ family, clients: 2, packetInfo });
      s.list(6, 40, 40, 41, 41);
      let sizes: number[] = [];
      onCodePoint('before-send', 1, () => { sizes = s.sizes(4); });
      s.owner.reactor.flush(12);
      t.same(sizes, [3, 3, 3, 3]);
      const expected = [1, 2, 3, 4, 5, 6].map((id) => [id, id % 2 === 1 ? 40 : 41]);
      t.same(s.answers(), [expected, expected]);
      t.equal(s.owner.count(Control.REPLIES_SENT), 12);
      t.equal(s.owner.count(Control.REPLY_ERRORS), 0);
      s.close();
      t.end();
    });
  }
}

t.test('a message has as many replies as the kernel cuts it into', (t) => {
  const s = new Stage();
  s.list(100, 30);
  let sizes: number[] = [];
  onCodePoint('before-send', 1, () => { sizes = s.sizes(2); });
  s.owner.reactor.flush(100);
  t.same(sizes, [SEGMENTS_MAX, 100 - SEGMENTS_MAX]);
  t.equal(s.answers()[0].length, 100);
  s.close();
  t.end();
});

t.test('in a journal of an older layout each reply is a message', (t) => {
  const s = new Stage({ version: 2 });
  s.list(3, 40);
  let sizes: number[] = [];
  onCodePoint('before-send', 1, () => { sizes = s.sizes(3); });
  s.owner.reactor.flush(3);
  t.same(sizes, [1, 1, 1]);
  t.equal(s.answers()[0].length, 3);
  s.close();
  t.end();
});

t.test('a message that the kernel does not take is sent reply by reply', (t) => {
  execFileSync('ip', ['link', 'set', 'lo', 'mtu', String(MTU)]);
  t.teardown(() => { execFileSync('ip', ['link', 'set', 'lo', 'mtu', '65536']); });
  const s = new Stage({ clients: 2 });
  // Long ones, which are cut into fragments on the way, between short ones, which are not.
  s.list(6, LONG_BYTES, LONG_BYTES, 40, 40);
  s.owner.reactor.flush(12);
  const expected = [1, 2, 3, 4, 5, 6].map((id) => [id, id % 2 === 1 ? LONG_BYTES : 40]);
  t.same(s.answers(), [expected, expected]);
  t.equal(s.owner.count(Control.REPLIES_SENT), 12);
  t.equal(s.owner.count(Control.REPLY_ERRORS), 0);
  t.equal(s.owner.count(Control.FREE_SLOTS) + s.owner.reactor.control[Control.ARMED_ENTRIES], 256, 'every slot is free or armed again');
  s.close();
  t.end();
});

for (const at of [1, 2, 3, 4]) {
  t.test(`a thief that comes when a refused message is at its ${String(at)}. send answers what is unsent, and nothing twice`, (t) => {
    execFileSync('ip', ['link', 'set', 'lo', 'mtu', String(MTU)]);
    t.teardown(() => { execFileSync('ip', ['link', 'set', 'lo', 'mtu', '65536']); });
    const s = new Stage();
    const thief = s.thief();
    const slots = s.list(3, LONG_BYTES);
    const codes: number[] = [];
    onCodePoint('before-send', at, () => {
      for (const slot of slots) {
        const code = thief.take(slot);
        codes.push(code);
        if (code !== Take.ANSWER) continue;
        thief.answer();
      }
    });
    s.owner.reactor.flush(3);
    // The first send is of the message, each further one of a reply, which is settled before the next.
    t.same(codes.filter((code) => code === Take.ANSWER).length, at === 1 ? 3 : 5 - at);
    t.same(s.answers(), [[1, 2, 3].map((id) => [id, LONG_BYTES])]);
    s.close();
    t.end();
  });
}

t.test('of a message all of whose replies are taken the owner sends nothing, and goes on', (t) => {
  const s = new Stage();
  const thief = s.thief();
  const slots = s.list(3, 40);
  onCodePoint('before-send', 1, () => {
    for (const slot of slots) t.equal(thief.take(slot), Take.ANSWER);
  });
  s.owner.reactor.flush(3);
  t.same(s.answers(), [[]]);
  t.equal(s.owner.count(Control.LOST_TO_PEER), 3);
  t.equal(s.owner.count(Control.REPLIES_SENT), 0);
  s.list(2, 40);
  s.owner.reactor.flush(2);
  t.equal(s.answers()[0].length, 2);
  s.close();
  t.end();
});

t.test('of many messages each of which a thief has taken a reply of, the owner sends the others', (t) => {
  const clients = 12;
  const s = new Stage({ clients });
  const thief = s.thief();
  const slots = s.list(2, 40);
  onCodePoint('before-send', 1, () => {
    // The first query of each client.
    for (const slot of slots.slice(0, clients)) {
      t.equal(thief.take(slot), Take.ANSWER);
      thief.answer();
    }
  });
  s.owner.reactor.flush(2 * clients);
  t.same(s.answers(), new Array(clients).fill([[1, 40], [2, 40]]));
  t.equal(s.owner.count(Control.POISONED), clients);
  t.equal(s.owner.count(Control.LOST_TO_PEER), clients);
  t.equal(s.owner.count(Control.REPLIES_SENT), clients);
  s.close();
  t.end();
});
