import { endianness } from 'node:os';
import fc from 'fast-check';
import t from 'tap';
import { formatAddress, monoMs, parseAddress } from '@tandem/core';
import { parseIpHeader } from './ip-header.js';
import { bindRequest, type LogMessage, readLogMessages } from './log-messages.js';
import { packetOf } from './packet-log.js';
import { logPrefix } from './prefix.js';

const isLittleEndian = endianness() === 'LE';
const NFULNL_MSG_PACKET = 0x400;
const EXTENSIONS = [0, 43, 60, 135] as const;
const FRAGMENT = 44;

const byte = fc.nat(255);
const port = fc.nat(65_535);
const v4 = fc.ipV4();
const v6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).filter((bytes) => bytes[0] !== 0).map((bytes) => formatAddress(bytes));

function bigEndian16(value: number): number[] {
  return [value >>> 8, value & 0xff];
}

interface Shape {
  readonly protocol: 6 | 17 | 132;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly flags: number;
}
const shape: fc.Arbitrary<Shape> = fc.record({ protocol: fc.constantFrom(6, 17, 132), sourcePort: port, destinationPort: port, flags: byte });

function transportBytes({ sourcePort, destinationPort, flags }: Shape): number[] {
  return [...bigEndian16(sourcePort), ...bigEndian16(destinationPort), 0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0];
}

function v4Packet(source: string, destination: string, one: Shape, options = 0, fragment = 0): Uint8Array {
  return Uint8Array.from([
    0x45 + options, 0, 0, 0, 0, 0, ...bigEndian16(fragment), 64, one.protocol, 0, 0, ...parseAddress(source)!.subarray(12), ...parseAddress(destination)!.subarray(12),
    ...Array.from({ length: options * 4 }, () => 1), ...transportBytes(one),
  ]);
}

function v6Packet(source: string, destination: string, one: Shape, extensions: readonly { readonly type: number; readonly words: number }[], fragment: number | null): Uint8Array {
  const types = [...extensions.map(({ type }) => type), ...(fragment === null ? [] : [FRAGMENT]), one.protocol];
  const chain = extensions.flatMap(({ words }, i) => [types[i + 1], words, ...Array.from({ length: 6 + words * 8 }, () => 0)]);
  const last = fragment === null ? [] : [one.protocol, 0, ...bigEndian16(fragment), 0, 0, 0, 1];
  return Uint8Array.from([0x60, 0, 0, 0, 0, 0, types[0], 64, ...parseAddress(source)!, ...parseAddress(destination)!, ...chain, ...last, ...transportBytes(one)]);
}

const seenOf = (bytes: Uint8Array): unknown => {
  const header = parseIpHeader(bytes)!;
  return { ...header, source: formatAddress(header.source), destination: formatAddress(header.destination) };
};
const saidOf = (source: string, destination: string, { protocol, sourcePort, destinationPort, flags }: Shape): unknown => ({
  source, destination, protocol, sourcePort, destinationPort, tcpFlags: protocol === 6 ? flags : 0, icmpType: 0, icmpCode: 0,
});
const noPorts = { sourcePort: 0, destinationPort: 0, flags: 0 };

t.test('who to whom by what is read behind any IPv4 options, and not from a later fragment', (t) => {
  fc.assert(fc.property(v4, v4, shape, fc.nat(10), (source, destination, one, options) => {
    t.same(seenOf(v4Packet(source, destination, one, options)), saidOf(source, destination, one));
    t.same(seenOf(v4Packet(source, destination, one, options, 0x2000)), saidOf(source, destination, one), 'the first fragment has it');
    t.same(seenOf(v4Packet(source, destination, one, options, 0x2001)), saidOf(source, destination, { ...one, ...noPorts }));
  }), { numRuns: 100 });
  t.end();
});

t.test('and behind any IPv6 extension headers', (t) => {
  const extensions = fc.array(fc.record({ type: fc.constantFrom(...EXTENSIONS), words: fc.nat(3) }), { maxLength: 6 });
  fc.assert(fc.property(v6, v6, shape, extensions, (source, destination, one, chain) => {
    t.same(seenOf(v6Packet(source, destination, one, chain, null)), saidOf(source, destination, one));
    t.same(seenOf(v6Packet(source, destination, one, chain, 1)), saidOf(source, destination, one), 'the first fragment has it');
    t.same(seenOf(v6Packet(source, destination, one, chain, 8)), saidOf(source, destination, { ...one, ...noPorts }));
  }), { numRuns: 100 });
  t.end();
});

t.test('ICMP has a type and a code; nothing but IP is read', (t) => {
  const icmp = v4Packet('10.0.0.1', '10.0.0.2', { protocol: 17, ...noPorts, sourcePort: 0x0803 });
  icmp[9] = 1;
  t.match(seenOf(icmp), { protocol: 1, icmpType: 8, icmpCode: 3, sourcePort: 0 });
  for (const bytes of [[], [0x45], [0x60], Array.from({ length: 60 }, () => 0x50), [0x44, ...Array.from({ length: 40 }, () => 0)]]) t.equal(parseIpHeader(Uint8Array.from(bytes)), null);
  t.end();
});

t.test('whatever bytes a packet has, and wherever it is cut, no error comes of it and nothing outside is read', (t) => {
  const whole = fc.oneof(
    fc.uint8Array({ maxLength: 128 }),
    fc.uint8Array({ minLength: 1, maxLength: 128 }).map((bytes) => { bytes[0] = 0x40 | (bytes[0] & 0xf); return bytes; }),
    fc.uint8Array({ minLength: 1, maxLength: 128 }).map((bytes) => { bytes[0] = 0x60; return bytes; }),
  );
  fc.assert(fc.property(whole, byte, byte, (bytes, before, after) => {
    const around = (fill: number): Uint8Array => {
      const memory = new Uint8Array(bytes.length + 512).fill(fill);
      memory.set(bytes, 256);
      return memory.subarray(256, 256 + bytes.length);
    };
    const [one, other] = [parseIpHeader(around(before)), parseIpHeader(around(after))];
    t.same(one, other);
    if (one !== null) t.ok([one.sourcePort, one.destinationPort].every((value) => value >= 0 && value <= 65_535));
  }), { numRuns: 2000 });
  t.end();
});

interface Attribute { readonly type: number; readonly value: Uint8Array }

function messageOf(type: number, attributes: readonly Attribute[]): Uint8Array {
  const parts = attributes.map(({ type, value }) => {
    const bytes = new Uint8Array(Math.ceil((4 + value.length) / 4) * 4);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, 4 + value.length, isLittleEndian);
    view.setUint16(2, type, isLittleEndian);
    bytes.set(value, 4);
    return bytes;
  });
  const length = 20 + parts.reduce((sum, part) => sum + part.length, 0);
  const message = new Uint8Array(length);
  const view = new DataView(message.buffer);
  view.setUint32(0, length, isLittleEndian);
  view.setUint16(4, type, isLittleEndian);
  let at = 20;
  for (const part of parts) {
    message.set(part, at);
    at += part.length;
  }
  return message;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

const word = (value: number): Uint8Array => Uint8Array.from([value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff]);
const text = (value: string): Uint8Array => Uint8Array.from([...value, '\0'].map((c) => c.charCodeAt(0)));

function read(datagram: Uint8Array): LogMessage[] {
  const messages: LogMessage[] = [];
  readLogMessages(datagram, { onPacket: (message) => { messages.push(message); }, onAcknowledged: () => undefined });
  return messages;
}

t.test('a datagram of many messages is read whole', (t) => {
  const one = fc.record({ inputInterface: fc.nat(2 ** 31 - 1), outputInterface: fc.nat(2 ** 31 - 1), sequence: fc.nat(2 ** 32 - 1), prefix: fc.string({ unit: fc.constantFrom(...'td e-09'), maxLength: 60 }), payload: fc.uint8Array({ maxLength: 128 }) });
  fc.assert(fc.property(fc.array(one, { maxLength: 8 }), (messages) => {
    const datagram = joined(messages.map((message) => messageOf(NFULNL_MSG_PACKET, [
      { type: 1, value: word(0) }, { type: 4, value: word(message.inputInterface) }, { type: 5, value: word(message.outputInterface) }, { type: 99, value: new Uint8Array(3) },
      { type: 10, value: text(message.prefix) }, { type: 12, value: word(message.sequence) }, { type: 9, value: message.payload },
    ])));
    t.same(read(datagram).map((message) => ({ ...message, payload: Uint8Array.from(message.payload) })), messages);
  }), { numRuns: 100 });
  t.end();
});

t.test('whatever a datagram holds, wherever it is cut, no error comes of it', (t) => {
  const good = messageOf(NFULNL_MSG_PACKET, [
    { type: 4, value: word(7) }, { type: 10, value: text(logPrefix({ direction: 'egress', verdict: 'denied', ruleSet: null, rule: null })) },
    { type: 9, value: v4Packet('10.0.0.1', '10.0.0.2', { protocol: 6, sourcePort: 1, destinationPort: 2, flags: 2 }) },
  ]);
  t.match(packetOf(read(good)[0], monoMs(5)), { direction: 'egress', verdict: 'denied', interfaceIndex: 7, sourcePort: 1, atMs: 5 });
  const edits = fc.array(fc.tuple(fc.nat(good.length - 1), byte), { maxLength: 4 });
  fc.assert(fc.property(edits, fc.nat(good.length * 2), (changes, length) => {
    const spoiled = joined([good, good]);
    for (const [at, value] of changes) spoiled[at] = value;
    for (const message of read(spoiled.subarray(0, length))) packetOf(message, monoMs(0));
    return true;
  }), { numRuns: 3000 });
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => read(bytes).length >= 0), { numRuns: 2000 });
  t.end();
});

t.test('the request that binds a group names it in the network\'s order', (t) => {
  const request = bindRequest({ group: 1053, snapBytes: 128, packetsMax: 32, bytesMax: 65_536, delayMs: 10 }, 9);
  const view = new DataView(request.buffer);
  t.equal(view.getUint32(0, isLittleEndian), request.length);
  t.equal(view.getUint16(18), 1053);
  t.equal(request.length % 4, 0);
  t.end();
});
