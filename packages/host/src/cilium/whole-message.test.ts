import { fqdnPb } from '@tandem/proto';
import fc from 'fast-check';
import t from 'tap';
import { dnsPolicy, endpointsOf, message, policyState, prefixesOf, raw4 } from './testing/hand-encoder.js';
import { FQDN_MAPPING, isWhole, POLICY_STATE } from './whole-message.js';

const STATE = policyState({
  policies: [dnsPolicy(12, ['a.test.'], [{ identity: 4321 }])], requestId: 'one',
  endpoints: [endpointsOf(1001, { id: 2n ** 64n - 1n, ips: [raw4('10.0.0.1')] })], prefixes: [prefixesOf(4321, Buffer.from([10, 0, 0, 53, 32]))],
});

t.test('a message is whole, with fields of later versions, too', (t) => {
  t.ok(isWhole(STATE, POLICY_STATE));
  t.ok(isWhole(Buffer.alloc(0), POLICY_STATE));
  t.ok(isWhole(Buffer.concat([STATE, message([99, 'later'], [100, 7])]), POLICY_STATE));
  t.ok(isWhole(Buffer.from([0x0d, 1, 2, 3, 4, 0x09, 1, 2, 3, 4, 5, 6, 7, 8]), POLICY_STATE), 'fixed widths');
  t.ok(isWhole(message([7, message([1, message([1, -1n])], [9, 1])]), FQDN_MAPPING));
  t.end();
});

const BROKEN: readonly (readonly [string, string])[] = [
  ['a field number of zero', '00'], ['a field number of zero behind a good field', '120161' + '0000'], ['a length beyond the end', '0a7f00'],
  ['a message within that ends in the middle', '0a021203'], ['a message within that reaches beyond its own end', '0a0412037800' + '00'],
  ['a group', '0b0c'], ['a wire type that there is not', '0f'], ['a varint without an end', '08' + 'ff'.repeat(11)], ['a tag without an end', 'ffffff'],
  ['a fixed width that ends in the middle', '0d010203'], ['too large a field number', 'f8ffffffff01' + '00'],
];

for (const [what, hex] of BROKEN) {
  t.test(`not whole: ${what}`, (t) => {
    t.notOk(isWhole(Buffer.from(hex, 'hex'), POLICY_STATE));
    t.end();
  });
}

t.test('no part of a message is whole but one that ends with a field', (t) => {
  const ends = new Set<number>([0]);
  for (let end = 1; end <= STATE.length; end++) if (isWhole(STATE.subarray(0, end), POLICY_STATE)) ends.add(end);
  t.equal(ends.size, 5, 'nothing, and after each of four fields');
  t.end();
});

t.test('what is whole is decoded to its last byte', (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
    if (!isWhole(bytes, POLICY_STATE)) return true;
    fqdnPb.PolicyState.decode(bytes);
    return true;
  }), { numRuns: 2000 });
  t.end();
});
