/** The memory of a flow ring, wherever the data plane says that it lies. */
import { Journal } from 'node-reuseport';
import { openRegion } from '../dataplane/shared-region.js';
import type { FlowsAt } from '../dataplane/messages.js';
import type { RingMemory } from './member-ring.js';

/** Null where nothing can be read: a journal that is gone by now, or one without flows. Mapped again, for this thread alone. */
export function openRingMemory(at: FlowsAt): RingMemory | null {
  if ('memory' in at) return { words: new Uint32Array(at.memory), release: () => undefined };
  let journal: Journal | null = null;
  try {
    journal = Journal.open(at.journalFd);
    const words = openRegion(journal)?.flows;
    if (words !== undefined && words.length > 0) {
      const mapped = journal;
      return { words, release: () => mapped.release() };
    }
  } catch {
    // A peer that died between its share and now has left a descriptor that is another's: its flows are lost, nothing else.
  }
  journal?.release();
  return null;
}
