/** Two processes run freely against each other, and against the owner, for the same slots: each goes to exactly one. */
import t from 'tap';
import { bootTimeMs, Control, Meta, SlotState, Take } from './index.js';
import { Side } from './testing/harness.js';
import { SecondProcess } from './testing/second-process.js';

const slots = 20_000;
// Processes that share a core may each run undisturbed for once; then there is another round.
const roundsMax = 10;
const patienceMs = 5000;

interface Catch {
  taken: Buffer;
  codes: number[];
}

function allocateAll(owner: Side): void {
  for (let left = slots; left > 0; left--) {
    const slot = owner.reactor.allocateSlot();
    owner.words[owner.meta(slot) + Meta.LENGTH] = 4;
    owner.words[owner.payload(slot) / 4] = slot;
  }
}

/** Until the takers are at it: the owner alone would be done before they begin. */
function waitForTheft(owner: Side): void {
  const giveUpMs = bootTimeMs() + patienceMs;
  const stolen = (slot: number): boolean => owner.state(slot) === SlotState.STOLEN;
  while (!stolen(0) && bootTimeMs() < giveUpMs);
}

function freeAll(owner: Side): void {
  // From the end on, so that an owner that takes part meets the others.
  for (let slot = slots - 1; slot >= 0; slot--) owner.reactor.freeSlot(slot);
}

function hearCatch(racer: SecondProcess): Catch {
  const { taken, codes } = JSON.parse(racer.hear()!.text) as { taken: string; codes: number[] };
  return { taken: Buffer.from(taken, 'base64'), codes };
}

const isSet = (bits: Buffer, slot: number): boolean => ((bits[slot >> 3] >> (slot & 7)) & 1) === 1;

for (const ownerTakesPart of [false, true]) {
  t.test(`${ownerTakesPart ? 'two takers and the owner' : 'two takers'} racing for ${String(slots)} slots`, (t) => {
    const owner = new Side(slots, 8);
    const racers = [new SecondProcess(['racer']), new SecondProcess(['racer'])];
    for (const racer of racers) racer.say('journal', [owner.journal.fd]);
    const start = owner.journal.layout.applicationOffset / 4;
    let met = false;
    for (let round = 1; round <= roundsMax && !met; round++) {
      allocateAll(owner);
      const lostBefore = owner.count(Control.LOST_TO_PEER);
      for (const racer of racers) racer.say(String(round));
      for (const racer of racers) racer.hear();
      Atomics.store(owner.words, start, round);
      if (ownerTakesPart) {
        waitForTheft(owner);
        freeAll(owner);
      }
      const [a, b] = racers.map(hearCatch);
      if (!ownerTakesPart) freeAll(owner);
      const lost = owner.count(Control.LOST_TO_PEER) - lostBefore;
      let both = 0;
      let either = 0;
      for (let slot = 0; slot < slots; slot++) {
        if (isSet(a.taken, slot) && isSet(b.taken, slot)) both++;
        if (isSet(a.taken, slot) || isSet(b.taken, slot)) either++;
      }
      t.equal(both, 0, 'no slot was taken twice');
      t.equal(a.codes[Take.QUERY] + b.codes[Take.QUERY], either, 'no taker has one twice');
      t.equal(either, lost, 'the owner misses exactly what was taken');
      if (!ownerTakesPart) t.equal(either, slots, 'and that is every slot');
      for (const code of [Take.ANSWER, Take.SENT, Take.MOOT, Take.NO_SLOT]) t.equal(a.codes[code] + b.codes[code], 0);
      let notFree = 0;
      for (let slot = 0; slot < slots; slot++) if (owner.state(slot) !== SlotState.FREE) notFree++;
      t.equal(notFree, 0, 'the owner has all slots back');
      t.equal(owner.count(Control.FREE_SLOTS), slots);
      const races = a.codes[Take.RACE] + b.codes[Take.RACE];
      t.comment(`round ${String(round)}: ${[a, b].map((c) => c.codes[Take.QUERY]).join(' + ')} taken, ${String(races)} swaps lost`);
      met = races > 0 && (!ownerTakesPart || either < slots);
    }
    for (const racer of racers) racer.end();
    owner.close();
    t.end();
  });
}
