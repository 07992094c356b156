/** What the source counts, for metrics. Resources are few and known; so are faults. */
import type { PolicySourceReadings } from '@tandem/host';
import type { ApiFault } from './api-error.js';

export class SourceCounts implements PolicySourceReadings {
  isSynced = false;
  isAway = false;
  objects = 0;
  watches = 0;
  readonly restarts = new Map<string, number>();
  readonly relists = new Map<string, number>();
  readonly errors = new Map<string, number>();
  readonly statusWrites = new Map<string, number>();
  private heardAtMs: number | null = null;

  get silentSeconds(): number | null {
    return this.heardAtMs === null ? null : (performance.now() - this.heardAtMs) / 1000;
  }

  heard(): void {
    this.heardAtMs = performance.now();
  }

  restarted(resource: string): void {
    count(this.restarts, resource);
  }

  relisted(resource: string): void {
    count(this.relists, resource);
  }

  failed(fault: ApiFault): void {
    count(this.errors, fault);
  }

  statusWritten(result: 'written' | 'conflict' | 'failed'): void {
    count(this.statusWrites, result);
  }
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
