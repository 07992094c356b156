import t from 'tap';
import { AppError } from '../base/app-error.js';
import { nameMatcher } from './name-matcher.js';

const CASES: readonly [string, readonly string[], readonly string[]][] = [
  ['www.example.com', ['www.example.com.', 'WWW.Example.COM.'], ['example.com.', 'a.www.example.com.', 'www.example.org.', '.']],
  ['www.example.com.', ['www.example.com.'], ['www.example.com.org.']],
  ['*.example.com', ['a.example.com.', 'a-b.example.com.', '_x.example.com.'], ['example.com.', 'a.b.example.com.', 'aexample.com.']],
  ['**.example.com', ['a.example.com.', 'a.b.example.com.'], ['example.com.']],
  ['w*.example.com', ['www.example.com.', 'w.example.com.'], ['awww.example.com.', 'w.w.example.com.']],
  ['*', ['example.com.', 'a.b.c.'], []],
];

for (const [pattern, matching, others] of CASES) {
  t.test(`${pattern} matches what it should`, (t) => {
    const matches = nameMatcher(pattern);
    for (const name of matching) t.equal(matches(name), true, name);
    for (const name of others) t.equal(matches(name), false, name);
    t.end();
  });
}

t.test('a text that is no name matches nothing', (t) => {
  const matches = nameMatcher('*');
  for (const name of ['', 'a..b.', `${'a'.repeat(64)}.`, `${'a.'.repeat(200)}`]) t.equal(matches(name), false, name.slice(0, 20));
  t.end();
});

t.test('a pattern that is not admitted is an error of usage that quotes it', (t) => {
  for (const pattern of ['', 'a[b', 'a b', 'ä.example', '/etc']) {
    try {
      nameMatcher(pattern);
      t.fail(pattern);
    } catch (error) {
      t.ok(error instanceof AppError);
      t.match(error, { code: 'USAGE', message: JSON.stringify(pattern) });
    }
  }
  t.end();
});
