/** A learned mapping as bytes in shared memory: length u32, endpoint ID u32, TTL u32, name length u32, lookup f64, address 16 bytes, name, padding. */
import { formatAddress, monoMs, type LearnedMapping, type MonoMs } from '@tandem/core';
import { nameToString } from '@tandem/dns';

export const RECORD_HEADER_BYTES = 40;
const ALIGNMENT = 8;
const ADDRESS_WORDS = 4;

export interface MappingRecord {
  readonly endpointId: number;
  readonly name: string;
  readonly address: string;
  readonly ttlSeconds: number;
  readonly lookupMs: MonoMs;
}

/** Two views of the same memory. */
export interface RecordMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

export function recordBytes(mapping: LearnedMapping): number {
  return (RECORD_HEADER_BYTES + mapping.nameLength + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
}

/** `length` bytes at `at`. */
export function writeRecord({ bytes, view }: RecordMemory, at: number, mapping: LearnedMapping, length: number): void {
  view.setUint32(at, length, true);
  view.setUint32(at + 4, mapping.endpointId, true);
  view.setUint32(at + 8, mapping.ttlSeconds, true);
  view.setUint32(at + 12, mapping.nameLength, true);
  view.setFloat64(at + 16, mapping.lookupMs, true);
  // No views of parts: this is the answers' thread, and makes no garbage.
  for (let i = 0; i < ADDRESS_WORDS; i++) view.setUint32(at + 24 + 4 * i, mapping.address[i], true);
  for (let i = 0; i < mapping.nameLength; i++) bytes[at + RECORD_HEADER_BYTES + i] = mapping.bytes[mapping.nameOffset + i];
}

export function readRecord({ bytes, view }: RecordMemory, at: number): MappingRecord {
  return {
    endpointId: view.getUint32(at + 4, true),
    ttlSeconds: view.getUint32(at + 8, true),
    lookupMs: monoMs(view.getFloat64(at + 16, true)),
    address: formatAddress(bytes, at + 24),
    name: nameToString(bytes, at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES),
  };
}
