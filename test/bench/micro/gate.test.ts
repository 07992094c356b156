import t from 'tap';
import { isFailure, judge, TOLERANCE } from './gate.js';

t.test('a subject fails when it costs more than its baseline allows, and only then', (t) => {
  const of = (ratio: number): [string, boolean] => {
    const [finding] = judge({ 'scan: a': 2 }, { 'scan: a': ratio });
    return [finding.verdict, isFailure(finding)];
  };
  t.strictSame(of(2), ['ok', false]);
  t.strictSame(of(2 * TOLERANCE - 0.001), ['ok', false]);
  t.strictSame(of(2 * TOLERANCE + 0.001), ['slower', true]);
  t.strictSame(of(2 / TOLERANCE - 0.001), ['faster', false]);
  t.end();
});

t.test('a subject without a baseline and a baseline without a subject fail', (t) => {
  t.strictSame(judge({ 'scan: a': 1 }, { 'scan: b': 1 }).map((finding) => [finding.subject, finding.verdict, isFailure(finding)]), [['scan: a', 'gone', true], ['scan: b', 'new', true]]);
  t.end();
});
