/** The memory of a member's flow rings, wherever the data plane says that it lies. */
import { Journal } from 'node-reuseport';
import { openRegion } from '../dataplane/shared-region.js';
import type { FlowsAt } from '../dataplane/messages.js';
import type { RingMemory } from './member-ring.js';

/** None where nothing can be read: a journal that is gone by now, or one without flows. Mapped again, for this thread alone. */
export function openRingMemory(at: FlowsAt): readonly RingMemory[] {
  if ('queries' in at) return rings(at.queries, at.packets, () => undefined);
  let journal: Journal | null = null;
  try {
    journal = Journal.open(at.journalFd);
    const region = openRegion(journal);
    if (region !== null) {
      const mapped = journal;
      const found = rings(region.flows, region.packetFlows, () => mapped.release());
      if (found.length > 0) return found;
    }
  } catch {
    // A peer that died between its share and now has left a descriptor that is another's: its flows are lost, nothing else.
  }
  journal?.release();
  return [];
}

/** The memory is let go of with the last of them. */
function rings(queries: Uint32Array, packets: Uint32Array, release: () => void): readonly RingMemory[] {
  const parts = [{ words: queries, kind: 'queries' }, { words: packets, kind: 'packets' }] as const;
  const found = parts.filter(({ words }) => words.length > 0);
  let used = found.length;
  return found.map((part) => ({ ...part, release: () => { if (--used === 0) release(); } }));
}
