/**
 * Step 5: which addresses does an answer give to the name that was asked?
 *
 * Only what stands on the alias chain from the question counts: A and AAAA records owned by the chain's last name, and
 * the address hints of its SVCB and HTTPS records. Whatever else an answer carries is not learned; addresses among it
 * are counted. Names of links in between are not learned: policy speaks of the name that was asked (as in Cilium).
 */
import { CLASS, nameEquals, nameFromString, nameToString, RCODE, SCAN, scanServiceBinding, ServiceBindingHints, TYPE, type AnswerView } from '@tandem/dns';
import type { MonoMs, Random } from '../base/seams.js';
import { wordsOfAddress } from '../policy/address-table.js';
import type { BatchClock } from './batch-clock.js';
import { COUNTER, type Counters } from './counters.js';
import { NEWS, RecentMappings } from './recent-mappings.js';
import { ALIAS_LINKS_MAX, type PathSettings } from './settings.js';

/** What became of a mapping that was passed on. */
export const OPENING = {
  /** The datapath is open, or has nothing to open. */
  open: 0,
  /** It is being opened: `QueryPath.onOpened` with the mapping's slot and answer will follow, once per mapping. */
  pending: 1,
  /** There was no room to pass it on: it is neither learned nor opened. */
  full: 2,
} as const;
export type Opening = (typeof OPENING)[keyof typeof OPENING];

/** One learned address. The object is reused: whoever keeps it copies it. */
export interface LearnedMapping {
  readonly slot: number;
  /** Which answer taught it: no two have the same number. */
  readonly answer: number;
  readonly endpointId: number;
  /** Wire form of the name asked, in the letter case of the answer. */
  readonly bytes: Uint8Array;
  readonly nameOffset: number;
  readonly nameLength: number;
  /** 16 bytes as four words, network order in memory; IPv4 as IPv4-mapped. */
  readonly address: Uint32Array;
  readonly ttlSeconds: number;
  readonly lookupMs: MonoMs;
  /** NEWS.renewal: only its expiry is put off. */
  readonly isRenewal: boolean;
}

/** A mapping that was passed on, and that the cache has no more. */
export interface PassedOn {
  readonly endpointId: number;
  /** Presentation form. */
  readonly name: string;
  /** Canonical presentation form. */
  readonly address: string;
}

/** The name in presentation form, lower case, with its final dot. */
export function learnedName({ bytes, nameOffset, nameLength }: LearnedMapping): string {
  return nameToString(bytes, nameOffset, nameOffset, nameOffset + nameLength);
}

/** Where mappings go: to the FQDN cache and the datapath. */
export interface MappingSink {
  learned(mapping: LearnedMapping): Opening;
}

const NONE: readonly number[] = [];

const V4_MAPPED = new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
const TTL_MAX = 0x7fff_ffff;
const TTL_USED_MAX = 604_800;
/** A longer life is passed on again that often: so its milliseconds are a whole number of 31 bits. */
const REMEMBERED_SECONDS_MAX = 2_000_000;
const ADDRESS_BYTES = { v4: 4, v6: 16 } as const;

export interface LearnSeams {
  readonly sink: MappingSink;
  readonly counters: Counters;
  readonly random: Random;
  readonly clock: BatchClock;
}

export class Learner {
  private readonly recent: RecentMappings;
  private readonly sink: MappingSink;
  private readonly counters: Counters;
  private readonly clock: BatchClock;
  private readonly minTtlSeconds: number;
  private readonly hints = new ServiceBindingHints();
  private readonly addressBytes = new Uint8Array(ADDRESS_BYTES.v6);
  private readonly mapping = {
    slot: 0,
    answer: 0,
    endpointId: 0,
    bytes: new Uint8Array(0) as Uint8Array,
    nameOffset: 0,
    nameLength: 0,
    address: new Uint32Array(this.addressBytes.buffer),
    ttlSeconds: 0,
    lookupMs: 0 as MonoMs,
    isRenewal: false,
  };
  /** Entries of `recent` that the answer waits for. */
  private opening: number[] = [];

  constructor({ sink, counters, random, clock }: LearnSeams, settings: Pick<PathSettings, 'minTtlSeconds' | 'recentSets'>) {
    this.sink = sink;
    this.counters = counters;
    this.clock = clock;
    this.minTtlSeconds = settings.minTtlSeconds;
    this.recent = new RecentMappings(random, clock, settings.recentSets);
  }

  /** These are news again; null: every answer is. */
  forget(mappings: readonly PassedOn[] | null): void {
    if (mappings === null) {
      this.recent.clear();
      return;
    }
    for (const { endpointId, name, address } of mappings) {
      const wire = nameFromString(name);
      if (wire === null) continue;
      this.recent.setName(wire, 0, wire.length);
      this.recent.forget(endpointId, wordsOfAddress(address), 0);
    }
  }

  /** All that `learn` said of this answer is open. */
  opened(entries: readonly number[], answer: number): void {
    this.recent.opened(entries, answer);
  }

  /** The number of the answer that was learned from last. */
  get answer(): number {
    return this.mapping.answer;
  }

  /** Learns from the answer to the slot's query; returns the mappings still being opened, as `opened` takes them. */
  learn(slot: number, endpointId: number, bytes: Uint8Array, start: number, view: AnswerView): readonly number[] {
    if (view.rcode !== RCODE.noError || view.recordCount === 0 || !asksForAddresses(view.type)) return NONE;
    if (this.opening.length > 0) this.opening = [];
    this.mapping.slot = slot;
    this.mapping.answer++;
    this.mapping.lookupMs = this.clock.nowMs;
    this.mapping.endpointId = endpointId;
    this.mapping.bytes = bytes;
    this.mapping.nameOffset = view.nameStart;
    this.mapping.nameLength = view.nameEnd - view.nameStart;
    this.recent.setName(bytes, view.nameStart, view.nameEnd - view.nameStart);

    const chain = followAliases(bytes, start, view);
    for (let i = 0; i < view.recordCount; i++) {
      const type = view.recordType[i];
      const isAddress = type === TYPE.A || type === TYPE.AAAA;
      if (!isAddress && type !== TYPE.SVCB && type !== TYPE.HTTPS) continue;
      const onChain =
        chain.owner >= 0 &&
        view.recordClass[i] === CLASS.IN &&
        nameEquals(bytes, start, start + view.owner[i], bytes, start, chain.owner);
      if (!onChain) {
        if (isAddress) this.counters.add(COUNTER.off_chain);
        continue;
      }
      this.mapping.ttlSeconds = Math.min(chain.ttlSeconds, readTtl(view, i));
      if (isAddress) this.record(type, bytes, start + view.dataOffset[i], view.dataLength[i]);
      else this.serviceHints(bytes, start, view, i);
    }
    return this.opening;
  }

  /** An address record whose data has another length than its type says is no address. */
  private record(type: number, bytes: Uint8Array, offset: number, length: number): void {
    if (length === (type === TYPE.A ? ADDRESS_BYTES.v4 : ADDRESS_BYTES.v6)) this.address(bytes, offset, length);
  }

  private serviceHints(bytes: Uint8Array, start: number, view: AnswerView, record: number): void {
    const { hints } = this;
    if (scanServiceBinding(bytes, start, view.dataOffset[record], view.dataLength[record], hints) !== SCAN.ok) return;
    for (let i = 0; i < hints.ipv4Count; i++) this.address(bytes, start + hints.ipv4Offsets[i], ADDRESS_BYTES.v4);
    for (let i = 0; i < hints.ipv6Count; i++) this.address(bytes, start + hints.ipv6Offsets[i], ADDRESS_BYTES.v6);
  }

  private address(bytes: Uint8Array, offset: number, length: number): void {
    if (length === ADDRESS_BYTES.v4) {
      this.addressBytes.set(V4_MAPPED);
      for (let i = 0; i < ADDRESS_BYTES.v4; i++) this.addressBytes[12 + i] = bytes[offset + i];
    } else {
      for (let i = 0; i < ADDRESS_BYTES.v6; i++) this.addressBytes[i] = bytes[offset + i];
    }
    const { mapping, recent } = this;
    const lifeMs = (Math.min(Math.max(mapping.ttlSeconds, this.minTtlSeconds), REMEMBERED_SECONDS_MAX) * 1000) | 0;
    const news = recent.newsOf(mapping.endpointId, mapping.address, 0, lifeMs);
    if (news === NEWS.none) return;
    mapping.isRenewal = news === NEWS.renewal;
    const opening = this.sink.learned(mapping);
    if (opening === OPENING.full) {
      this.counters.add(COUNTER.learn_dropped);
      return;
    }
    this.counters.add(COUNTER.learned);
    const entry = recent.note(mapping.endpointId, mapping.address, 0, lifeMs);
    if (opening !== OPENING.pending) return;
    recent.await(entry, mapping.answer);
    this.opening.push(entry);
  }
}

function asksForAddresses(type: number): boolean {
  return type === TYPE.A || type === TYPE.AAAA || type === TYPE.HTTPS || type === TYPE.SVCB || type === TYPE.ANY;
}

/** A TTL with its highest bit set counts as 0 (RFC 2181 §8), a longer one than a week as a week (RFC 8767 §4). */
function readTtl(view: AnswerView, record: number): number {
  return view.ttl[record] > TTL_MAX ? 0 : Math.min(view.ttl[record], TTL_USED_MAX);
}

/** The end of the alias chain. Reused: read it before the next call. */
const chainEnd = { owner: -1, ttlSeconds: 0 };

/** Absolute offset of the chain's last name (-1: the chain is longer than allowed) and the least TTL of its links. */
function followAliases(bytes: Uint8Array, start: number, view: AnswerView): Readonly<typeof chainEnd> {
  chainEnd.owner = view.nameStart;
  chainEnd.ttlSeconds = TTL_MAX;
  for (let link = 0; link <= ALIAS_LINKS_MAX; link++) {
    const alias = findAlias(bytes, start, view, chainEnd.owner);
    if (alias < 0) return chainEnd;
    chainEnd.owner = start + view.dataOffset[alias];
    chainEnd.ttlSeconds = Math.min(chainEnd.ttlSeconds, readTtl(view, alias));
  }
  chainEnd.owner = -1;
  return chainEnd;
}

function findAlias(bytes: Uint8Array, start: number, view: AnswerView, owner: number): number {
  for (let i = 0; i < view.recordCount; i++) {
    if (
      view.recordType[i] === TYPE.CNAME &&
      view.recordClass[i] === CLASS.IN &&
      nameEquals(bytes, start, start + view.owner[i], bytes, start, owner)
    ) {
      return i;
    }
  }
  return -1;
}
