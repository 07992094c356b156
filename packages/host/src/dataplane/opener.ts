/**
 * Who opens learned addresses in the kernel, as the data plane's thread sees it. The module that does it is loaded into that thread by
 * its URL: host knows no datapath.
 */
import type { LearnedMapping, MonoMs, Opening, PassedOn, Settings, Snapshot } from '@tandem/core';

export interface Opener {
  /** Readable while `take` has something to give. */
  readonly fd: number;
  /** For the names that this policy's rules speak of. */
  setPolicy(snapshot: Snapshot): void;
  /** What it takes for open may not be: what these mappings open, or all (null). */
  forget(mappings: readonly PassedOn[] | null): void;
  /** Lists the mapping for the next `flush`. Pending: `take` tells when it is open; open: no rule speaks of the name. */
  learned(mapping: LearnedMapping): Opening;
  /** Passes on what was listed; never waits. */
  flush(nowMs: MonoMs): void;
  /** Gives what came to be open, once per mapping that was pending, as `QueryPath.onOpened` takes it. */
  take(opened: (slot: number, answer: number) => void): void;
  /** When `flush` has something to try again; Infinity: never. */
  nextDeadlineMs(): number;
  /** Addresses that the kernel refused, so far. */
  readonly failures: number;
  close(): void;
}

/** What the module exports. */
export interface OpenerModule {
  createOpener(settings: Settings): Opener;
}
