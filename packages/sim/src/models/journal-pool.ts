/**
 * Journals of runs that are over, for the next ones: making their memory anew costs more than clearing it.
 *
 * Invariant: within a run no journal is given out twice, as no process gets the memory of another that somebody may still hold.
 */
import { Journal } from './journal.js';

/** Journals of one size kept between runs. */
const KEPT_MAX = 32;

const kept = new Map<number, Journal[]>();

export class JournalPool {
  private readonly used: Journal[] = [];

  take(number: number, slotCount: number): Journal {
    let journal = kept.get(slotCount)?.pop();
    if (journal === undefined) journal = new Journal(number, slotCount);
    else journal.clear(number);
    this.used.push(journal);
    return journal;
  }

  /** The run is over: nobody reads or writes them any more. */
  release(): void {
    for (const journal of this.used.splice(0)) {
      let list = kept.get(journal.slotCount);
      if (list === undefined) kept.set(journal.slotCount, (list = []));
      if (list.length < KEPT_MAX) list.push(journal);
    }
  }
}
