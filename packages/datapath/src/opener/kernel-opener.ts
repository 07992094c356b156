/**
 * Opens learned addresses in the kernel, on the way of a query: elements of the tables' FQDN sets, by raw netlink from a thread of its
 * own, so that a kernel that is busy elsewhere never holds up the data plane.
 *
 * Invariant: an answer is told open when all of its elements are in the kernel, by the kernel's word. What is open already (as far as
 * this thread knows) makes no answer wait, but is told again with the later end.
 * At the bounds: no room at the writer, or a set that is not there yet: tried again every RETRY_MS, RETRY_FOR_MS long; then it is
 * a failure, counted, and the answer leaves at its deadline. Elements known beyond KNOWN_MAX are forgotten, which costs time alone.
 */
import { type LearnedMapping, learnedName, type MonoMs, OPENING, type Opening, type Settings, type Snapshot } from '@tandem/core';
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

export class KernelOpener {
  failures = 0;
  private readonly writer = new NetlinkWriter({ protocol: NETLINK.netfilter, capacity: REQUESTS_MAX, bytesMax: REQUEST_BYTES_MAX });
  private readonly elements: OpenElements;
  private readonly graceMs: number;
  private readonly minTtlSeconds: number;
  private readonly batch = new SetBatch(ELEMENTS_PER_BATCH);
  private readonly completed = new Int32Array(COMPLETIONS_PER_CALL * completionStride);
  private readonly known = new Map<string, number>();
  private readonly underWay = new Map<number, readonly Item[]>();
  private listed: Item[] = [];
  private retries: Item[] = [];
  private retryAtMs = Infinity;
  private ticket = 0;
  private nowMs = 0;

  constructor(settings: Settings) {
    this.elements = new OpenElements(settings.grantScope);
    this.graceMs = graceMs(settings);
    this.minTtlSeconds = settings.minTtlSeconds;
  }

  get fd(): number {
    return this.writer.fd;
  }

  setPolicy(snapshot: Snapshot): void {
    this.elements.setPolicy(snapshot);
    // A set that goes and comes again is empty.
    this.forget();
  }

  /** What is known to be open may not be. */
  forget(): void {
    this.known.clear();
  }

  learned(mapping: LearnedMapping): Opening {
    const elements = this.elements.of(learnedName(mapping), new Uint8Array(mapping.address.buffer, mapping.address.byteOffset, 16), mapping.endpointId);
    if (elements.length === 0) return OPENING.open;
    const untilMs = mapping.lookupMs + Math.max(mapping.ttlSeconds, this.minTtlSeconds) * 1000 + this.graceMs;
    const missing = elements.filter((element) => (this.known.get(elementText(element)) ?? 0) - SAFETY_MS <= mapping.lookupMs);
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
    for (let at = 0; at < items.length; at += ELEMENTS_PER_BATCH) this.submit(items.slice(at, at + ELEMENTS_PER_BATCH));
  }

  take(opened: (slot: number, answer: number) => void): void {
    for (let isMore = true; isMore; ) {
      const count = this.writer.completions(this.completed);
      for (let i = 0; i < count; i++) {
        const ticket = this.completed[i * completionStride];
        const items = this.underWay.get(ticket);
        this.underWay.delete(ticket);
        if (items !== undefined) this.finish(items, this.completed[i * completionStride + 1], opened);
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

  private finish(items: readonly Item[], errno: number, opened: (slot: number, answer: number) => void): void {
    if (errno === 0) {
      if (this.known.size > KNOWN_MAX) this.known.clear();
      for (const { waiter, untilMs, ...element } of items) {
        this.known.set(elementText(element), untilMs);
        if (waiter !== null && --waiter.left === 0) opened(waiter.slot, waiter.answer);
      }
      return;
    }
    // One bad element spoils its batch: the others are told from it by being tried alone.
    if (errno === ENOENT || items.length > 1) this.later(items);
    else this.failures++;
  }

  private later(items: readonly Item[]): void {
    const open = items.filter(({ giveUpAtMs }) => giveUpAtMs > this.nowMs);
    this.failures += items.length - open.length;
    if (open.length === 0) return;
    this.retries.push(...open);
    this.retryAtMs = Math.min(this.retryAtMs, this.nowMs + RETRY_MS);
  }

  private tryAgain(): void {
    const items = this.retries;
    this.retries = [];
    this.retryAtMs = Infinity;
    for (const item of items) this.submit([item]);
  }

  private submit(items: readonly Item[]): void {
    for (const { set, key, untilMs } of items) this.batch.add(set, key, untilMs - this.nowMs);
    this.ticket = (this.ticket + 1) & 0x7fff_ffff;
    if (this.writer.submit(this.batch.take(), this.ticket)) this.underWay.set(this.ticket, items);
    else this.later(items);
  }
}
