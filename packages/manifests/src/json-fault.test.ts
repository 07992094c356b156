import fc from 'fast-check';
import t from 'tap';
import { jsonFault } from './json-fault.js';

const FAULTS: readonly (readonly [string, number, string])[] = [
  ['{"a": 1,}', 8, '"}" where JSON wants a key in double quotes (a comma stands before it)'],
  ['[1, 2,\n]', 7, '"]" where JSON wants a value (a comma stands before it)'],
  ['{"a": x}', 6, '"x" where JSON wants a value'],
  ['{a: 1}', 1, '"a" where JSON wants a key in double quotes'],
  ['{"a" 1}', 5, '"1" where JSON wants ":"'],
  ['[1 2]', 3, '"2" where JSON wants "," or the closing bracket'],
  ['[1}', 2, '"}" where JSON wants "," or the closing bracket'],
  ['{"a": 1} # note', 9, '"#" where JSON wants nothing more: one file holds one value'],
  ['{"a": 1}\n---\n{}', 9, '"-" where JSON wants nothing more: one file holds one value'],
  ['{"a": [1', 8, 'the text ends too early'],
  ['"abc', 4, 'the text ends too early'],
  ['"a\nb"', 2, 'a control character stands in a string; write it as an escape'],
  ['"a\\x"', 2, 'JSON has no such escape'],
  ['[01]', 2, '"1" where JSON wants "," or the closing bracket'],
];

t.test('the first place that is no JSON is found', (t) => {
  for (const [text, offset, message] of FAULTS) t.same(jsonFault(text), { offset, message }, text);
  for (const text of ['{"a": [1, -0.5e3, true, null, "\\u00e9\\n"], "b": {}}', '[]', ' 1\n']) t.equal(jsonFault(text), null, text);
  t.end();
});

t.test('a fault is found in every text that the runtime refuses, at a place within it', (t) => {
  const json = fc.json().chain((text) => fc.tuple(fc.constant(text), fc.nat(text.length), fc.constantFrom(',', '}', '"', 'x', '\\', '')));
  fc.assert(fc.property(json, ([text, at, put]) => {
    const broken = text.slice(0, at) + put + text.slice(at + 1);
    let isJson = true;
    try {
      JSON.parse(broken);
    } catch {
      isJson = false;
    }
    const fault = jsonFault(broken);
    if ((fault === null) !== isJson) throw new Error(`judged otherwise: ${broken}`);
    if (fault !== null && fault.offset > broken.length) throw new Error('outside of the text');
  }));
  t.pass();
  t.end();
});
