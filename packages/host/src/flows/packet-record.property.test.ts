import fc from 'fast-check';
import t from 'tap';
import { type LoggedPacket, monoMs, PACKET_DIRECTIONS, PACKET_VERDICTS } from '@tandem/core';
import { FlowRingReader, initRing, NO_RECORD, OVERWRITTEN, RECORD_CELLS_MAX, RING_CELLS_MIN, ringBytes, CELL_WORDS, RECORD_KIND } from './flow-ring.js';
import { decodePacket } from './packet-decode.js';
import { MATCH, NAMES_BYTES_MAX, PACKET, PacketRecord } from './packet-record.js';
import { type PacketMeaning, PacketWriter } from './packet-writer.js';
import { contextOf } from './testing/stage.js';

const byte = fc.nat(255);
const port = fc.nat(65_535);
const address = fc.uint8Array({ minLength: 16, maxLength: 16 });
const packet: fc.Arbitrary<LoggedPacket> = fc.record({
  direction: fc.constantFrom(...PACKET_DIRECTIONS), verdict: fc.constantFrom(...PACKET_VERDICTS), ruleSet: fc.constant(null), rule: fc.constant(null),
  source: address, destination: address, protocol: byte, sourcePort: port, destinationPort: port, tcpFlags: byte, icmpType: byte, icmpCode: byte,
  interfaceIndex: fc.nat(2 ** 31 - 1), atMs: fc.nat(2 ** 40).map(monoMs),
});
const name = fc.string({ unit: fc.constantFrom(...'abc-.'), minLength: 1, maxLength: 253 });
const meaning: fc.Arbitrary<PacketMeaning> = fc.record({
  endpointId: port, rule: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), revision: fc.nat(2 ** 32 - 1), match: fc.constantFrom(...Object.values(MATCH)),
  names: fc.array(name, { maxLength: 16 }), bootedAtMs: fc.nat(2 ** 42),
});

t.test('what is written of a packet is read, with as many names as there is room for, over many laps of the ring', (t) => {
  const words = new Uint32Array(ringBytes(RING_CELLS_MIN) / 4);
  initRing(words, RING_CELLS_MIN, [1, 2]);
  const writer = new PacketWriter(words);
  const reader = new FlowRingReader(words, RING_CELLS_MIN);
  const record = new PacketRecord(reader.record);
  let at = reader.end();
  fc.assert(fc.property(packet, meaning, (one, what) => {
    writer.write(one, what);
    for (let next = reader.readAt(at); next !== NO_RECORD; next = reader.readAt(at)) {
      if (next === OVERWRITTEN) return false;
      at = next;
      if (reader.isPad) continue;
      const { names, ...numbers } = what;
      const { source, destination, atMs, direction, verdict, protocol, sourcePort, destinationPort, tcpFlags, icmpType, icmpCode, interfaceIndex } = one;
      t.match(record, { ...numbers, direction, verdict, protocol, sourcePort, destinationPort, tcpFlags, icmpType, icmpCode, interfaceIndex });
      t.same([record.atMs, record.bytes.subarray(record.sourceAt, record.sourceAt + 16), record.bytes.subarray(record.destinationAt, record.destinationAt + 16)], [atMs, source, destination]);
      t.same(record.names, names.slice(0, record.names.length));
      t.ok(record.names.length === names.length || names.slice(0, record.names.length + 1).join('\n').length > NAMES_BYTES_MAX);
    }
    return true;
  }), { numRuns: 1000 });
  t.end();
});

t.test('whatever stands in a peer\'s memory, a flow comes of it and no error', (t) => {
  const context = contextOf();
  const record = new Uint32Array(RECORD_CELLS_MAX * CELL_WORDS);
  fc.assert(fc.property(fc.uint8Array({ minLength: 64, maxLength: record.byteLength }), (bytes) => {
    new Uint8Array(record.buffer).fill(0).set(bytes);
    record[PACKET.kind] = (record[PACKET.kind] & ~0xff) | RECORD_KIND.packet;
    const flows = decodePacket(new PacketRecord(record), { role: 'agent', ringId: '0123456789abcdef', release: '' }, context);
    return flows.length > 0 && flows.every(({ bytes, timeMs }) => bytes.length > 0 && Number.isFinite(timeMs));
  }), { numRuns: 500 });
  t.end();
});
