/**
 * Where the FQDN cache keeps its mappings: one row each, in columns of numbers; names are interned, addresses are four words. A
 * `Mapping` is made when somebody reads a row.
 *
 * Invariant: a mapping has the same row as long as it is known, renewed or not; then the row is free, and later another's. Rows are
 * found by endpoint and name (`firstHolding`, `retained`), by endpoint (`nextInRing`), or one after the other (`highest`).
 * The room is that of the most rows there were; its bound is what endpoints may have. What holds, and why, is said to it.
 */
import { assert } from '../base/assert.js';
import { grown, moreRows } from '../base/columns.js';
import { type MonoMs, monoMs } from '../base/seams.js';
import { ADDRESS_BYTES, formatAddress, readAddress } from '../base/socket-address.js';
import { InternedTexts } from './interned-texts.js';
import type { Mapping } from './mapping.js';

/** The number of a row, 1 and up; good until the row is removed. */
export type Row = number;
/** No row. */
export const NO_ROW = 0;
/** Equal for equal addresses, and cheaper than their text. */
export type AddressKey = number | string;

/** What a mapping's row is. Of an address with several mappings all but one wait behind that. */
export const STATE = { holds: 2, holdsBehind: 3, retained: 4, retainedBehind: 5 } as const;
export type State = (typeof STATE)[keyof typeof STATE];
const FREE = 0;
/** An endpoint has a row of its own: where its ring begins and ends, and the endpoint's number. */
const ENDPOINT = 1;

const ADDRESS_WORDS = 4;
/** A v4 address is the last of its words, behind these. */
const V4_PREFIX = new Uint32Array(new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]).buffer);
const BUCKETS_MIN = 64;

export class MappingTable {
  readonly names = new InternedTexts();
  private readonly hashSeed: number;
  private readonly uids = new Map<Row, string>();
  private top = 0;
  private free: Row = NO_ROW;
  private states = new Uint8Array(1);
  private lookups = new Float64Array(1);
  private expiries = new Float64Array(1);
  private ttls = new Uint32Array(1);
  private nameNumbers = new Uint32Array(1);
  private endpoints = new Uint32Array(1);
  private addresses = new Uint32Array(ADDRESS_WORDS);
  private addressBytes = new Uint8Array(this.addresses.buffer);
  /** The row after it in its bucket, or in the list of free rows. */
  private links = new Uint32Array(1);
  private before = new Uint32Array(1);
  private after = new Uint32Array(1);
  private marks = new Uint32Array(1);
  private passes = new Uint32Array(1);
  /** The first row of each chain: at least one for two rows. */
  private buckets = new Uint32Array(BUCKETS_MIN);
  /** The address that `setAddress` chose, and a view of it. */
  private readonly chosen = new Uint32Array(ADDRESS_WORDS);
  private readonly chosenBytes = new Uint8Array(this.chosen.buffer);

  /** `hashSeed`: so that nobody who makes up addresses can aim at one chain. */
  constructor(hashSeed: number) {
    this.hashSeed = hashSeed;
  }

  /** No row has a higher number. */
  get highest(): Row {
    return this.top;
  }

  /** The endpoint's number, until `closeEndpoint`. */
  openEndpoint(uid: string): Row {
    const row = this.take(ENDPOINT);
    this.uids.set(row, uid);
    this.before[row] = this.after[row] = row;
    return row;
  }

  /** It has no mapping any more. */
  closeEndpoint(endpoint: Row): void {
    this.uids.delete(endpoint);
    this.giveBack(endpoint);
  }

  /** Chooses the address that `insert`, `hasAddress`, `retained` and `knows` are about: a canonical text. */
  setAddress(text: string): void {
    assert(readAddress(text, this.chosenBytes), 'a mapping has an IP address');
  }

  hasAddress(row: Row): boolean {
    const { addresses, chosen } = this;
    const at = row * ADDRESS_WORDS;
    // The last first: most addresses of a name differ there.
    return addresses[at + 3] === chosen[3] && addresses[at + 2] === chosen[2] && addresses[at + 1] === chosen[1] && addresses[at] === chosen[0];
  }

  hasSameAddress(a: Row, b: Row): boolean {
    for (let i = 0; i < ADDRESS_WORDS; i++) if (this.addresses[a * ADDRESS_WORDS + i] !== this.addresses[b * ADDRESS_WORDS + i]) return false;
    return true;
  }

  /** A mapping of the chosen address, which holds; no row is as it is. */
  insert(endpoint: Row, mapping: Mapping): Row {
    const row = this.take(STATE.holds);
    this.nameNumbers[row] = this.names.use(mapping.name);
    this.endpoints[row] = endpoint;
    this.addresses.set(this.chosen, row * ADDRESS_WORDS);
    this.renew(row, mapping);
    this.link(row);
    const last = this.before[endpoint];
    this.before[row] = last;
    this.after[row] = endpoint;
    this.after[last] = row;
    this.before[endpoint] = row;
    return row;
  }

  /** The mapping's times are the row's. */
  renew(row: Row, mapping: Mapping): void {
    this.lookups[row] = mapping.lookupMs;
    this.expiries[row] = mapping.expiryMs;
    this.ttls[row] = mapping.ttlSeconds;
  }

  /** The mapping is known no more. */
  remove(row: Row): void {
    this.unlink(row);
    this.after[this.before[row]] = this.after[row];
    this.before[this.after[row]] = this.before[row];
    this.names.release(this.nameNumbers[row]);
    this.giveBack(row);
  }

  /** The first mapping that holds of an endpoint and a name (by their numbers), in no order. */
  firstHolding(endpoint: Row, name: number): Row {
    return this.holding(this.buckets[this.bucketOf(endpoint, name)], endpoint, name);
  }

  /** The next of the same endpoint and name. */
  nextHolding(row: Row): Row {
    return this.holding(this.links[row], this.endpoints[row], this.nameNumbers[row]);
  }

  /** All that is retained of an endpoint, a name and the chosen address. */
  retained(endpoint: Row, name: number): Row[] {
    const rows: Row[] = [];
    for (let row = this.buckets[this.bucketOfRetained(endpoint, name, this.chosen, 0)]; row !== NO_ROW; row = this.links[row]) {
      if (this.isRetained(row) && this.nameNumbers[row] === name && this.endpoints[row] === endpoint && this.hasAddress(row)) rows.push(row);
    }
    return rows;
  }

  /** There is a row of an endpoint, a name and the chosen address, whether it holds or is retained. */
  knows(endpoint: Row, name: number): boolean {
    for (let row = this.firstHolding(endpoint, name); row !== NO_ROW; row = this.nextHolding(row)) {
      if (this.hasAddress(row)) return true;
    }
    return this.retained(endpoint, name).length > 0;
  }

  /** The next of the endpoint as they came to be known, NO_ROW after the last; of the endpoint's own number the first. */
  nextInRing(row: Row): Row {
    const next = this.after[row];
    return this.states[next] === ENDPOINT ? NO_ROW : next;
  }

  isMapping(row: Row): boolean {
    return this.states[row] >= STATE.holds;
  }

  isRetained(row: Row): boolean {
    return this.states[row] >= STATE.retained;
  }

  isIn(row: Row, state: State): boolean {
    return this.states[row] === state;
  }

  setState(row: Row, state: State): void {
    if (this.isRetained(row) === state >= STATE.retained) {
      this.states[row] = state;
      return;
    }
    this.unlink(row);
    this.states[row] = state;
    this.link(row);
  }

  /** A number that somebody keeps with a mapping; 0 from the beginning. */
  mark(row: Row): number {
    return this.marks[row];
  }

  setMark(row: Row, mark: number): void {
    this.marks[row] = mark;
  }

  /** Another such number: of a retained row, which pass over the connection table was the last before. */
  pass(row: Row): number {
    return this.passes[row];
  }

  setPass(row: Row, pass: number): void {
    this.passes[row] = pass;
  }

  lookupMs(row: Row): MonoMs {
    return monoMs(this.lookups[row]);
  }

  expiryMs(row: Row): MonoMs {
    return monoMs(this.expiries[row]);
  }

  nameNumber(row: Row): number {
    return this.nameNumbers[row];
  }

  name(row: Row): string {
    return this.names.text(this.nameNumbers[row]);
  }

  address(row: Row): string {
    return formatAddress(this.addressBytes, row * ADDRESS_BYTES);
  }

  addressKey(row: Row): AddressKey {
    return keyOf(this.addresses, this.addressBytes, row * ADDRESS_WORDS);
  }

  /** Of the address that `setAddress` chose. */
  chosenKey(): AddressKey {
    return keyOf(this.chosen, this.chosenBytes, 0);
  }

  /** The row's mapping as it is now; null for a row that has none. */
  at(row: Row): Mapping | null {
    if (!this.isMapping(row)) return null;
    return {
      endpointUid: this.uids.get(this.endpoints[row])!,
      name: this.name(row),
      address: this.address(row),
      lookupMs: this.lookupMs(row),
      ttlSeconds: this.ttls[row],
      expiryMs: this.expiryMs(row),
    };
  }

  /**
   * Which of two mappings of one key dominates: 1 the row's (also where they are equal), -1 the other, 0 neither. Equal times are told
   * apart by the TTL, so that two different mappings never dominate each other both ways.
   */
  order(row: Row, mapping: Mapping): -1 | 0 | 1 {
    const lookup = this.lookups[row] - mapping.lookupMs;
    const expiry = this.expiries[row] - mapping.expiryMs;
    if (lookup === 0 && expiry === 0) return this.ttls[row] >= mapping.ttlSeconds ? 1 : -1;
    if (lookup >= 0 && expiry >= 0) return 1;
    return lookup <= 0 && expiry <= 0 ? -1 : 0;
  }

  private holding(from: Row, endpoint: Row, name: number): Row {
    let row = from;
    while (row !== NO_ROW && (this.nameNumbers[row] !== name || this.endpoints[row] !== endpoint || this.isRetained(row))) row = this.links[row];
    return row;
  }

  private bucketOf(endpoint: Row, name: number): number {
    return this.bucketOfHash(Math.imul(name, 0x9e3779b1) ^ Math.imul(endpoint, 0x85ebca6b));
  }

  /** Also by address: an endpoint can have addresses of a name, or names of an address, without end. `at`: of the first of its words. */
  private bucketOfRetained(endpoint: Row, name: number, address: Uint32Array, at: number): number {
    let hash = this.hashSeed ^ Math.imul(name, 0x9e3779b1) ^ Math.imul(endpoint, 0xc2b2ae35);
    for (let i = at; i < at + ADDRESS_WORDS; i++) {
      hash = Math.imul(hash ^ address[i], 0x85ebca6b);
      hash ^= hash >>> 13;
    }
    return this.bucketOfHash(hash);
  }

  private bucketOfHash(hash: number): number {
    const mixed = Math.imul(hash ^ (hash >>> 16), 0xc2b2ae35);
    return (mixed ^ (mixed >>> 15)) & (this.buckets.length - 1);
  }

  private bucketOfRow(row: Row): number {
    const endpoint = this.endpoints[row];
    const name = this.nameNumbers[row];
    return this.isRetained(row) ? this.bucketOfRetained(endpoint, name, this.addresses, row * ADDRESS_WORDS) : this.bucketOf(endpoint, name);
  }

  private link(row: Row): void {
    const bucket = this.bucketOfRow(row);
    this.links[row] = this.buckets[bucket];
    this.buckets[bucket] = row;
  }

  private unlink(row: Row): void {
    const bucket = this.bucketOfRow(row);
    if (this.buckets[bucket] === row) {
      this.buckets[bucket] = this.links[row];
      return;
    }
    let former = this.buckets[bucket];
    while (this.links[former] !== row) former = this.links[former];
    this.links[former] = this.links[row];
  }

  private take(state: State | typeof ENDPOINT): Row {
    let row = this.free;
    if (row === NO_ROW) {
      row = ++this.top;
      if (row === this.states.length) this.grow();
    } else {
      this.free = this.links[row];
    }
    this.states[row] = state;
    return row;
  }

  private giveBack(row: Row): void {
    this.states[row] = FREE;
    this.marks[row] = 0;
    this.links[row] = this.free;
    this.free = row;
  }

  private grow(): void {
    const rows = moreRows(this.states.length);
    this.states = grown(this.states, rows);
    this.lookups = grown(this.lookups, rows);
    this.expiries = grown(this.expiries, rows);
    this.ttls = grown(this.ttls, rows);
    this.nameNumbers = grown(this.nameNumbers, rows);
    this.endpoints = grown(this.endpoints, rows);
    this.addresses = grown(this.addresses, rows * ADDRESS_WORDS);
    this.addressBytes = new Uint8Array(this.addresses.buffer);
    this.links = grown(this.links, rows);
    this.before = grown(this.before, rows);
    this.after = grown(this.after, rows);
    this.marks = grown(this.marks, rows);
    this.passes = grown(this.passes, rows);
    if (rows > 2 * this.buckets.length) this.spread(2 * this.buckets.length);
  }

  private spread(buckets: number): void {
    this.buckets = new Uint32Array(buckets);
    for (let row = 1; row < this.top; row++) {
      if (this.isMapping(row)) this.link(row);
    }
  }
}

/** `at`: of the first of the address's words. */
function keyOf(words: Uint32Array, bytes: Uint8Array, at: number): AddressKey {
  const isV4 = words[at] === V4_PREFIX[0] && words[at + 1] === V4_PREFIX[1] && words[at + 2] === V4_PREFIX[2];
  return isV4 ? words[at + V4_PREFIX.length] : formatAddress(bytes, at * Uint32Array.BYTES_PER_ELEMENT);
}
