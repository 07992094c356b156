/**
 * Opens learned addresses in the kernel, on the way of a query: elements of the tables' FQDN sets, by raw netlink from a thread of its
 * own, so that a kernel that is busy elsewhere never holds up the data plane.
 *
 * Invariant: an answer is told open when all of its elements are in the kernel, by the kernel's word. What is open already (as far as
 * this thread knows) makes no answer wait, but is told again with the later end.
 * At the bounds: no room at the writer, or a set that is not there yet: one element of the set is tried every RETRY_MS, RETRY_FOR_MS
 * long, and all others of it when that is in; then it is a failure, counted, and the answer leaves at its deadline, as at once when
 * LATE_MAX wait so. Elements known beyond KNOWN_MAX are forgotten, which costs time alone.
 */
import {
  COLLECT_GRACE_MS, type LearnedMapping, learnedName, type MonoMs, OPENING, type Opening, parseAddress, type PassedOn, type Settings, type Snapshot,
} from '@tandem/core';
import { completionStride, NETLINK, NetlinkWriter } from 'node-reuseport';
import { graceMs } from './grace.js';
import { elementText, OpenElements, type OpenElement } from './open-elements.js';
import { SetBatch } from './set-batch.js';

const ELEMENTS_PER_BATCH = 128;
const REQUESTS_MAX = 1024;
const REQUEST_BYTES_MAX = 32 * 1024;
const COMPLETIONS_PER_CALL = 256;
const KNOWN_MAX = 262_144;
const RETRY_MS = 5;
const RETRY_FOR_MS = 1000;
const LATE_MAX = 8192;
/** The set, or the table, is not there: the policy that speaks of it is being written. */
const ENOENT = 2;
/** What is known to be open ends so much earlier than in the kernel, so that no answer trusts what is about to end. */
const SAFETY_MS = 1000;

interface Waiter {
  readonly slot: number;
  readonly answer: number;
  /** Elements that are not open yet. */
  left: number;
}

interface Item extends OpenElement {
  readonly untilMs: number;
  readonly waiter: Waiter | null;
  readonly giveUpAtMs: number;
}

/** Elements of one set: as a rule they succeed or fail together. */
interface Batch {
  readonly items: readonly Item[];
  /** Sent when these are in. */
  readonly behind: readonly Item[];
  /** Of `forget`: what was sent before may be closed again by now. */
  readonly era: number;
}

export class KernelOpener {
  failures = 0;
  private readonly writer = new NetlinkWriter({ protocol: NETLINK.netfilter, capacity: REQUESTS_MAX, bytesMax: REQUEST_BYTES_MAX });
  private readonly elements: OpenElements;
  private readonly graceMs: number;
  /** How long before its end nobody relies on an element: once its mapping has expired, a collection may close it. */
  private readonly untrustedMs: number;
  private readonly minTtlSeconds: number;
  private readonly batch = new SetBatch(ELEMENTS_PER_BATCH);
  private readonly completed = new Int32Array(COMPLETIONS_PER_CALL * completionStride);
  private readonly known = new Map<string, number>();
  private readonly underWay = new Map<number, Batch>();
  private listed: Item[] = [];
  /** By set. */
  private late = new Map<string, Item[]>();
  private lateCount = 0;
  private retryAtMs = Infinity;
  private era = 0;
  private ticket = 0;
  private nowMs = 0;

  constructor(settings: Settings) {
    this.elements = new OpenElements(settings.grantScope);
    this.graceMs = graceMs(settings);
    this.untrustedMs = Math.max(0, this.graceMs - COLLECT_GRACE_MS) + SAFETY_MS;
    this.minTtlSeconds = settings.minTtlSeconds;
  }

  get fd(): number {
    return this.writer.fd;
  }

  setPolicy(snapshot: Snapshot): void {
    this.elements.setPolicy(snapshot);
    // A set that goes and comes again is empty.
    this.forget(null);
  }

  /** What is known to be open may not be: what these mappings opened, or all (null). */
  forget(mappings: readonly PassedOn[] | null): void {
    if (mappings === null) this.known.clear();
    for (const { name, address, endpointId } of mappings ?? []) {
      for (const element of this.elements.of(name, parseAddress(address)!, endpointId)) this.known.delete(elementText(element));
    }
    this.era++;
  }

  learned(mapping: LearnedMapping): Opening {
    const elements = this.elements.of(learnedName(mapping), new Uint8Array(mapping.address.buffer, mapping.address.byteOffset, 16), mapping.endpointId);
    if (elements.length === 0) return OPENING.open;
    const untilMs = mapping.lookupMs + Math.max(mapping.ttlSeconds, this.minTtlSeconds) * 1000 + this.graceMs;
    const missing = elements.filter((element) => (this.known.get(elementText(element)) ?? 0) - this.untrustedMs <= mapping.lookupMs);
    const waiter = missing.length === 0 ? null : { slot: mapping.slot, answer: mapping.answer, left: missing.length };
    for (const element of elements) {
      const isMissing = missing.includes(element);
      if (!isMissing && (this.known.get(elementText(element)) ?? 0) >= untilMs) continue;
      this.listed.push({ ...element, untilMs, waiter: isMissing ? waiter : null, giveUpAtMs: mapping.lookupMs + RETRY_FOR_MS });
    }
    return waiter === null ? OPENING.open : OPENING.pending;
  }

  flush(nowMs: MonoMs): void {
    this.nowMs = nowMs;
    if (nowMs >= this.retryAtMs) this.tryAgain();
    if (this.listed.length === 0) return;
    const items = this.listed;
    this.listed = [];
    this.submitBySet(items);
  }

  take(opened: (slot: number, answer: number) => void): void {
    for (let isMore = true; isMore; ) {
      const count = this.writer.completions(this.completed);
      for (let i = 0; i < count; i++) {
        const ticket = this.completed[i * completionStride];
        const batch = this.underWay.get(ticket);
        this.underWay.delete(ticket);
        if (batch !== undefined) this.finish(batch, this.completed[i * completionStride + 1], opened);
      }
      isMore = count === COMPLETIONS_PER_CALL;
    }
  }

  nextDeadlineMs(): number {
    return this.retryAtMs;
  }

  close(): void {
    this.writer.close();
  }

  private finish({ items, behind, era }: Batch, errno: number, opened: (slot: number, answer: number) => void): void {
    if (errno === 0) {
      if (this.known.size > KNOWN_MAX) this.known.clear();
      for (const { waiter, untilMs, ...element } of items) {
        if (era === this.era) this.known.set(elementText(element), untilMs);
        if (waiter !== null && --waiter.left === 0) opened(waiter.slot, waiter.answer);
      }
      this.submitBySet(behind);
      return;
    }
    if (errno === ENOENT) {
      this.later(items);
      this.later(behind);
      return;
    }
    // One bad element spoils its batch: the others are told from it by being tried alone.
    if (items.length > 1) for (const item of items) this.submit([item], []);
    else this.failures++;
    this.submitBySet(behind);
  }

  private later(items: readonly Item[]): void {
    for (const item of items) {
      if (item.giveUpAtMs <= this.nowMs || this.lateCount >= LATE_MAX) {
        this.failures++;
        continue;
      }
      const list = this.late.get(item.set);
      if (list === undefined) this.late.set(item.set, [item]);
      else list.push(item);
      this.lateCount++;
    }
    if (this.lateCount > 0) this.retryAtMs = Math.min(this.retryAtMs, this.nowMs + RETRY_MS);
  }

  private tryAgain(): void {
    const { late } = this;
    this.late = new Map();
    this.lateCount = 0;
    this.retryAtMs = Infinity;
    for (const [first, ...others] of late.values()) this.submit([first], others);
  }

  private submitBySet(items: readonly Item[]): void {
    if (items.length === 0) return;
    for (const ofSet of Map.groupBy(items, ({ set }) => set).values()) {
      for (let at = 0; at < ofSet.length; at += ELEMENTS_PER_BATCH) this.submit(ofSet.slice(at, at + ELEMENTS_PER_BATCH), []);
    }
  }

  private submit(items: readonly Item[], behind: readonly Item[]): void {
    for (const { set, key, untilMs } of items) this.batch.add(set, key, untilMs - this.nowMs);
    this.ticket = (this.ticket + 1) & 0x7fff_ffff;
    if (this.writer.submit(this.batch.take(), this.ticket)) {
      this.underWay.set(this.ticket, { items, behind, era: this.era });
      return;
    }
    this.later(items);
    this.later(behind);
  }
}
