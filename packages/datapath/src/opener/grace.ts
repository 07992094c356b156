/** How long an address stays open in the kernel beyond its mapping's end. */
import type { Settings } from '@tandem/core';

/**
 * Until the leader has seen whether connections use it: one collection makes the mapping a zombie, two passes over the connection
 * table (and the collection that follows) tell whether that lives. Afterwards the leader keeps it open, or closes it.
 */
export function graceMs({ gcIntervalMs, connectionGcIntervalMs, idleConnectionGraceMs }: Settings): number {
  return 2 * gcIntervalMs + 2 * connectionGcIntervalMs + idleConnectionGraceMs;
}
