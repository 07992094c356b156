import t from 'tap';
import { nearestName } from './nearest-name.js';

const KNOWN = ['slots', 'listen', 'log-level', 'abc'];

t.test('the nearest name is one edit in three letters away at most, letter case aside', (t) => {
  const cases: [text: string, nearest: string | null][] = [
    ['slot', 'slots'], ['SLOTS', 'slots'], ['sluts', 'slots'], ['lisden', 'listen'], ['loglevle', null], ['log-levle', 'log-level'], ['loglevel', 'log-level'],
    ['ab', 'abc'], ['', null], ['xyz', null], ['s', null], ['l'.repeat(101), null],
  ];
  for (const [text, nearest] of cases) t.equal(nearestName(text, KNOWN), nearest, text);
  t.equal(nearestName('list', ['lest', 'last']), 'lest', 'the first of two that are as near');
  t.equal(nearestName('a', []), null);
  t.end();
});
