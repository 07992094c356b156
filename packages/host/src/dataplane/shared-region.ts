/**
 * What a member lays into its journal's extra region for its peer: the mappings that it learned last, a record per client
 * connection, buffers for the TCP answers that are being written, and its flow rings. Where each part lies stands in the header page's application area.
 *
 * Invariant: a region is opened only if its parts lie within it, whatever the other side wrote there.
 */
import { AppError } from '@tandem/core';
import type { Journal } from 'node-reuseport';
import { MAPPING_JOURNAL_BYTES } from './mapping-journal.js';

/** A DNS message over TCP with its length in front (RFC 1035 §4.2.2). */
export const ROW_BYTES = 2 + 65_535;
/** Answers that are being written at one moment: the kernel nearly always takes one whole, so few are ever in use. */
const ROWS = 16;
const ROW_STRIDE = 65_600;
/** Words of a connection's record. */
export const RECORD_WORDS = 8;

const REGION_VERSION = 1;
const CONNECTIONS_MAX = 65_536;
const ROWS_MAX = 1024;
/**
 * Words at the application area: version, connections, offset of their records, rows, offset of their bytes, offset of the mappings;
 * offset and bytes of the queries' flow ring (0 in a member of before there were flows), and of the packets' (the same).
 */
const WORDS = 10;
const RING_ALIGNMENT = 64;

export interface SharedRegion {
  /** MAPPING_JOURNAL_BYTES at this offset of the buffer. */
  readonly mappings: { readonly buffer: ArrayBuffer; readonly offset: number };
  /** RECORD_WORDS per connection. */
  readonly records: Int32Array;
  /** Buffers of ROW_BYTES. */
  readonly rows: readonly Uint8Array[];
  /** Memory of the queries' flow ring, which the data plane writes; empty where there is none. */
  readonly flows: Uint32Array;
  /** The same of the packets', which the control thread writes. */
  readonly packetFlows: Uint32Array;
}

/** Of the flow rings, multiples of 4; 0: none. */
export interface RingBytes {
  readonly queries: number;
  readonly packets: number;
}

const NO_RINGS: RingBytes = { queries: 0, packets: 0 };

export function regionBytes(connections: number, { queries, packets }: RingBytes = NO_RINGS): number {
  const withGap = (bytes: number): number => (bytes === 0 ? 0 : RING_ALIGNMENT + bytes);
  return MAPPING_JOURNAL_BYTES + recordBytes(connections) + ROWS * ROW_STRIDE + withGap(queries) + withGap(packets);
}

/** In a new journal with `regionBytes` extra bytes for the same. */
export function createRegion(journal: Journal, connections: number, rings: RingBytes = NO_RINGS): SharedRegion {
  const { extraOffset, applicationOffset } = journal.layout;
  const recordsOffset = extraOffset + MAPPING_JOURNAL_BYTES;
  const rowsOffset = recordsOffset + recordBytes(connections);
  const flowsOffset = ringAligned(rowsOffset + ROWS * ROW_STRIDE);
  const packetsOffset = ringAligned(flowsOffset + rings.queries);
  new Uint32Array(journal.buffer, applicationOffset, WORDS).set([
    REGION_VERSION, connections, recordsOffset, ROWS, rowsOffset, extraOffset, flowsOffset, rings.queries, packetsOffset, rings.packets,
  ]);
  const flows = { offset: flowsOffset, bytes: rings.queries };
  return regionAt(journal, { connections, recordsOffset, rows: ROWS, rowsOffset, mappingsOffset: extraOffset, flows, packetFlows: { offset: packetsOffset, bytes: rings.packets } });
}

/** For a member whose journal has no room for it: nobody else can see it. */
export function privateRegion(connections: number, rings: RingBytes = NO_RINGS): SharedRegion {
  return {
    records: new Int32Array(connections * RECORD_WORDS),
    rows: Array.from({ length: ROWS }, () => new Uint8Array(ROW_BYTES)),
    mappings: { buffer: new ArrayBuffer(MAPPING_JOURNAL_BYTES), offset: 0 },
    flows: new Uint32Array(new SharedArrayBuffer(rings.queries)),
    packetFlows: new Uint32Array(new SharedArrayBuffer(rings.packets)),
  };
}

/** Another member's; null where its journal has none. @throws AppError LINK for one that cannot be. */
export function openRegion(journal: Journal): SharedRegion | null {
  const { extraOffset, extraBytes, applicationOffset } = journal.layout;
  if (extraBytes === 0) return null;
  const [version, connections, recordsOffset, rows, rowsOffset, mappingsOffset, flowsOffset, flowBytes, packetsOffset, packetBytes] = new Uint32Array(journal.buffer, applicationOffset, WORDS);
  const rings = { flows: { offset: flowsOffset, bytes: flowBytes }, packetFlows: { offset: packetsOffset, bytes: packetBytes } };
  const end = extraOffset + extraBytes;
  const fits =
    version === REGION_VERSION && connections <= CONNECTIONS_MAX && rows <= ROWS_MAX && recordsOffset % 4 === 0 &&
    recordsOffset >= extraOffset && recordsOffset + recordBytes(connections) <= end &&
    rowsOffset >= extraOffset && rowsOffset + rows * ROW_STRIDE <= end &&
    mappingsOffset % 8 === 0 && mappingsOffset >= extraOffset && mappingsOffset + MAPPING_JOURNAL_BYTES <= end &&
    [rings.flows, rings.packetFlows].every(({ offset, bytes }) => bytes === 0 || (offset % 8 === 0 && bytes % 4 === 0 && offset >= extraOffset && offset + bytes <= end));
  if (!fits) throw new AppError('LINK', `the region beside the peer's journal has version ${version}, or parts outside of it`);
  return regionAt(journal, { connections, recordsOffset, rows, rowsOffset, mappingsOffset, ...rings });
}

interface RingPart {
  readonly offset: number;
  readonly bytes: number;
}

interface Parts {
  readonly connections: number;
  readonly recordsOffset: number;
  readonly rows: number;
  readonly rowsOffset: number;
  readonly mappingsOffset: number;
  readonly flows: RingPart;
  readonly packetFlows: RingPart;
}

function regionAt({ buffer }: Journal, parts: Parts): SharedRegion {
  const { connections, recordsOffset, rows, rowsOffset, mappingsOffset, flows, packetFlows } = parts;
  const ring = ({ offset, bytes }: RingPart): Uint32Array => (bytes === 0 ? new Uint32Array(0) : new Uint32Array(buffer, offset, bytes / 4));
  return {
    records: new Int32Array(buffer, recordsOffset, connections * RECORD_WORDS),
    rows: Array.from({ length: rows }, (_, i) => new Uint8Array(buffer, rowsOffset + i * ROW_STRIDE, ROW_BYTES)),
    mappings: { buffer, offset: mappingsOffset },
    flows: ring(flows),
    packetFlows: ring(packetFlows),
  };
}

function ringAligned(offset: number): number {
  return Math.ceil(offset / RING_ALIGNMENT) * RING_ALIGNMENT;
}

function recordBytes(connections: number): number {
  return connections * RECORD_WORDS * Int32Array.BYTES_PER_ELEMENT;
}
