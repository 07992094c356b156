/** Members that only learn, clean and exchange, and links between them that a test delivers, loses, reorders and cuts. */
import { type MonoMs, monoMs } from '../../base/seams.js';
import { type Clean, FqdnCache, type Mapping } from '../../fqdn/cache.js';
import { ChangeLog } from '../change-log.js';
import { Exchange } from '../exchange.js';
import type { ExchangeMessage } from '../exchange-messages.js';
import { Replica } from '../replica.js';

/** Mappings per endpoint stay below what the cache evicts. */
const ENDPOINT_BITS = 14;

export function mappingOf(n: number, lookupMs = 0): Mapping {
  const address = `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`;
  return {
    endpointUid: `uid-${n >> ENDPOINT_BITS}`, name: `n${n % 4999}.test.`, address, lookupMs: monoMs(lookupMs), ttlSeconds: 60,
    expiryMs: monoMs(lookupMs + 60_000),
  };
}

let starts = 0;

export class TestMember {
  cache = newCache();
  replica: Replica;
  private readonly changesMax: number;

  constructor(changesMax: number) {
    this.changesMax = changesMax;
    this.replica = this.started();
  }

  /** Another process: with what it had on disk, or without. Its links must be cut. */
  restart(isCacheKept: boolean): void {
    if (!isCacheKept) this.cache = newCache();
    this.replica = this.started();
  }

  learn(...mappings: readonly Mapping[]): void {
    this.replica.merge(mappings, null);
  }

  clean(clean: Clean): void {
    this.replica.clean([clean], null);
  }

  /** All that it holds, as one text. */
  content(): string {
    return [...this.cache.everything()].map((mapping) => JSON.stringify(mapping)).sort().join('\n');
  }

  private started(): Replica {
    return new Replica(this.cache, `start-${++starts}`, new ChangeLog(this.cache.table, this.changesMax));
  }
}

/** One direction's end: what it has sent and the other has not received, and what it applied and has not on disk. */
interface End {
  readonly member: TestMember;
  readonly exchange: Exchange;
  readonly onTheWay: ExchangeMessage[];
  readonly notDurable: number[];
}

export class TestLink {
  readonly ends: readonly [End, End];
  /** Mappings and cleans that were sent, both ways. */
  sent = 0;
  digests = 0;

  constructor(a: TestMember, b: TestMember) {
    this.ends = [endOf(a), endOf(b)];
    this.hello(0);
    this.hello(1);
  }

  /** Sends at most so many messages from that end. */
  pump(side: 0 | 1, nowMs: MonoMs, max = Infinity): void {
    const { exchange, onTheWay } = this.ends[side];
    for (let i = 0; i < max; i++) {
      const message = exchange.next(nowMs);
      if (message === null) return;
      if (message.kind === 'changes') this.sent += message.mappings.length + message.cleans.length;
      if (message.kind === 'digests') this.digests++;
      onTheWay.push(copyOf(message));
    }
  }

  /** The other end receives one of the messages that this end has sent; `isAgain`: and will receive it once more. */
  deliver(side: 0 | 1, index: number, isAgain = false): void {
    const { onTheWay, member } = this.ends[side];
    const message = onTheWay[index];
    if (message === undefined) return;
    if (!isAgain) onTheWay.splice(index, 1);
    const other = this.ends[side === 0 ? 1 : 0];
    other.exchange.receive(message);
    if (message.kind !== 'changes') return;
    other.member.replica.clean(message.cleans, member.replica.incarnation);
    other.member.replica.merge(message.mappings, member.replica.incarnation);
    other.notDurable.push(message.sequence);
  }

  lose(side: 0 | 1, index: number): void {
    this.ends[side].onTheWay.splice(index, 1);
  }

  /** What was applied at that end is on disk: one of them, or all. */
  settle(side: 0 | 1, index?: number): void {
    const { exchange, notDurable } = this.ends[side];
    const settled = index === undefined ? notDurable.splice(0) : notDurable.splice(index, 1);
    for (const sequence of settled) exchange.applied(sequence);
  }

  work(side: 0 | 1): void {
    this.ends[side].exchange.work();
  }

  cut(): void {
    for (const { exchange } of this.ends) exchange.linkDown();
  }

  /** One turn of all that goes on, nothing lost. False when there was nothing. */
  turn(nowMs: MonoMs): boolean {
    let isActive = false;
    for (const side of [0, 1] as const) {
      const end = this.ends[side];
      if (end.exchange.isBusy) {
        this.work(side);
        isActive = true;
      }
      this.pump(side, nowMs);
      while (end.onTheWay.length > 0) {
        this.deliver(side, 0);
        isActive = true;
      }
      this.settle(side === 0 ? 1 : 0);
    }
    return isActive || this.ends.some(({ exchange }) => exchange.isBusy);
  }

  private hello(side: 0 | 1): void {
    const [own, other] = side === 0 ? this.ends : [this.ends[1], this.ends[0]];
    const seen = other.member.replica.vector().find(({ incarnation }) => incarnation === own.member.replica.incarnation);
    own.exchange.linkUp({ incarnation: other.member.replica.incarnation, seen: seen?.revision ?? null });
  }
}

/** Until nothing goes on at any link. */
export function drain(links: readonly TestLink[], nowMs = monoMs(0)): void {
  while (links.map((link) => link.turn(nowMs)).includes(true));
}

function endOf(member: TestMember): End {
  return { member, exchange: new Exchange(member.replica), onTheWay: [], notDurable: [] };
}

function newCache(): FqdnCache {
  return new FqdnCache({ maxAddressesPerName: 1_000_000, matcher: (pattern) => (name) => name === pattern });
}

/** As bytes would be: what changes at the sender afterwards does not change it. */
function copyOf(message: ExchangeMessage): ExchangeMessage {
  if (message.kind === 'changes') return { ...message, mappings: message.mappings.map((mapping) => ({ ...mapping })) };
  return message.kind === 'digests' ? { ...message, words: Array.from(message.words) } : message;
}
