/** Two members with their ends of the link, which come together with what each has learned alone. */
import type { Role, Snapshot } from '@tandem/core';
import type { Member } from '../../member/member.js';
import { startPairClient } from '../client.js';
import { startPairServer } from '../server.js';
import { mappingOf, Node } from './members.js';

const PART = 1000;

export class ReconcilePair {
  readonly node = new Node();
  readonly agent: Member;
  readonly proxy: Member;
  private close: (() => Promise<void>) | null = null;

  constructor() {
    this.agent = this.node.member('agent').member;
    this.proxy = this.node.member('dns-proxy').member;
  }

  /** Both daemons' parts of the link; resolves when it is up. */
  async link(): Promise<void> {
    const server = await startPairServer({ member: this.agent, onForeignSnapshot: () => undefined, onSnapshot: (one: Snapshot) => this.agent.enforce(one) });
    const client = startPairClient({ member: this.proxy, onSnapshot: (one) => this.proxy.enforce(one) });
    this.close = async () => {
      client.close();
      await server.close();
    };
    await this.turns(() => this.agent.peer.connected && this.proxy.peer.connected);
  }

  async cut(): Promise<void> {
    await this.close?.();
    this.close = null;
    await this.turns(() => !this.agent.peer.connected && !this.proxy.peer.connected);
  }

  /** As the data plane hands them over: in parts, and other work in between. */
  async learn(role: Role, from: number, count: number): Promise<void> {
    const member = role === 'agent' ? this.agent : this.proxy;
    for (let i = from; i < from + count; i += PART) {
      await member.mappings.merge(Array.from({ length: Math.min(PART, from + count - i) }, (_, n) => mappingOf(i + n)));
    }
  }

  /** Resolves when neither owes the other anything. */
  async settled(): Promise<void> {
    await this.turns(() => this.agent.lag === 0 && this.proxy.lag === 0);
  }

  /** Whether both hold the same, times included. */
  isEqual(): boolean {
    const [a, b] = [contentOf(this.agent), contentOf(this.proxy)];
    return a.length === b.length && a.every((one, i) => one === b[i]);
  }

  async stop(): Promise<void> {
    await this.close?.();
    await Promise.all([this.agent.stop(), this.proxy.stop()]);
    this.node.remove();
  }

  private async turns(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise((resolve) => { setImmediate(resolve); });
  }
}

function contentOf({ cache }: Member): string[] {
  return [...cache.everything()].map((mapping) => JSON.stringify(mapping)).sort();
}
