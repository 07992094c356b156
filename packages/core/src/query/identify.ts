/**
 * Step 2: whose query is it? The source address says it where there is one interface for all (explicit mode); in transparent
 * mode the kernel attests where it came in, too: by the interface of a veth of the pod's own, or, for a bridged pod, by the mark that
 * is set where port, MAC and address were checked.
 *
 * Invariant: an address that comes in anywhere but where its pod was first seen is a stranger's, whatever the settings say of strangers.
 */
import { AddressTable } from '../policy/address-table.js';
import type { PolicyIndex } from '../policy/decide.js';
import { SLOT, SLOT_FLAG, slotWord, type SlotMemory } from './slots.js';

/** The address is no endpoint's. */
export const STRANGER = -1;
/** It is an endpoint's, but came in elsewhere than that endpoint is. */
export const STALE = -2;

/** What is expected of a packet, per address: an interface index, or this for a bridged pod. */
const BRIDGED = 0;

export class Identifier {
  private readonly memory: SlotMemory;
  /** Bit of the packet mark that says a bridged pod's port, MAC and address were checked; null: the address alone counts. */
  private readonly attestedMark: number | null;
  private index: PolicyIndex | null = null;
  private locations = new AddressTable([]);
  private interfaces: readonly number[] = [];
  private diverted = -1;
  private displaced: ReadonlySet<string> = new Set();

  constructor(memory: SlotMemory, attestedMark: number | null) {
    this.memory = memory;
    this.attestedMark = attestedMark;
  }

  setIndex(index: PolicyIndex): void {
    this.index = index;
    this.locate();
  }

  /** Addresses whose place is gone: another link may have its index by now. */
  setDisplaced(addresses: readonly string[]): void {
    this.displaced = new Set(addresses);
    this.locate();
  }

  private locate(): void {
    if (this.attestedMark === null || this.index === null) return;
    const places = this.index.snapshot.endpoints.flatMap(({ at }) => at ?? []).filter(({ address }) => !this.displaced.has(address));
    this.locations = new AddressTable(places.map(({ address }, row) => ({ address, row })));
    this.interfaces = places.map(({ interface: own, mac }) => (mac === undefined ? own : BRIDGED));
  }

  /** The interface that bridged pods' packets come in by. */
  setDiverted(interfaceIndex: number): void {
    this.diverted = interfaceIndex;
  }

  /** The client's endpoint row, STRANGER or STALE. */
  identify(slot: number): number {
    const { words } = this.memory;
    const word = slotWord(this.memory, slot);
    const row = this.index === null ? STRANGER : this.index.endpointAt(words, word + SLOT.clientAddress);
    if (row < 0) return STRANGER;
    return this.attestedMark === null || this.isAttested(word, this.attestedMark) ? row : STALE;
  }

  private isAttested(word: number, mark: number): boolean {
    const { words } = this.memory;
    const place = this.locations.find(words, word + SLOT.clientAddress);
    if (place < 0) return false;
    const expected = this.interfaces[place];
    if (expected !== BRIDGED) return words[word + SLOT.interface] === expected;
    if (words[word + SLOT.interface] !== this.diverted) return false;
    // A stream has no mark; one that was not checked is reset before it comes here.
    return (words[word + SLOT.flags] & SLOT_FLAG.tcp) !== 0 || (words[word + SLOT.mark] & mark) !== 0;
  }
}
