import fc from 'fast-check';
import t from 'tap';
import { AppError, monoMs, type Mapping } from '@tandem/core';
import { addressFromBytes } from './address-bytes.js';
import { LinkRequest, LinkResponse, Mappings } from './generated/tandem/pair/v1/pair.js';
import { cleanFromWire, mappingsFromWire, mappingToWire } from './pair-messages.js';

const time = fc.double({ min: 0, max: 2 ** 42, noNaN: true }).map((ms) => ms + 0);

const address = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
).map((bytes) => addressFromBytes(bytes)!);

const mapping: fc.Arbitrary<Mapping> = fc
  .record({
    endpointUid: fc.string({ minLength: 1, maxLength: 64, unit: 'grapheme' }),
    name: fc.domain().map((name) => `${name}.`),
    address,
    lookup: time,
    life: time,
    ttlSeconds: fc.integer({ min: 0, max: 0x7fff_ffff }),
  })
  .map(({ lookup, life, ...rest }) => ({ ...rest, lookupMs: monoMs(lookup), expiryMs: monoMs(lookup + life) }));

t.test('mappings come out of their bytes as they went in', (t) => {
  fc.assert(
    fc.property(fc.array(mapping, { maxLength: 20 }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (mappings, sequence) => {
      const bytes = Mappings.encode({ sequence, mappings: mappings.map(mappingToWire) }).finish();
      const decoded = Mappings.decode(bytes);
      t.equal(decoded.sequence, sequence);
      t.strictSame(mappingsFromWire(decoded), mappings);
    }),
    { numRuns: 200 },
  );
  t.end();
});

t.test('whatever bytes a peer sends are a message that fits, or an error that ends the link', (t) => {
  let decodedCount = 0;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(mapping, { maxLength: 3 }), fc.nat(), fc.nat({ max: 255 }), (noise, mappings, at, byte) => {
      const damaged = LinkRequest.encode({
        message: { $case: 'mappings', value: { sequence: 1n, mappings: mappings.map(mappingToWire) } },
      }).finish();
      if (damaged.length > 0) damaged[at % damaged.length] = byte;
      for (const bytes of [noise, damaged]) {
        for (const type of [LinkRequest, LinkResponse]) {
          let message: LinkRequest['message'] | LinkResponse['message'];
          try {
            ({ message } = type.decode(bytes));
            decodedCount++;
          } catch {
            // The transport answers undecodable bytes by ending the call.
            continue;
          }
          try {
            if (message?.$case === 'mappings') mappingsFromWire(message.value);
            if (message?.$case === 'clean') cleanFromWire(message.value);
          } catch (error) {
            if (!(error instanceof AppError) || error.code !== 'LINK') throw error;
          }
        }
      }
    }),
    { numRuns: 2000 },
  );
  t.ok(decodedCount > 500, `${decodedCount} were decoded`);
  t.end();
});
