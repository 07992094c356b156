/**
 * Mappings and cleans ↔ bytes of a file: a line of text, then frames, each with length and checksum. What is made durable
 * together is one frame.
 *
 * Invariant: a frame is read whole or not at all, and only after whole ones: what a reader returns is what was true at
 * the end of some frame. It does not know where the bytes come from, nor what the times mean now.
 *
 * Frame, little-endian: marker u32, length u32 (of what follows the checksum), CRC-32 u32 (of length and what follows the
 * checksum), number u32 (counts from 0 in each file), time of day f64, CLOCK_BOOTTIME f64 (both in milliseconds, when the
 * frame was closed), items. Item: kind u8, then
 * - endpoint: UID (u32 length, UTF-8); the frame's next endpoint, counted from 0;
 * - mapping: endpoint u32, name (u32 length, UTF-8), address (the same), lookupMs f64, expiryMs f64, ttlSeconds u32;
 * - clean: which of both are there u8 (1: pattern, 2: UID), pattern, UID, atMs f64;
 * - end: mappings u32, cleans u32; the last item of a checkpoint, and in no log.
 */
import { crc32 } from 'node:zlib';
import { type Clean, type Mapping, monoMs, parseAddress, SNAPSHOT_LIMITS } from '@tandem/core';

/** In no UTF-8 text: a name or UID cannot look like the start of a frame. */
const MARKER = Buffer.from([0xf7, 0xfe, 0xf7, 0xff]);
const LENGTH_AT = 4;
const CHECKSUM_AT = 8;
const NUMBER_AT = 12;
const WALL_AT = 16;
const MONO_AT = 24;
const ITEMS_AT = 32;

const ENDPOINT = 1;
const MAPPING = 2;
const CLEAN = 3;
const END = 4;
const HAS_PATTERN = 1;
const HAS_UID = 2;

const INITIAL_BYTES = 64 * 1024;
/** No frame is longer; a writer is emptied long before. */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;
/** As on the pair link, in characters. A pattern may be as long as what the HTTP API takes. */
const NAME_MAX = 1024;
const ADDRESS_MAX = 45;
const PATTERN_MAX = 64 * 1024;
const UTF8_BYTES_MAX = 3;
const TTL_MAX = 0x7fff_ffff;
const TIME_MAX_MS = 2 ** 43;
/** A torn frame holds a marker by chance at most; with so many of them the bytes are somebody's work. */
const LOOKS_MAX = 64;

/** The same moment on both clocks. */
export interface ClockPair {
  readonly wallMs: number;
  readonly monoMs: number;
}

export type CacheItem =
  | { readonly mapping: Mapping; readonly clean?: never }
  | { readonly clean: Clean; readonly mapping?: never };

export interface FramesRead {
  /** In the order of writing. */
  readonly items: readonly CacheItem[];
  /** Of the last whole frame; null when there is none. */
  readonly clock: ClockPair | null;
  /** Where the last whole frame ends. */
  readonly wholeBytes: number;
  /** Why reading stopped before the end; null when it did not. */
  readonly damage: string | null;
  /** There are whole frames behind the damage: no crash leaves that. */
  readonly isCorrupt: boolean;
  /** The last item is the end of a checkpoint, and its counts are right. */
  readonly isComplete: boolean;
}

/** Collects items for one frame after another. */
export class FrameWriter {
  private bytes = Buffer.allocUnsafe(INITIAL_BYTES);
  /** The former frame's, which may still be on its way to the disk. */
  private spare = Buffer.allocUnsafe(INITIAL_BYTES);
  private at = ITEMS_AT;
  private readonly endpoints = new Map<string, number>();
  private items = 0;

  /** Mappings, cleans and ends in the frame to come. */
  get count(): number {
    return this.items;
  }

  /** Bytes of the frame to come. */
  get length(): number {
    return this.at;
  }

  mapping(mapping: Mapping): void {
    const { endpointUid, name, address } = mapping;
    this.reserve(64 + (endpointUid.length + name.length + address.length) * UTF8_BYTES_MAX);
    let endpoint = this.endpoints.get(endpointUid);
    if (endpoint === undefined) {
      endpoint = this.endpoints.size;
      this.endpoints.set(endpointUid, endpoint);
      this.u8(ENDPOINT);
      this.text(endpointUid);
    }
    this.u8(MAPPING);
    this.u32(endpoint);
    this.text(name);
    this.text(address);
    this.f64(mapping.lookupMs);
    this.f64(mapping.expiryMs);
    this.u32(mapping.ttlSeconds);
    this.items++;
  }

  clean({ matchPattern, endpointUid, atMs }: Clean): void {
    this.reserve(32 + ((matchPattern?.length ?? 0) + (endpointUid?.length ?? 0)) * UTF8_BYTES_MAX);
    this.u8(CLEAN);
    this.u8((matchPattern === null ? 0 : HAS_PATTERN) | (endpointUid === null ? 0 : HAS_UID));
    this.text(matchPattern ?? '');
    this.text(endpointUid ?? '');
    this.f64(atMs);
    this.items++;
  }

  end(mappings: number, cleans: number): void {
    this.reserve(16);
    this.u8(END);
    this.u32(mappings);
    this.u32(cleans);
    this.items++;
  }

  /** The frame, and an empty writer. Its bytes are good until the next one is taken. */
  take(number: number, clock: ClockPair): Buffer {
    const frame = this.bytes.subarray(0, this.at);
    MARKER.copy(frame, 0);
    frame.writeUInt32LE(this.at - NUMBER_AT, LENGTH_AT);
    frame.writeUInt32LE(number, NUMBER_AT);
    frame.writeDoubleLE(clock.wallMs, WALL_AT);
    frame.writeDoubleLE(clock.monoMs, MONO_AT);
    frame.writeUInt32LE(checksumOf(frame), CHECKSUM_AT);
    [this.bytes, this.spare] = [this.spare, this.bytes];
    this.clear();
    return frame;
  }

  /** Forgets what it has collected, and gives back what it took for a large frame. */
  clear(): void {
    this.at = ITEMS_AT;
    this.items = 0;
    this.endpoints.clear();
    if (this.bytes.length > INITIAL_BYTES * 16) this.bytes = Buffer.allocUnsafe(INITIAL_BYTES);
  }

  private reserve(bytes: number): void {
    if (this.at + bytes <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.at + bytes));
    this.bytes.copy(larger, 0, 0, this.at);
    this.bytes = larger;
  }

  private u8(value: number): void {
    this.bytes[this.at++] = value;
  }

  private u32(value: number): void {
    this.at = this.bytes.writeUInt32LE(value, this.at);
  }

  private f64(value: number): void {
    this.at = this.bytes.writeDoubleLE(value, this.at);
  }

  private text(value: string): void {
    const length = this.bytes.write(value, this.at + 4, 'utf8');
    this.bytes.writeUInt32LE(length, this.at);
    this.at += 4 + length;
  }
}

/** Reads frames from `start` on. Throws nothing: damage is part of the result. */
export function readFrames(bytes: Buffer, start: number): FramesRead {
  const items: CacheItem[] = [];
  const reader = new ItemReader(bytes);
  let at = start;
  let number = 0;
  let clock: ClockPair | null = null;
  let damage: string | null = null;
  while (at < bytes.length && damage === null) {
    const end = frameEnd(bytes, at);
    if (end === null || bytes.readUInt32LE(at + NUMBER_AT) !== number) {
      damage = end === null ? 'a frame is cut or its checksum is wrong' : 'a frame is missing';
      break;
    }
    // Taken over only when the whole frame makes sense.
    const found = reader.frame(at + ITEMS_AT, end);
    if (typeof found === 'string') {
      damage = found;
      break;
    }
    for (const item of found) items.push(item);
    clock = { wallMs: bytes.readDoubleLE(at + WALL_AT), monoMs: bytes.readDoubleLE(at + MONO_AT) };
    number++;
    at = end;
  }
  const isCorrupt = damage !== null && (frameEnd(bytes, at) !== null || isFrameAfter(bytes, at));
  return { items, clock, wholeBytes: at, damage, isCorrupt, isComplete: damage === null && reader.isComplete };
}

/** Where the frame at `at` ends; null when it is not whole. */
function frameEnd(bytes: Buffer, at: number): number | null {
  if (at + ITEMS_AT > bytes.length || MARKER.compare(bytes, at, at + LENGTH_AT) !== 0) return null;
  const length = bytes.readUInt32LE(at + LENGTH_AT);
  const end = at + NUMBER_AT + length;
  if (length < ITEMS_AT - NUMBER_AT || length > FRAME_BYTES_MAX || end > bytes.length) return null;
  return checksumOf(bytes.subarray(at, end)) === bytes.readUInt32LE(at + CHECKSUM_AT) ? end : null;
}

function isFrameAfter(bytes: Buffer, at: number): boolean {
  let looks = 0;
  for (let next = bytes.indexOf(MARKER, at + 1); next >= 0; next = bytes.indexOf(MARKER, next + 1)) {
    if (frameEnd(bytes, next) !== null || ++looks === LOOKS_MAX) return true;
  }
  return false;
}

function checksumOf(frame: Buffer): number {
  return crc32(frame.subarray(NUMBER_AT), crc32(frame.subarray(LENGTH_AT, CHECKSUM_AT)));
}

/** Reads the items of frames; counts them over all, as the end of a checkpoint does. */
class ItemReader {
  isComplete = false;
  private readonly bytes: Buffer;
  private at = 0;
  private end = 0;
  private mappings = 0;
  private cleans = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** The items, or what is wrong with them. */
  frame(start: number, end: number): CacheItem[] | string {
    this.at = start;
    this.end = end;
    try {
      return this.items();
    } catch (error) {
      return `a frame makes no sense: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  private items(): CacheItem[] {
    const items: CacheItem[] = [];
    const endpoints: string[] = [];
    while (this.at < this.end) {
      if (this.isComplete) throw new Error('there is more behind the end');
      const kind = this.bytes[this.at++];
      if (kind === ENDPOINT) endpoints.push(this.text('endpoint', SNAPSHOT_LIMITS.textCharacters));
      else if (kind === MAPPING) items.push({ mapping: this.mapping(endpoints) });
      else if (kind === CLEAN) items.push({ clean: this.clean() });
      else if (kind === END) this.checkEnd();
      else throw new Error(`kind ${kind} is unknown`);
    }
    return items;
  }

  private mapping(endpoints: readonly string[]): Mapping {
    const endpoint = this.u32();
    if (endpoint >= endpoints.length) throw new Error(`endpoint ${endpoint} is unknown`);
    const name = this.text('name', NAME_MAX);
    const address = this.text('address', ADDRESS_MAX);
    if (!name.endsWith('.') || parseAddress(address) === null) throw new Error('a name without a dot at its end, or no address');
    const lookupMs = this.time();
    const expiryMs = this.time();
    const ttlSeconds = this.u32();
    if (expiryMs < lookupMs || ttlSeconds > TTL_MAX) throw new Error('an expiry before the look-up, or no TTL');
    this.mappings++;
    return { endpointUid: endpoints[endpoint], name, address, lookupMs: monoMs(lookupMs), ttlSeconds, expiryMs: monoMs(expiryMs) };
  }

  private clean(): Clean {
    const has = this.bytes[this.at++];
    const pattern = this.text('pattern', PATTERN_MAX);
    const uid = this.text('endpoint', SNAPSHOT_LIMITS.textCharacters);
    this.cleans++;
    return { matchPattern: (has & HAS_PATTERN) === 0 ? null : pattern, endpointUid: (has & HAS_UID) === 0 ? null : uid, atMs: monoMs(this.time()) };
  }

  private checkEnd(): void {
    if (this.u32() !== this.mappings || this.u32() !== this.cleans) throw new Error('the counts at the end are wrong');
    this.isComplete = true;
  }

  private time(): number {
    const ms = this.bytes.readDoubleLE(this.take(8));
    if (!(ms >= 0 && ms <= TIME_MAX_MS)) throw new Error(`${ms} is no time`);
    return ms;
  }

  private u32(): number {
    return this.bytes.readUInt32LE(this.take(4));
  }

  private text(what: string, max: number): string {
    const length = this.u32();
    if (length > max * UTF8_BYTES_MAX) throw new Error(`${what} has ${length} bytes`);
    const start = this.take(length);
    return this.bytes.toString('utf8', start, start + length);
  }

  private take(length: number): number {
    const start = this.at;
    if (start + length > this.end) throw new Error('an item is cut');
    this.at += length;
    return start;
  }
}
