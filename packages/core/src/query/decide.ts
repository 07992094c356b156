/**
 * Step 3: may this endpoint ask this server for this name, and which upstream is then asked?
 *
 * Explicit mode asks the first of our upstreams that policy allows; policy sees its address with the policy port.
 * Transparent mode asks the server that the client chose.
 */
import type { QueryView } from '@tandem/dns';
import { DENY, type PolicyIndex } from '../policy/decide.js';
import { PROTOCOL } from '../policy/snapshot.js';
import type { PathSettings } from './settings.js';
import { SLOT, SLOT_FLAG, slotWord, type SlotMemory } from './slots.js';

/** No upstream that the endpoint may ask for this. */
export const REFUSED = -1;

/** Upstreams of transparent mode, by the family of the server that the client chose. */
export const OWN_CHOICE = { v4: 0, v6: 1 } as const;

const ADDRESS_WORDS = 4;
/** The third word of an IPv4-mapped address as it lies in memory on a little-endian machine. */
const V4_MAPPED_WORD = 0xffff_0000;

export class Decider {
  private readonly memory: SlotMemory;
  private readonly policyPort: number;
  /** Address words of the upstreams, four each, and their ports. */
  private readonly addresses: Uint32Array;
  private readonly ports: readonly number[];
  /** Each upstream's server row in `index`. */
  private serverRows: number[] = [];
  private readonly upstreamOfSlot: Uint8Array;
  private lastRule: number = DENY;
  /** Upstreams that can be reached now; another is chosen only where policy leaves no other. */
  private reachable: readonly boolean[];
  private index: PolicyIndex | null = null;

  constructor(memory: SlotMemory, settings: PathSettings) {
    this.memory = memory;
    this.policyPort = settings.policyPort;
    this.upstreamOfSlot = new Uint8Array(memory.slotCount);
    this.reachable = settings.upstreams.map(() => true);
    const bytes = new Uint8Array(settings.upstreams.length * ADDRESS_WORDS * 4);
    settings.upstreams.forEach((upstream, i) => {
      bytes.set(upstream.address, i * ADDRESS_WORDS * 4);
    });
    this.addresses = new Uint32Array(bytes.buffer);
    this.ports = settings.upstreams.map((upstream) => upstream.port);
  }

  setIndex(index: PolicyIndex): void {
    this.index = index;
    this.serverRows = this.ports.map((_, i) => index.serverAt(this.addresses, i * ADDRESS_WORDS));
  }

  setReachable(reachable: readonly boolean[]): void {
    this.reachable = reachable;
  }

  /** Writes the slot's upstream and returns its index (transparent mode: by its family), or REFUSED. */
  decide(slot: number, endpointRow: number, bytes: Uint8Array, view: QueryView): number {
    return this.choose(slot, endpointRow, bytes, view, 0);
  }

  /** For a second try: the next upstream that policy allows, which may be the same again. */
  elsewhere(slot: number, endpointRow: number, bytes: Uint8Array, view: QueryView): number {
    return this.choose(slot, endpointRow, bytes, view, this.upstreamOfSlot[slot] + 1);
  }

  /** Whom to ask where policy has no say: a stranger that may ask, or audit mode. */
  anyway(slot: number): number {
    return this.chooseAny(slot, 0);
  }

  /** The same for a second try. */
  anywhereElse(slot: number): number {
    return this.chooseAny(slot, this.upstreamOfSlot[slot] + 1);
  }

  /** The upstream that the slot's query was last sent to. */
  current(slot: number): number {
    return this.upstreamOfSlot[slot];
  }

  /** What policy said last: the rule that allows, or how the first upstream is refused, as `PolicyIndex.decide` gives it. */
  get rule(): number {
    return this.lastRule;
  }

  private choose(slot: number, endpointRow: number, bytes: Uint8Array, view: QueryView, first: number): number {
    const index = this.index;
    if (index === null) return REFUSED;
    const { words } = this.memory;
    const word = slotWord(this.memory, slot);
    const protocol = (words[word + SLOT.flags] & SLOT_FLAG.tcp) === 0 ? PROTOCOL.udp : PROTOCOL.tcp;
    const count = this.ports.length;
    if (count === 0) {
      const server = index.serverAt(words, word + SLOT.serverAddress);
      this.lastRule = index.decide(endpointRow, server, words[word + SLOT.serverPort], protocol, bytes, view);
      return this.lastRule <= DENY ? REFUSED : this.useOwnChoice(slot);
    }
    let allowed = REFUSED;
    let allowing = DENY;
    let refusing = DENY;
    for (let step = 0; step < count; step++) {
      const i = (first + step) % count;
      this.lastRule = index.decide(endpointRow, this.serverRows[i], this.policyPort, protocol, bytes, view);
      if (this.lastRule <= DENY) {
        if (step === 0) refusing = this.lastRule;
        continue;
      }
      if (this.reachable[i]) return this.use(slot, i);
      if (allowed === REFUSED) {
        allowed = i;
        allowing = this.lastRule;
      }
    }
    this.lastRule = allowed === REFUSED ? refusing : allowing;
    return allowed === REFUSED ? REFUSED : this.use(slot, allowed);
  }

  private chooseAny(slot: number, first: number): number {
    const count = this.ports.length;
    if (count === 0) return this.useOwnChoice(slot);
    for (let i = first; i < first + count; i++) if (this.reachable[i % count]) return this.use(slot, i % count);
    return this.use(slot, first % count);
  }

  private use(slot: number, i: number): number {
    const { words } = this.memory;
    const word = slotWord(this.memory, slot);
    for (let k = 0; k < ADDRESS_WORDS; k++) {
      words[word + SLOT.upstreamAddress + k] = this.addresses[i * ADDRESS_WORDS + k];
    }
    words[word + SLOT.upstreamPort] = this.ports[i];
    this.upstreamOfSlot[slot] = i;
    return i;
  }

  /** The server that the client sent to. */
  private useOwnChoice(slot: number): number {
    const { words } = this.memory;
    const word = slotWord(this.memory, slot);
    words.copyWithin(word + SLOT.upstreamAddress, word + SLOT.serverAddress, word + SLOT.serverPort + 1);
    const isV4 = words[word + SLOT.serverAddress + 2] === V4_MAPPED_WORD && words[word + SLOT.serverAddress] === 0 && words[word + SLOT.serverAddress + 1] === 0;
    this.upstreamOfSlot[slot] = isV4 ? OWN_CHOICE.v4 : OWN_CHOICE.v6;
    return this.upstreamOfSlot[slot];
  }
}
