/** What a slot's state costs, from JavaScript through the addon: `npm run bench:micro -- --only slot` of the repository. */
import { Journal } from './journal.js';
import { Reactor } from './reactor.js';

const slotCount = 1024;
const atOnce = 64;

const reactor = new Reactor(Journal.create({ slots: slotCount, batch: atOnce }));
const held = new Int32Array(atOnce);

function allocateAndFree(count: number): void {
  for (let done = 0; done < count; done += atOnce) {
    for (let i = 0; i < atOnce; i++) held[i] = reactor.allocateSlot();
    for (let i = 0; i < atOnce; i++) reactor.freeSlot(held[i]);
  }
}

function flushNothing(count: number): void {
  for (let i = 0; i < count; i++) reactor.flush(0);
}

export const subjects: Readonly<Record<string, (count: number) => void>> = {
  // Whole batches: the rest of a count costs as much as a batch does, in each round alike.
  'FREE to WORK to FREE': allocateAndFree,
  'a flush of nothing: heartbeat and the way into the addon': flushNothing,
};
