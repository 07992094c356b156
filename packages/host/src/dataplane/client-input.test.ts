import t, { type Test } from 'tap';
import { acceptConnection, bindSocket, closeFd, connectTcp, Journal, listenSocket, localAddress, openSocket, Reactor, ReadyEvent, sendFrom, shutdownFd, tcpProgress } from 'node-reuseport';
import { Claim } from './claim.js';
import { ClientInput, type Look } from './client-input.js';
import { ConnectionRecords, type OwnRecord } from './connection-records.js';
import { privateRegion } from './shared-region.js';
import { framed } from './testing/messages.js';

const CAPACITY = 100;

class Rig {
  readonly client: number;
  readonly server: number;
  readonly records = new ConnectionRecords(privateRegion(1));
  readonly record: OwnRecord = this.records.allocate(0)!;
  readonly input: ClientInput;
  private readonly reactor: Reactor;

  constructor(t: Test, start = { consumed: 0, skip: 0 }) {
    const listener = openSocket({ type: 'tcp', family: 4 });
    bindSocket(listener, '127.0.0.1', 0);
    listenSocket(listener, 1);
    this.client = connectTcp(localAddress(listener));
    this.server = acceptConnection(listener);
    const claim = new Claim(this.records, this.record);
    claim.acquire();
    this.input = new ClientInput(this.server, CAPACITY, { records: this.records, claim }, start);
    const journal = Journal.create({ slots: 1, batch: 1 });
    this.reactor = new Reactor(journal);
    this.reactor.watch(this.server, 1, ReadyEvent.IN);
    t.teardown(() => {
      this.reactor.close();
      journal.release();
      for (const fd of [listener, this.client, this.server]) closeFd(fd);
    });
  }

  send(bytes: Uint8Array): void {
    sendFrom(this.client, bytes, 0, bytes.length);
  }

  /** The socket is said to be readable. */
  isReadable(): boolean {
    return this.reactor.step(0, 0) > 0;
  }

  /** Looks, takes `max` messages at most, consumes. */
  take(max = Infinity): { readonly look: Look; readonly messages: readonly string[]; readonly ends: readonly number[] } {
    const look = this.input.look(true);
    const [messages, ends]: [string[], number[]] = [[], []];
    if (look === 'some') {
      for (let frame = this.input.next(); frame !== null && messages.length < max; frame = this.input.next()) {
        messages.push(Buffer.from(frame.bytes).toString('latin1') + (frame.truncated ? '…' : ''));
        ends.push(frame.streamEnd);
        this.input.taken(frame);
      }
      this.input.consume();
    }
    return { look, messages, ends };
  }

  get consumed(): number {
    const { received, unread } = tcpProgress(this.server);
    return received - unread;
  }
}

t.test('messages come one by one, each with where it ends in the stream; what was not taken stays in the socket', (t) => {
  const rig = new Rig(t);
  rig.send(Buffer.concat(['one', 'two', 'three'].map((text) => framed(Buffer.from(text)))));
  t.strictSame(rig.take(2), { look: 'some', messages: ['one', 'two'], ends: [5, 10] });
  t.equal(rig.consumed, 10);
  t.strictSame(rig.take(), { look: 'some', messages: ['three'], ends: [17] });
  t.equal(rig.consumed, 17);
  t.strictSame(rig.take().look, 'none');
  t.end();
});

t.test('a message in pieces is left in the socket, which is readable again only when it is whole', (t) => {
  const rig = new Rig(t);
  const message = framed(Buffer.from('in pieces'));
  for (let at = 0; at < message.length - 1; at++) {
    rig.send(message.subarray(at, at + 1));
    t.strictSame(rig.take(), { look: 'none', messages: [], ends: [] });
    t.equal(rig.isReadable(), false, `${at + 1} bytes of ${message.length}`);
  }
  t.equal(rig.consumed, 0);
  rig.send(message.subarray(message.length - 1));
  t.ok(rig.isReadable());
  t.strictSame(rig.take().messages, ['in pieces']);
  rig.send(Buffer.of(0));
  t.ok(rig.isReadable(), 'one byte is enough for the next look');
  t.end();
});

t.test('a message of no bytes is one', (t) => {
  const rig = new Rig(t);
  rig.send(Buffer.concat([framed(Buffer.alloc(0)), framed(Buffer.from('x'))]));
  t.strictSame(rig.take(), { look: 'some', messages: ['', 'x'], ends: [2, 5] });
  t.end();
});

t.test('the end is told when nothing whole is before it: at once, or in the middle of a message', (t) => {
  for (const piece of [[], [0], [0, 9], [0, 9, 1, 2]]) {
    const rig = new Rig(t);
    rig.send(Buffer.concat([framed(Buffer.from('whole')), Buffer.from(piece)]));
    shutdownFd(rig.client, 'write');
    t.strictSame(rig.take().messages, ['whole']);
    // A piece is found to be one, and then that nothing follows.
    const looks = [rig.take().look, rig.take().look, rig.take().look];
    t.equal(looks.at(-1), 'end', `after ${piece.length} bytes: ${looks.join()}`);
    t.ok(rig.isReadable(), 'the end makes it readable, whatever the low-water mark');
  }
  t.end();
});

t.test('of an overlong message as much is given as a slot takes, and the rest is thrown away as it comes', (t) => {
  const rig = new Rig(t);
  const overlong = framed(Buffer.alloc(1000, 'o'));
  rig.send(overlong.subarray(0, 60));
  t.equal(rig.take().look, 'none');
  rig.send(overlong.subarray(60, 300));
  const { messages, ends } = rig.take();
  t.strictSame([messages, ends], [['o'.repeat(CAPACITY) + '…'], [2 + CAPACITY]]);
  const { skipFrom, skipUntil } = rig.records.find(rig.record);
  t.strictSame([skipFrom, skipUntil], [2 + CAPACITY, overlong.length]);
  rig.send(overlong.subarray(300, 900));
  t.equal(rig.take().look, 'none');
  rig.send(Buffer.concat([overlong.subarray(900), framed(Buffer.from('next'))]));
  t.strictSame(rig.take(), { look: 'some', messages: ['next'], ends: [overlong.length + 6] });
  t.end();
});

t.test('another member\'s place in the stream is gone on from, in the middle of an overlong message too', (t) => {
  const rig = new Rig(t, { consumed: -4, skip: 3 });
  const { skipFrom, skipUntil } = rig.records.find(rig.record);
  t.strictSame([skipFrom, skipUntil], [-4, -1], 'the next one finds it, too');
  rig.send(Buffer.concat([Buffer.from('xxx'), framed(Buffer.from('go on'))]));
  t.strictSame(rig.take(), { look: 'some', messages: ['go on'], ends: [6] }, 'positions are modulo 2^32');
  t.end();
});
