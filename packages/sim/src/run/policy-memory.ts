/**
 * What is the same for every run that meets the same policy: its snapshot as bytes, checked and compiled. Kept for the
 * process, since a run would else spend much of its time on it.
 *
 * Invariant: what is kept is a function of what it was asked for (frozen snapshots; an index is judged by the indexes
 * before it, which are part of the question), so no run can tell whether another was here before it. Snapshots cross
 * between members, and between a member and its disk, as bytes all the same.
 */
import { PolicyIndex, type Snapshot, utf8, validateSnapshot } from '@tandem/core';

/** Of each kind; beyond it nothing more is kept. Policies of a run are few, and so are the orders in which they come. */
const KEPT_MAX = 1024;

export class PolicyMemory {
  private readonly bytes = new Map<Snapshot, Uint8Array>();
  private readonly checked = new Map<string, Snapshot>();
  private readonly indexes = new Map<PolicyIndex | null, Map<Snapshot, PolicyIndex>>();

  /** As it goes over the link and to the disk. Not to be written to. */
  bytesOf(snapshot: Snapshot): Uint8Array {
    return keep(this.bytes, snapshot, () => utf8(JSON.stringify(snapshot)));
  }

  /** @throws AppError SNAPSHOT_REFUSED as core's check does. */
  snapshotOf(bytes: Uint8Array): Snapshot {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
    return keep(this.checked, text, () => frozen(validateSnapshot(JSON.parse(text))));
  }

  /** The index that is built of the snapshot after `previous`. */
  indexOf(snapshot: Snapshot, previous: PolicyIndex | null): PolicyIndex {
    const after = keep(this.indexes, previous, () => new Map<Snapshot, PolicyIndex>());
    return keep(after, snapshot, () => PolicyIndex.build(snapshot, previous));
  }
}

function keep<K, V>(kept: Map<K, V>, key: K, make: () => V): V {
  let value = kept.get(key);
  if (value !== undefined) return value;
  value = make();
  if (kept.size < KEPT_MAX) kept.set(key, value);
  return value;
}

export function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) frozen(part);
  }
  return value;
}
