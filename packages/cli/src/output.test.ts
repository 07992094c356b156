import t from 'tap';
import { columns, printable, render } from './output.js';

t.test('columns are at least five wide with three blanks between, and the last is ragged', (t) => {
  t.equal(columns([['a', 'b', 'c'], ['aaaaaa', 'b', 'cccccccc']]), 'a        b    c\naaaaaa   b    cccccccc\n');
  t.equal(columns([]), '');
  t.end();
});

t.test('no control character of a name reaches the terminal', (t) => {
  t.equal(printable('a\x1b[2Jb\nc\u2028'), 'a\\u001b[2Jb\\u000ac\\u2028');
  t.match(columns([['\x07', 'x']]), /^\\u0007/);
  t.end();
});

t.test('each form is rendered', (t) => {
  const table = (): string => 'T\n';
  t.equal(render([{ a: 1 }], 'json', table), '[\n  {\n    "a": 1\n  }\n]\n');
  t.equal(render([{ a: 1 }], 'yaml', table), '- a: 1\n');
  t.equal(render([], 'table', table), 'T\n');
  t.end();
});
