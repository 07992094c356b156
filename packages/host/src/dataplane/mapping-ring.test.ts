import t from 'tap';
import { monoMs, parseAddress, type LearnedMapping } from '@tandem/core';
import { nameFromString } from '@tandem/dns';
import { createMappingRing, MAPPING_RING_BYTES, MappingRingReader, MappingRingWriter } from './mapping-ring.js';

function learned(i: number, name: string): LearnedMapping {
  const wire = nameFromString(name)!;
  const address = parseAddress(`10.0.${i >> 8}.${i & 255}`)!.slice();
  return {
    slot: 0,
    answer: 0,
    endpointId: i & 0xffff,
    bytes: wire,
    nameOffset: 0,
    nameLength: wire.length,
    address: new Uint32Array(address.buffer),
    ttlSeconds: i,
    lookupMs: monoMs(i / 2),
    isRenewal: false,
  };
}

t.test('what is written is read once, in order, whole', (t) => {
  const ring = createMappingRing();
  const [writer, reader] = [new MappingRingWriter(ring), new MappingRingReader(ring)];
  t.same(reader.read(10), []);
  t.ok(writer.write(learned(258, 'WWW.shop.example.')));
  t.ok(writer.write(learned(3, 'b.example.')));
  t.equal(writer.mustNotify(), true);
  t.equal(writer.mustNotify(), false, 'the reader was told already');
  t.same(reader.read(10), [
    { endpointId: 258, name: 'www.shop.example.', address: '10.0.1.2', ttlSeconds: 258, lookupMs: 129 },
    { endpointId: 3, name: 'b.example.', address: '10.0.0.3', ttlSeconds: 3, lookupMs: 1.5 },
  ]);
  t.same(reader.read(10), []);
  t.equal(writer.mustNotify(), true);
  t.end();
});

t.test('a full ring refuses, and takes again once there is room, round and round', (t) => {
  const ring = createMappingRing();
  const [writer, reader] = [new MappingRingWriter(ring), new MappingRingReader(ring)];
  const label = 'a'.repeat(40);
  let written = 0;
  let read = 0;
  for (let round = 0; round < 20; round++) {
    while (writer.write(learned(written & 0x7fff, `${label.slice(written % 40)}.test.`))) written++;
    for (const record of reader.read(3000)) {
      if (record.ttlSeconds !== (read & 0x7fff) || record.name !== `${label.slice(read % 40)}.test.`) t.fail(`record ${read}`);
      read++;
    }
  }
  for (let rest = reader.read(1000); rest.length > 0; rest = reader.read(1000)) read += rest.length;
  t.equal(read, written);
  t.ok(written * 48 > 2 * MAPPING_RING_BYTES, `${written} records wrapped the ring`);
  t.end();
});
