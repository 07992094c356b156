/** A flow log over a list in memory, which holds so many flows and then forgets the oldest, as a ring does. */
import type { Role } from '@tandem/core';
import { Flow } from '@tandem/proto';
import type { FlowLog, FlowReader, LostFlows, MemberFlows, ObservedFlow } from '../../flows/flow-log.js';

export class ListedFlows implements FlowLog {
  readonly nodeName = 'node';
  readonly version = 'v1';
  connected: Partial<Record<Role, boolean>> = { 'agent': true, 'dns-proxy': true };
  private readonly max: number;
  /** By place from the first flow ever on. */
  private readonly flows = new Map<number, ObservedFlow>();
  private seen = 0;

  constructor(flows: readonly Flow[] = [], max = 100_000) {
    this.max = max;
    flows.forEach((flow) => this.push(flow));
  }

  /** Forgets all, without a trace. */
  replace(flows: readonly Flow[]): void {
    this.flows.clear();
    this.seen = 0;
    flows.forEach((flow) => this.push(flow));
  }

  push(flow: Flow): void {
    const timeMs = Number(flow.time?.seconds ?? 0n) * 1_000 + (flow.time?.nanos ?? 0) / 1_000_000;
    this.flows.delete(this.seen - this.max);
    this.flows.set(this.seen++, { flow, bytes: Flow.encode(flow).finish(), timeMs, response: null });
  }

  read(from: 'oldest' | 'newest'): FlowReader {
    let place = from === 'oldest' ? this.oldest() : this.seen;
    return {
      previous: (): ObservedFlow | null => (place > this.oldest() ? this.flows.get(--place)! : null),
      next: (): ObservedFlow | LostFlows | null => {
        const lost = this.oldest() - place;
        if (lost > 0) {
          place += lost;
          return { lost };
        }
        return place < this.seen ? this.flows.get(place++)! : null;
      },
    };
  }

  members(): readonly MemberFlows[] {
    const { agent, 'dns-proxy': dnsProxy } = this.connected;
    const each = { max: this.max, uptimeMs: 5_000 };
    return [
      ...(agent === undefined ? [] : [{ ...each, role: 'agent' as const, connected: agent, stored: this.flows.size, seen: this.seen }]),
      ...(dnsProxy === undefined ? [] : [{ ...each, role: 'dns-proxy' as const, connected: dnsProxy, stored: 0, seen: 0 }]),
    ];
  }

  private oldest(): number {
    return Math.max(0, this.seen - this.max);
  }
}
