import t from 'tap';
import { monoMs } from '../base/seams.js';
import { COUNTER_WORDS, Counters } from '../query/counters.js';
import { type HeldJournal, HeldMember, type HeldSockets, RETIRE_MS, STRANDED_MS, TAKEN, type Taken } from './held-member.js';

const TICK_MS = 10;

/** A held member whose journal and sockets say what was done to them. */
class Rig {
  readonly said: string[] = [];
  beat = 0;
  cursor = -1;
  dying = false;
  /** In the middle of an answer on a connection. */
  isWriting = false;
  readonly stranded = new Set<number>();
  slots = new Map<number, Taken>();
  private nowMs = 1_000;
  readonly member: HeldMember;

  constructor() {
    const say = (text: string): void => { this.said.push(text); };
    const journal: HeldJournal = {
      taken: [7, 0, 0],
      heartbeat: () => this.beat,
      reading: () => this.cursor,
      isDying: () => this.dying,
      owed: () => [...this.slots.keys()],
      mayTake: () => true,
      mustTake: (slot) => this.stranded.has(slot),
      take: (slot) => {
        const outcome = this.slots.get(slot)!;
        if (outcome !== TAKEN.later) this.slots.delete(slot);
        return outcome;
      },
      learnLast: () => say('learn'),
      release: () => say('release'),
    };
    const sockets: HeldSockets = {
      read: () => say('read'), pause: () => say('pause'), close: () => say('close'), awake: () => say('awake'),
      takeConnections: (isDead) => isDead || !this.isWriting,
    };
    const counters = new Counters(new Float64Array(COUNTER_WORDS));
    this.member = new HeldMember({
      counters,
      flush: () => say('flush'),
      replyTaken: (slot) => say(`reply ${slot}`),
      onTaken: (slot, { isGone, wasReading }) => say(`query ${slot}${isGone ? ' gone' : ''}${wasReading ? ' unread' : ''}`),
    }, journal, sockets);
  }

  tick(ticks = 1): readonly string[] {
    for (let i = 0; i < ticks; i++) this.member.tick(monoMs((this.nowMs += TICK_MS)));
    return this.said.splice(0);
  }

  end(): readonly string[] {
    this.member.end(monoMs(this.nowMs));
    return this.said.splice(0);
  }

  giveBack(): void {
    this.member.giveBack(monoMs(this.nowMs));
  }
}

t.test('a member that beats is left alone, one that stops is answered for until it beats again', (t) => {
  const rig = new Rig();
  for (let i = 0; i < 10; i++) {
    rig.beat++;
    t.strictSame(rig.tick(), []);
  }
  rig.slots.set(1, TAKEN.query).set(2, TAKEN.answer).set(3, TAKEN.nothing);
  t.strictSame(rig.tick(3), ['read', 'query 7', 'reply 7']);
  t.ok(rig.member.isAdopted);
  rig.beat++;
  t.strictSame(rig.tick(), ['awake', 'pause']);
  t.notOk(rig.member.isAdopted);
  t.end();
});

t.test('a dead member is learned from, read and taken from at once; its journal is let go of when nothing is left', (t) => {
  const rig = new Rig();
  rig.slots.set(1, TAKEN.query).set(2, TAKEN.later);
  t.strictSame(rig.end(), ['learn', 'read', 'query 7 gone']);
  rig.slots.set(2, TAKEN.query);
  t.strictSame(rig.tick(), ['query 7 gone', 'release']);
  t.strictSame(rig.tick(5), []);
  t.end();
});

t.test('what must wait is taken also after a successor has got the sockets', (t) => {
  const rig = new Rig();
  rig.slots.set(1, TAKEN.later);
  rig.end();
  rig.giveBack();
  t.strictSame(rig.said.splice(0), ['pause']);
  rig.slots.set(1, TAKEN.query);
  t.strictSame(rig.tick(), ['query 7 gone', 'release']);
  t.strictSame(rig.tick(RETIRE_MS / TICK_MS).filter((one) => one !== 'release'), ['flush', 'close'], 'what is listed leaves before the sockets go');
  t.ok(rig.member.isDone);
  t.end();
});

t.test('a query that its owner met its fault with is not read here, whether its end is known yet or not', (t) => {
  for (const isEnded of [true, false]) {
    const rig = new Rig();
    rig.cursor = 1;
    rig.dying = true;
    rig.slots.set(1, TAKEN.query).set(2, TAKEN.query);
    const expected = ['read', 'query 7 gone unread', 'query 7 gone'];
    t.strictSame(isEnded ? rig.end() : rig.tick(4), isEnded ? ['learn', ...expected, 'release'] : expected);
  }
  t.end();
});

t.test('a query that its owner was reading when it was killed or stopped is read here', (t) => {
  const [killed, hung] = [new Rig(), new Rig()];
  for (const rig of [killed, hung]) {
    rig.cursor = 1;
    rig.slots.set(1, TAKEN.query);
  }
  t.strictSame(killed.end(), ['learn', 'read', 'query 7 gone', 'release']);
  t.strictSame(hung.tick(4), ['read', 'query 7']);
  t.end();
});

t.test('a query whose connection was taken is taken, too, although its owner is awake by then', (t) => {
  const rig = new Rig();
  rig.slots.set(1, TAKEN.later).set(2, TAKEN.later);
  rig.stranded.add(1);
  t.strictSame(rig.tick(4), ['read']);
  rig.beat++;
  t.strictSame(rig.tick(), ['awake', 'pause'], 'it cannot be taken yet');
  rig.slots.set(1, TAKEN.query).set(2, TAKEN.query);
  for (const said of [['query 7'], []]) {
    rig.beat++;
    t.strictSame(rig.tick(), said);
  }
  t.ok(rig.slots.has(2), 'what its owner can answer is left to it');
  t.end();
});

t.test('a query whose connection was taken, and that its owner met its fault with when it was awake again, is not read here', (t) => {
  const rig = new Rig();
  rig.slots.set(1, TAKEN.later);
  rig.stranded.add(1);
  t.strictSame(rig.tick(4), ['read']);
  rig.beat++;
  t.strictSame(rig.tick(), ['awake', 'pause']);
  rig.slots.set(1, TAKEN.query);
  rig.cursor = 1;
  rig.dying = true;
  rig.beat++;
  t.strictSame(rig.tick(), ['query 7 gone unread']);
  t.end();
});

t.test('a query that a member takes from us after it hung is taken back with its connection, for a while', (t) => {
  const rig = new Rig();
  rig.stranded.add(1).add(2);
  rig.tick(4);
  rig.beat++;
  t.strictSame(rig.tick(), ['awake', 'pause']);
  for (let ticks = TICK_MS; ticks < STRANDED_MS; ticks += TICK_MS) {
    if (ticks === STRANDED_MS / 2) rig.slots.set(1, TAKEN.query).set(3, TAKEN.query);
    rig.beat++;
    t.strictSame(rig.tick(), ticks === STRANDED_MS / 2 ? ['query 7'] : [], 'but not what came to it otherwise');
  }
  rig.slots.set(2, TAKEN.query);
  for (let i = 0; i < 5; i++) {
    rig.beat++;
    t.strictSame(rig.tick(), []);
  }
  t.end();
});

t.test('a member whose link ended is dead when it is silent, too: until then its connections are not cut into', (t) => {
  const rig = new Rig();
  rig.tick();
  rig.isWriting = true;
  rig.slots.set(1, TAKEN.query);
  t.strictSame(rig.end(), ['learn', 'read', 'query 7 gone'], 'a slot is taken by compare-and-swap, whoever lives');
  for (let i = 0; i < 10; i++) {
    rig.beat++;
    t.strictSame(rig.tick(), []);
  }
  t.strictSame(rig.tick(3), ['release']);
  t.end();
});
