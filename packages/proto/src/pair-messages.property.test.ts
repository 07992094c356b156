import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { AppError, BUCKETS, type Clean, DIGEST_WORDS, type ExchangeMessage, type Mapping, MAPPINGS_PER_MESSAGE, monoMs } from '@tandem/core';
import { addressFromBytes } from './address-bytes.js';
import { Changes, LinkRequest, LinkResponse } from './generated/tandem/pair/v1/pair.js';
import { checkHello, exchangeFromWire, exchangeToWire, mappingToWire, seenOf, SNAPSHOT_BYTES_MAX, type WireExchangeMessage, type WireMessage } from './pair-messages.js';

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

const clean: fc.Arbitrary<Clean> = fc.record({
  matchPattern: fc.constantFrom(null, '*', '*.example.', 'a.b'),
  endpointUid: fc.option(fc.string({ minLength: 1, maxLength: 64, unit: 'grapheme' })),
  atMs: time.map(monoMs),
}, { noNullPrototype: true });

const message: fc.Arbitrary<ExchangeMessage> = fc.oneof(
  fc.record({
    kind: fc.constant('changes' as const), sequence: fc.maxSafeNat(), revision: fc.maxSafeNat(),
    mappings: fc.array(mapping, { maxLength: 20 }), cleans: fc.array(clean, { maxLength: 5 }),
  }),
  fc.record({ kind: fc.constant('ack' as const), sequence: fc.maxSafeNat() }),
  fc.record({
    kind: fc.constant('digests' as const), pass: fc.nat({ max: 0xffff_ffff }),
    words: fc.array(fc.nat({ max: 0xffff_ffff }), { maxLength: 20 }).map((some) => Array.from({ length: DIGEST_WORDS }, (_, i) => some[i] ?? 0)),
  }),
  fc.record({ kind: fc.constant('buckets' as const), pass: fc.nat({ max: 0xffff_ffff }), buckets: fc.array(fc.nat({ max: BUCKETS - 1 })) }),
);

t.test('messages of the exchange come out of their bytes as they went in', (t) => {
  fc.assert(
    fc.property(message, (one) => {
      const bytes = LinkRequest.encode({ message: exchangeToWire(one) }).finish();
      const { message: decoded } = LinkRequest.decode(bytes);
      assert.ok(decoded !== undefined && isExchange(decoded));
      assert.deepEqual(exchangeFromWire(decoded), { ...one });
    }),
    { numRuns: 500 },
  );
  t.end();
});

t.test('the largest message of changes is far below what the transport takes', (t) => {
  const longest = mappingToWire({
    endpointUid: 'u'.repeat(1024), name: `${'n'.repeat(1023)}.`, address: '2001:db8::1', lookupMs: monoMs(1), ttlSeconds: 0x7fff_ffff, expiryMs: monoMs(2),
  });
  const bytes = Changes.encode({ sequence: 1n, revision: 1n, mappings: Array.from({ length: MAPPINGS_PER_MESSAGE }, () => longest), cleans: [] }).finish();
  t.ok(bytes.length < SNAPSHOT_BYTES_MAX / 8, `${bytes.length} bytes`);
  t.end();
});

t.test('whatever bytes a peer sends are a message that fits, or an error that ends the link', (t) => {
  let decodedCount = 0;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(mapping, { maxLength: 3 }), fc.nat(), fc.nat({ max: 255 }), (noise, mappings, at, byte) => {
      const damaged = LinkRequest.encode({
        message: { $case: 'changes', value: { sequence: 1n, revision: 1n, mappings: mappings.map(mappingToWire), cleans: [] } },
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
            if (message?.$case === 'hello') seenOf(message.value, String(checkHello(message.value, 'agent')));
            else if (message !== undefined && isExchange(message)) exchangeFromWire(message);
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

function isExchange(message: WireMessage): message is WireExchangeMessage {
  return ['changes', 'changesAck', 'digests', 'buckets'].includes(message.$case);
}
