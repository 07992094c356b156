/** Connections of this node, as the kernel tracks them. */
import type { ConnectionSource, EndpointRecord, LiveConnection } from '@tandem/core';
import type { Flow } from '../control/judge.js';
import type { Marks } from '../names.js';

export class ConntrackSource implements ConnectionSource {
  isRunning = false;

  run(onFinished: (live: Iterable<LiveConnection>) => void): void {
    setImmediate(() => { onFinished([]); });
  }

  setEndpoints(_endpoints: readonly EndpointRecord[]): void {
    // Nobody is looked for yet.
  }

  problems(): readonly string[] {
    return [];
  }

  cut(_judge: (flow: Flow) => boolean, _marks: Marks): Promise<number> {
    return Promise.resolve(0);
  }
}
