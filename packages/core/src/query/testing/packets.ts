/** DNS packets, byte by byte, as a client and an upstream of the query path make them. */
import { nameFromString, TYPE } from '@tandem/dns';

const EDNS_1232 = [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0];

function question(name: string, type: number): number[] {
  return [...rawName(name), type >> 8, type & 0xff, 0, 1];
}

/** Wire form that keeps the letter case. */
export function rawName(name: string): number[] {
  const bytes = [...nameFromString(name)!];
  let at = 1;
  for (const label of name.replace(/\.$/, '').split('.')) {
    for (const [i, c] of [...label].entries()) bytes[at + i] = c.charCodeAt(0);
    at += label.length + 1;
  }
  return bytes;
}

export function queryPacket(name: string, options: { id?: number; type?: number; edns?: boolean } = {}): Uint8Array {
  const id = options.id ?? 0x1234;
  const edns = options.edns === true ? EDNS_1232 : [];
  const header = [id >> 8, id & 0xff, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns.length > 0 ? 1 : 0];
  return Uint8Array.from([...header, ...question(name, options.type ?? TYPE.A), ...edns]);
}

export type Record = readonly [owner: string, type: number, ttlSeconds: number, data: readonly number[]];

export function answerPacket(name: string, records: readonly Record[], options: { type?: number; rcode?: number } = {}): Uint8Array {
  const header = [0, 0, 0x81, 0x80 | (options.rcode ?? 0), 0, 1, records.length >> 8, records.length & 0xff, 0, 0, 0, 0];
  const body = records.flatMap(([owner, type, ttl, data]) => [
    ...rawName(owner), type >> 8, type & 0xff, 0, 1,
    (ttl >>> 24) & 0xff, (ttl >>> 16) & 0xff, (ttl >>> 8) & 0xff, ttl & 0xff, data.length >> 8, data.length & 0xff, ...data,
  ]);
  return Uint8Array.from([...header, ...question(name, options.type ?? TYPE.A), ...body]);
}

export const A1: Record = ['echo.k8s.intra.', TYPE.A, 30, [172, 17, 0, 2]];

/** The response code of an answer. */
export function rcodeOf({ bytes }: { readonly bytes: Uint8Array }): number {
  return bytes[3] & 0x0f;
}

/** The ID of a question. */
export function idOf(bytes: Uint8Array): number {
  return (bytes[0] << 8) | bytes[1];
}
