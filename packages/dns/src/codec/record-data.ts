/**
 * A record's name and data, ours ↔ dns-packet's.
 *
 * Invariant: what dns-packet would write wrongly without a word (addresses, names, numbers out of range) is refused here.
 * Does not know: messages.
 */
import { isIPv4, isIPv6 } from 'node:net';
import type { Answer, OptAnswer } from 'dns-packet';
import { MAX_LABEL_BYTES, MAX_NAME_BYTES, TYPE } from '../constants.js';
import { DnsCodecError, type DnsData, type DnsRecord } from './message.js';
import { decodeService, encodeService } from './service-data.js';

const MAX_TEXT_BYTES = 255;
const MAX_U16 = 0xffff;
const MAX_U32 = 0xffff_ffff;

/** Where a record's fixed part and data lie. */
export interface RecordPlace {
  readonly type: number;
  readonly class: number;
  readonly data: number;
  readonly end: number;
}

/** The data that dns-packet read, in our form; bytes for types without one. Throws if its length or shape is wrong. */
export function fromData(answer: Exclude<Answer, OptAnswer>, bytes: Uint8Array, place: RecordPlace): DnsData {
  const raw = (): DnsData => ({ form: 'bytes', bytes: bytes.slice(place.data, place.end) });
  // Updates carry types without data (RFC 2136 §2.4).
  if (place.data === place.end) return raw();
  switch (answer.type) {
    case 'A':
    case 'AAAA':
      if (place.end - place.data !== (answer.type === 'A' ? 4 : 16)) throw new DnsCodecError('an address of a wrong length');
      return { form: 'address', address: answer.data };
    case 'CNAME':
    case 'DNAME':
    case 'NS':
    case 'PTR':
      return { form: 'name', target: withDot(answer.data) };
    case 'MX':
      return { form: 'mx', preference: answer.data.preference ?? 0, exchange: withDot(answer.data.exchange) };
    case 'SOA': {
      const soa = answer.data;
      return {
        form: 'soa',
        primary: withDot(soa.mname),
        mailbox: withDot(soa.rname),
        serial: soa.serial ?? 0,
        refreshSeconds: soa.refresh ?? 0,
        retrySeconds: soa.retry ?? 0,
        expireSeconds: soa.expire ?? 0,
        minimumSeconds: soa.minimum ?? 0,
      };
    }
    case 'SRV': {
      const { priority, weight, port, target } = answer.data;
      return { form: 'srv', priority: priority ?? 0, weight: weight ?? 0, port, target: withDot(target) };
    }
    case 'TXT':
      return { form: 'text', texts: (answer.data as Buffer[]).map((text) => text.toString('utf8')) };
    default: {
      if (place.type !== TYPE.SVCB && place.type !== TYPE.HTTPS) return raw();
      const service = decodeService(bytes.subarray(place.data, place.end));
      if (service === null) throw new DnsCodecError('malformed service parameters');
      return { form: 'service', ...service };
    }
  }
}

/** Forms by type: what data a record of that type takes besides bytes. */
const FORMS = new Map<number, DnsData['form']>([
  [TYPE.A, 'address'],
  [TYPE.AAAA, 'address'],
  [TYPE.CNAME, 'name'],
  [TYPE.DNAME, 'name'],
  [TYPE.NS, 'name'],
  [TYPE.PTR, 'name'],
  [TYPE.MX, 'mx'],
  [TYPE.SOA, 'soa'],
  [TYPE.SRV, 'srv'],
  [TYPE.TXT, 'text'],
  [TYPE.SVCB, 'service'],
  [TYPE.HTTPS, 'service'],
]);

/** The data as dns-packet takes it for this type; a Buffer is written as it is. */
export function toData(record: DnsRecord, type: number): unknown {
  const { data } = record;
  if (type < 0) throw new DnsCodecError(`'${record.type}' is no record type`);
  if (type === TYPE.OPT) throw new DnsCodecError('OPT is written by `edns`, not as a record');
  if (data.form !== 'bytes' && FORMS.get(type) !== data.form) {
    throw new DnsCodecError(`a ${record.type} record does not take data of the form '${data.form}'`);
  }
  switch (data.form) {
    case 'bytes':
      if (data.bytes.length > MAX_U16) throw new DnsCodecError('data above 65535 bytes');
      return Buffer.from(data.bytes);
    case 'address':
      requireAddress(data.address, type);
      return data.address;
    case 'name':
      return toPacketName(data.target);
    case 'mx':
      requireInteger('MX preference', data.preference, MAX_U16);
      return { preference: data.preference, exchange: toPacketName(data.exchange) };
    case 'soa':
      requireInteger('SOA serial', data.serial, MAX_U32);
      requireInteger('SOA refresh', data.refreshSeconds, MAX_U32);
      requireInteger('SOA retry', data.retrySeconds, MAX_U32);
      requireInteger('SOA expire', data.expireSeconds, MAX_U32);
      requireInteger('SOA minimum', data.minimumSeconds, MAX_U32);
      return {
        mname: toPacketName(data.primary),
        rname: toPacketName(data.mailbox),
        serial: data.serial,
        refresh: data.refreshSeconds,
        retry: data.retrySeconds,
        expire: data.expireSeconds,
        minimum: data.minimumSeconds,
      };
    case 'srv':
      requireInteger('SRV priority', data.priority, MAX_U16);
      requireInteger('SRV weight', data.weight, MAX_U16);
      requireInteger('SRV port', data.port, MAX_U16);
      return { priority: data.priority, weight: data.weight, port: data.port, target: toPacketName(data.target) };
    case 'text':
      return data.texts.map((text) => {
        const bytes = Buffer.from(text, 'utf8');
        if (bytes.length > MAX_TEXT_BYTES) throw new DnsCodecError('a text above 255 bytes');
        return bytes;
      });
    case 'service': {
      const bytes = encodeService(data.priority, data.target, data.params);
      if (typeof bytes === 'string') throw new DnsCodecError(bytes);
      return Buffer.from(bytes);
    }
  }
}

/** dns-packet writes nonsense for most malformed addresses, so what it is given is looked at first. */
function requireAddress(address: string, type: number): void {
  // isIPv6 takes zones, as in 'fe80::1%eth0', for which a record has no place.
  const good = type === TYPE.A ? isIPv4(address) : isIPv6(address) && !address.includes('%');
  if (!good) throw new DnsCodecError(`'${address}' is no ${type === TYPE.A ? 'IPv4' : 'IPv6'} address`);
}

/** Throws unless `value` is an integer from 0 to `max`. */
export function requireInteger(what: string, value: number, max: number): void {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new DnsCodecError(`${what} ${String(value)} is no integer from 0 to ${String(max)}`);
  }
}

/** A name as dns-packet takes it: no dot at the end. */
export function toPacketName(name: string): string {
  if (name === '.') return '.';
  const bare = name.endsWith('.') ? name.slice(0, -1) : name;
  let wireBytes = 1;
  for (const label of bare.split('.')) {
    if (!/^[\x21-\x5b\x5d-\x7e]+$/.test(label)) {
      throw new DnsCodecError(`'${name}' has a label that is empty or not plain ASCII`);
    }
    if (label.length > MAX_LABEL_BYTES) throw new DnsCodecError(`'${name}' has a label above ${String(MAX_LABEL_BYTES)} bytes`);
    wireBytes += label.length + 1;
  }
  if (wireBytes > MAX_NAME_BYTES) throw new DnsCodecError(`'${name}' is longer than ${String(MAX_NAME_BYTES)} bytes`);
  return bare;
}

/** A name as dns-packet gives it, with its dot. */
export function withDot(name: string): string {
  return name === '.' ? name : `${name}.`;
}
