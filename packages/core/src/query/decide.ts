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

const ADDRESS_WORDS = 4;

export class Decider {
  private readonly memory: SlotMemory;
  private readonly policyPort: number;
  /** Address words of the upstreams, four each, and their ports. */
  private readonly addresses: Uint32Array;
  private readonly ports: readonly number[];
  /** Each upstream's server row in `index`. */
  private serverRows: number[] = [];
  private index: PolicyIndex | null = null;

  constructor(memory: SlotMemory, settings: PathSettings) {
    this.memory = memory;
    this.policyPort = settings.policyPort;
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

  /** Writes the slot's upstream; true when policy allows it. On a refusal the first upstream stands there, for audit. */
  decide(slot: number, endpointRow: number, bytes: Uint8Array, view: QueryView): boolean {
    const index = this.index;
    if (index === null) return false;
    const { words } = this.memory;
    const word = slotWord(this.memory, slot);
    const protocol = (words[word + SLOT.flags] & SLOT_FLAG.tcp) === 0 ? PROTOCOL.udp : PROTOCOL.tcp;
    if (this.ports.length === 0) {
      words.copyWithin(word + SLOT.upstreamAddress, word + SLOT.serverAddress, word + SLOT.serverPort + 1);
      const server = index.serverAt(words, word + SLOT.serverAddress);
      return index.decide(endpointRow, server, words[word + SLOT.serverPort], protocol, bytes, view) !== DENY;
    }
    for (let i = 0; i < this.ports.length; i++) {
      if (index.decide(endpointRow, this.serverRows[i], this.policyPort, protocol, bytes, view) !== DENY) {
        this.setUpstream(word, i);
        return true;
      }
    }
    this.setUpstream(word, 0);
    return false;
  }

  /** For a second try: another upstream that policy allows, if there is one; else the same again. */
  elsewhere(slot: number, endpointRow: number, bytes: Uint8Array, view: QueryView): void {
    const { index } = this;
    if (index === null || this.ports.length < 2) return;
    const { words } = this.memory;
    const word = slotWord(this.memory, slot);
    const protocol = (words[word + SLOT.flags] & SLOT_FLAG.tcp) === 0 ? PROTOCOL.udp : PROTOCOL.tcp;
    const current = this.current(word);
    for (let step = 1; step < this.ports.length; step++) {
      const i = (current + step) % this.ports.length;
      if (index.decide(endpointRow, this.serverRows[i], this.policyPort, protocol, bytes, view) !== DENY) {
        this.setUpstream(word, i);
        return;
      }
    }
  }

  /** Any server's verdict for an address that is no endpoint, where strangers may ask. */
  askFirst(slot: number): void {
    const word = slotWord(this.memory, slot);
    const { words } = this.memory;
    if (this.ports.length === 0) {
      words.copyWithin(word + SLOT.upstreamAddress, word + SLOT.serverAddress, word + SLOT.serverPort + 1);
    } else {
      this.setUpstream(word, 0);
    }
  }

  private setUpstream(word: number, i: number): void {
    const { words } = this.memory;
    for (let k = 0; k < ADDRESS_WORDS; k++) {
      words[word + SLOT.upstreamAddress + k] = this.addresses[i * ADDRESS_WORDS + k];
    }
    words[word + SLOT.upstreamPort] = this.ports[i];
  }

  private current(word: number): number {
    const { words } = this.memory;
    for (let i = 0; i < this.ports.length; i++) {
      let same = words[word + SLOT.upstreamPort] === this.ports[i];
      for (let k = 0; same && k < ADDRESS_WORDS; k++) {
        same = words[word + SLOT.upstreamAddress + k] === this.addresses[i * ADDRESS_WORDS + k];
      }
      if (same) return i;
    }
    return 0;
  }
}
