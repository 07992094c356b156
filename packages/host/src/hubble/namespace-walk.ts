/** The namespaces that flows of the last hour are from or to, as far back as there are flows: a walk, since there may be many flows. */
import type { observerPb } from '@tandem/proto';
import type { FlowLog, FlowReader } from '../flows/flow-log.js';
import type { Walk, WalkState } from './walks.js';

const HOUR_MS = 3_600_000;
/** Further ones are left out. */
const NAMESPACES_MAX = 10_000;

export class NamespaceWalk implements Walk {
  private readonly reader: FlowReader;
  private readonly sinceMs: number;
  private readonly done: (namespaces: observerPb.Namespace[]) => void;
  private readonly found = new Map<string, observerPb.Namespace>();

  constructor(log: FlowLog, nowMs: number, done: (namespaces: observerPb.Namespace[]) => void) {
    this.reader = log.read('newest');
    this.sinceMs = nowMs - HOUR_MS;
    this.done = done;
  }

  step(untilMs: number): WalkState {
    do {
      const observed = this.reader.previous();
      if (observed === null || observed.timeMs < this.sinceMs || this.found.size >= NAMESPACES_MAX) {
        this.done([...this.found.entries()].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, namespace]) => namespace));
        return 'done';
      }
      for (const endpoint of [observed.flow.source, observed.flow.destination]) {
        if (endpoint === undefined || endpoint.namespace === '') continue;
        const { clusterName: cluster, namespace } = endpoint;
        const key = `${cluster}/${namespace}`;
        if (!this.found.has(key)) this.found.set(key, { cluster, namespace });
      }
    } while (performance.now() < untilMs);
    return 'more';
  }
}
