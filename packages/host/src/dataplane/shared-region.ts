/**
 * What a member lays into its journal's extra region for its peer: the mappings that it learned last, a record per client
 * connection, buffers for the TCP answers that are being written, and its flow ring. Where each part lies stands in the header page's application area.
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
 * offset and bytes of the flow ring (0 in a member of before there were flows).
 */
const WORDS = 8;
const RING_ALIGNMENT = 64;

export interface SharedRegion {
  /** MAPPING_JOURNAL_BYTES at this offset of the buffer. */
  readonly mappings: { readonly buffer: ArrayBuffer; readonly offset: number };
  /** RECORD_WORDS per connection. */
  readonly records: Int32Array;
  /** Buffers of ROW_BYTES. */
  readonly rows: readonly Uint8Array[];
  /** Memory of the flow ring; empty where there is none. */
  readonly flows: Uint32Array;
}

/** `flowBytes`: of the flow ring, a multiple of 4; 0: none. */
export function regionBytes(connections: number, flowBytes = 0): number {
  return MAPPING_JOURNAL_BYTES + recordBytes(connections) + ROWS * ROW_STRIDE + (flowBytes === 0 ? 0 : RING_ALIGNMENT + flowBytes);
}

/** In a new journal with `regionBytes` extra bytes for the same. */
export function createRegion(journal: Journal, connections: number, flowBytes = 0): SharedRegion {
  const { extraOffset, applicationOffset } = journal.layout;
  const recordsOffset = extraOffset + MAPPING_JOURNAL_BYTES;
  const rowsOffset = recordsOffset + recordBytes(connections);
  const flowsOffset = Math.ceil((rowsOffset + ROWS * ROW_STRIDE) / RING_ALIGNMENT) * RING_ALIGNMENT;
  const parts = { connections, recordsOffset, rows: ROWS, rowsOffset, mappingsOffset: extraOffset, flowsOffset, flowBytes };
  new Uint32Array(journal.buffer, applicationOffset, WORDS).set([
    REGION_VERSION, connections, recordsOffset, ROWS, rowsOffset, extraOffset, flowsOffset, flowBytes,
  ]);
  return regionAt(journal, parts);
}

/** For a member whose journal has no room for it: nobody else can see it. */
export function privateRegion(connections: number, flowBytes = 0): SharedRegion {
  return {
    records: new Int32Array(connections * RECORD_WORDS),
    rows: Array.from({ length: ROWS }, () => new Uint8Array(ROW_BYTES)),
    mappings: { buffer: new ArrayBuffer(MAPPING_JOURNAL_BYTES), offset: 0 },
    flows: new Uint32Array(new SharedArrayBuffer(flowBytes)),
  };
}

/** Another member's; null where its journal has none. @throws AppError LINK for one that cannot be. */
export function openRegion(journal: Journal): SharedRegion | null {
  const { extraOffset, extraBytes, applicationOffset } = journal.layout;
  if (extraBytes === 0) return null;
  const [version, connections, recordsOffset, rows, rowsOffset, mappingsOffset, flowsOffset, flowBytes] = new Uint32Array(journal.buffer, applicationOffset, WORDS);
  const end = extraOffset + extraBytes;
  const fits =
    version === REGION_VERSION && connections <= CONNECTIONS_MAX && rows <= ROWS_MAX && recordsOffset % 4 === 0 &&
    recordsOffset >= extraOffset && recordsOffset + recordBytes(connections) <= end &&
    rowsOffset >= extraOffset && rowsOffset + rows * ROW_STRIDE <= end &&
    mappingsOffset % 8 === 0 && mappingsOffset >= extraOffset && mappingsOffset + MAPPING_JOURNAL_BYTES <= end &&
    (flowBytes === 0 || (flowsOffset % 8 === 0 && flowBytes % 4 === 0 && flowsOffset >= extraOffset && flowsOffset + flowBytes <= end));
  if (!fits) throw new AppError('LINK', `the region beside the peer's journal has version ${version}, or parts outside of it`);
  return regionAt(journal, { connections, recordsOffset, rows, rowsOffset, mappingsOffset, flowsOffset, flowBytes });
}

interface Parts {
  readonly connections: number;
  readonly recordsOffset: number;
  readonly rows: number;
  readonly rowsOffset: number;
  readonly mappingsOffset: number;
  readonly flowsOffset: number;
  readonly flowBytes: number;
}

function regionAt({ buffer }: Journal, parts: Parts): SharedRegion {
  const { connections, recordsOffset, rows, rowsOffset, mappingsOffset, flowsOffset, flowBytes } = parts;
  return {
    records: new Int32Array(buffer, recordsOffset, connections * RECORD_WORDS),
    rows: Array.from({ length: rows }, (_, i) => new Uint8Array(buffer, rowsOffset + i * ROW_STRIDE, ROW_BYTES)),
    mappings: { buffer, offset: mappingsOffset },
    flows: flowBytes === 0 ? new Uint32Array(0) : new Uint32Array(buffer, flowsOffset, flowBytes / 4),
  };
}

function recordBytes(connections: number): number {
  return connections * RECORD_WORDS * Int32Array.BYTES_PER_ELEMENT;
}
