/**
 * Protocol Buffers by hand: what goes over the wire, without the encoder that is tested. A field is its number and its value: a number
 * is a varint, bytes and text are length-delimited; `message` puts fields in a row.
 */

export type Field = readonly [number: number, value: number | bigint | string | Uint8Array];

export function message(...fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.map(([number, value]) => {
    if (typeof value === 'number' || typeof value === 'bigint') return Buffer.from([...varint(number << 3), ...varint(value)]);
    const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
    return Buffer.concat([Buffer.from([...varint((number << 3) | 2), ...varint(bytes.length)]), bytes]);
  }));
}

function varint(value: number | bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return bytes;
}

/** `10.0.0.1` → 4 bytes. */
export function raw4(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}

export interface WireServer {
  readonly identity: number;
  readonly port?: number;
  readonly protocol?: number;
}

export const dnsServer = ({ identity, port = 53, protocol = 17 }: WireServer): Buffer => message([1, identity], [2, port], [3, protocol]);

export const dnsPolicy = (endpoint: number, patterns: readonly string[], servers: readonly WireServer[]): Buffer => (
  message([1, endpoint], ...patterns.map((one): Field => [2, one]), ...servers.map((one): Field => [3, dnsServer(one)]))
);

export const endpointsOf = (identity: number, ...endpoints: readonly { readonly id: number | bigint; readonly ips: readonly Uint8Array[] }[]): Buffer => (
  message([1, identity], ...endpoints.map(({ id, ips }): Field => [2, message([1, id], ...ips.map((ip): Field => [2, ip]))]))
);

export const prefixesOf = (identity: number, ...prefixes: readonly Uint8Array[]): Buffer => message([1, identity], ...prefixes.map((one): Field => [2, one]));

export interface WireState {
  readonly policies?: readonly Uint8Array[];
  readonly endpoints?: readonly Uint8Array[];
  readonly prefixes?: readonly Uint8Array[];
  readonly requestId?: string;
}

export function policyState({ policies = [], endpoints = [], prefixes = [], requestId = '' }: WireState): Buffer {
  return message(
    ...policies.map((one): Field => [1, one]), ...(requestId === '' ? [] : [[2, requestId] as const]),
    ...endpoints.map((one): Field => [3, one]), ...prefixes.map((one): Field => [4, one]),
  );
}
