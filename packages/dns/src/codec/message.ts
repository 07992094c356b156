/**
 * A whole message as plain values: what `encodeMessage` takes and `decodeMessage` gives.
 *
 * Invariant: nothing here is dns-packet's, so no type of Node's or its gets out of the codec.
 * Does not know: bytes on the wire.
 */
import type { ServiceParam } from './service-data.js';

/** What was asked of `encodeMessage` cannot be put in bytes; the message says which part and why. */
export class DnsCodecError extends Error {
  override readonly name = 'DnsCodecError';
}

/** Names end in a dot and keep their letter case; the root is '.'. */
export interface DnsQuestion {
  readonly name: string;
  /** 'A', 'HTTPS', 'TYPE65534'. */
  readonly type: string;
  /** Number of the class; IN if absent. */
  readonly class?: number;
}

/** A record's data, by the form that its type gives it; types without a form of their own are bytes. */
export type DnsData =
  | { readonly form: 'address'; readonly address: string }
  | { readonly form: 'name'; readonly target: string }
  | { readonly form: 'mx'; readonly preference: number; readonly exchange: string }
  | {
      readonly form: 'soa';
      readonly primary: string;
      readonly mailbox: string;
      readonly serial: number;
      readonly refreshSeconds: number;
      readonly retrySeconds: number;
      readonly expireSeconds: number;
      readonly minimumSeconds: number;
    }
  | {
      readonly form: 'srv';
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      readonly target: string;
    }
  /** Each text at most 255 bytes, in UTF-8. */
  | { readonly form: 'text'; readonly texts: readonly string[] }
  /** SVCB and HTTPS (RFC 9460); parameters in the order of their keys. */
  | { readonly form: 'service'; readonly priority: number; readonly target: string; readonly params: readonly ServiceParam[] }
  | { readonly form: 'bytes'; readonly bytes: Uint8Array };

export interface DnsRecord {
  readonly name: string;
  readonly type: string;
  /** Number of the class; IN if absent. */
  readonly class?: number;
  readonly ttlSeconds: number;
  readonly data: DnsData;
}

export interface DnsEdns {
  readonly udpSize: number;
  readonly version: number;
  readonly dnssecOk: boolean;
  readonly options: readonly { readonly code: number; readonly data: Uint8Array }[];
}

export interface DnsMessage {
  readonly id: number;
  readonly response: boolean;
  readonly opcode: number;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  readonly recursionDesired: boolean;
  readonly recursionAvailable: boolean;
  readonly authenticData: boolean;
  readonly checkingDisabled: boolean;
  /** With EDNS's upper bits: 0–4095. */
  readonly rcode: number;
  readonly questions: readonly DnsQuestion[];
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  /** Without the OPT record, which is `edns`. */
  readonly additionals: readonly DnsRecord[];
  readonly edns: DnsEdns | null;
}
