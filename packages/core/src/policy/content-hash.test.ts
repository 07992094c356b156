import { createHash } from 'node:crypto';
import t from 'tap';
import { canonicalJson, sha256Hex, utf8 } from './content-hash.js';

t.test('SHA-256 agrees with the runtime at every length around a block', (t) => {
  for (let length = 0; length < 200; length++) {
    const message = Uint8Array.from({ length }, (_, i) => (i * 31 + length) & 0xff);
    t.equal(sha256Hex(message), createHash('sha256').update(message).digest('hex'), `${length} bytes`);
  }
  t.end();
});

t.test('UTF-8 agrees with the runtime, lone surrogates included', (t) => {
  for (const text of ['', 'a', 'é', '€', '😀', 'a\ud800', '\udc00b', '\ud800\ud800\udc00']) {
    t.same([...utf8(text)], [...new TextEncoder().encode(text)], JSON.stringify(text));
  }
  t.end();
});

t.test('the order of keys does not change the text, the order of lists does', (t) => {
  t.equal(canonicalJson({ a: 1, b: [{ c: null, d: 'x' }] }), canonicalJson({ b: [{ d: 'x', c: null }], a: 1 }));
  t.not(canonicalJson([1, 2]), canonicalJson([2, 1]));
  t.equal(canonicalJson({ b: 'ü"', a: [true, null, 1.5] }), '{"a":[true,null,1.5],"b":"ü\\""}');
  t.end();
});
