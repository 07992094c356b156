/**
 * The second process of the takeover tests. Talks with the test over a Unix socket at descriptor 3.
 *
 * owner POINT COUNTDOWN SIGNAL: opens a listener and a journal, passes both, binds, and answers each query by its own
 * bytes, but only when `heldMax` newer ones wait behind it, as if the upstream were slow.
 * thief POINT COUNTDOWN: gets a listener and a journal, passes its own journal, and takes what the journal owes.
 *
 * racer: gets a journal; for each order, waits until the first word of the journal's application area is the number
 * ordered, then takes whatever it can as fast as it can, and says which.
 */
import {
  armKillPoint,
  bindSocket,
  bootTimeMs,
  type CodePoint,
  Control,
  Journal,
  localAddress,
  openSocket,
  ReadyEvent,
  receiveWithFds,
  scan,
  scanStride,
  sendWithFds,
  Take,
} from '../index.js';
import { Side } from './harness.js';

const link = 3;
const slots = 2048;
const batch = 32;
const heldMax = 48;
const startWaitMs = 20_000;

function say(text: string, fds: readonly number[] = []): void {
  sendWithFds(link, new TextEncoder().encode(text), fds);
}

/** The next order, with its descriptors; exits when the test has gone. */
function hear(): { text: string; fds: readonly number[] } | null {
  const message = receiveWithFds(link, 1000, 8);
  if (message?.end === true) process.exit(0);
  return message === null ? null : { text: new TextDecoder().decode(message.data), fds: message.fds };
}

function waitFor(side: Side): { text: string; fds: readonly number[] } {
  for (;;) {
    const order = hear();
    if (order !== null) return order;
    side.reactor.step(0, 1000);
  }
}

function arm(): void {
  const [, , , point = '', countdown = '1', signal = 'SIGKILL'] = process.argv;
  if (point !== '') armKillPoint(point as CodePoint, Number(countdown), signal as 'SIGKILL' | 'SIGSTOP');
}

function own(): void {
  const side = new Side(slots, batch);
  const listener = openSocket({ type: 'udp', family: 4 });
  side.reactor.addListener(listener, 0);
  side.reactor.pauseListener(0);
  side.reactor.watch(link, 0, ReadyEvent.IN);
  say('sockets', [listener, side.journal.fd]);
  waitFor(side);
  bindSocket(listener, '127.0.0.1', 0);
  say(String(localAddress(listener).port));
  side.reactor.resumeListener(0);
  arm();
  const held: number[] = [];
  let keep = heldMax;
  let rows = 0;
  for (;;) {
    side.reactor.step(rows, 10);
    rows = 0;
    held.push(...side.reactor.received.subarray(0, side.count(Control.RECEIVED)));
    const order = side.count(Control.READY) > 0 ? hear() : null;
    if (order?.text === 'finish') keep = 0;
    if (order?.text === 'report') say(JSON.stringify([...side.reactor.control]));
    while (held.length > keep && rows < side.journal.layout.transmitCapacity) side.reply(rows++, held.shift()!);
  }
}

function steal(): void {
  const side = new Side(slots, batch);
  side.reactor.watch(link, 0, ReadyEvent.IN);
  const [listener, journal] = waitFor(side).fds;
  const peer = Journal.open(journal);
  say('journal', [side.journal.fd]);
  waitFor(side);
  side.reactor.addListener(listener, 0);
  side.reactor.pauseListener(0);
  arm();
  const rows = scan(peer);
  let taken = 0;
  for (let i = 0; i < rows.length; i += scanStride) {
    const code = side.reactor.take(peer, rows[i]);
    if (code !== Take.QUERY && code !== Take.ANSWER) continue;
    taken++;
    const [slot, offset, length] = side.reactor.taken;
    if (code === Take.ANSWER) side.reply(0, slot, offset, length);
    else side.reply(0, slot);
    side.reactor.flush(1);
  }
  say(String(taken));
  for (;;) waitFor(side);
}

function race(): void {
  const side = new Side(slots, batch);
  side.reactor.watch(link, 0, ReadyEvent.IN);
  const peer = Journal.open(waitFor(side).fds[0]);
  const { layout } = peer;
  const shared = new Uint32Array(peer.buffer);
  for (;;) {
    const round = Number(waitFor(side).text);
    const giveUpMs = bootTimeMs() + startWaitMs;
    say('ready');
    while (Atomics.load(shared, layout.applicationOffset / 4) !== round) {
      if (bootTimeMs() > giveUpMs) throw new Error('the race does not start');
    }
    const taken = new Uint8Array(Math.ceil(layout.slots / 8));
    const codes = new Array<number>(Object.keys(Take).length).fill(0);
    for (let slot = 0; slot < layout.slots; slot++) {
      const code = side.reactor.take(peer, slot);
      codes[code]++;
      if (code !== Take.QUERY) continue;
      const own = side.reactor.taken[0];
      // What was taken is what the slot held, not what it might hold.
      const id = side.id(own);
      taken[id >> 3] |= 1 << (id & 7);
      side.reactor.freeSlot(own);
    }
    say(JSON.stringify({ taken: Buffer.from(taken).toString('base64'), codes }));
  }
}

if (process.argv[2] === 'owner') own();
else if (process.argv[2] === 'thief') steal();
else race();
