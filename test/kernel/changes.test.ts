/** The difference of two programs, applied where the first one is, leaves what the second one leaves by itself. */
import fc, { type Arbitrary } from 'fast-check';
import { changeText, wholeText } from '@tandem/datapath';
import t from 'tap';
import type { Group } from '../conformance/case.js';
import { tables } from '../conformance/tables.js';
import { kernelAfter, programOf, snapshotOf, type Variant } from './states.js';

const NOTHING_OPEN = new Map();
const RUNS = 60;
/** A counterexample names its cluster; the manifests are long. */
const NAMES = tables.map(({ name }) => name);
const named = (name: string): Group => tables.find((group) => group.name === name)!;

const variants: Arbitrary<Variant> = fc.record({
  isBridged: fc.boolean(),
  auditMode: fc.boolean(),
  isTransparentUpstream: fc.boolean(),
  logGroup: fc.constantFrom(null, 1053),
  podCidrs: fc.subarray(['127.0.1.0/24', '127.0.0.0/16', 'fd00::/64']),
  unseen: fc.uniqueArray(fc.nat(6), { maxLength: 3 }).map((rows) => new Set(rows)),
  firstInterface: fc.constantFrom(100, 100, 101, 124),
});
const states = fc.record({ group: fc.constantFrom(...NAMES), variant: variants });
/** Mostly little changes: then nearly all stays. */
const steps = states.chain((before) =>
  fc.tuple(fc.constant(before), fc.oneof(states, fc.record({ group: fc.constant(before.group), variant: variants }), fc.record({ group: fc.constantFrom(...NAMES), variant: fc.constant(before.variant) }))));

t.test('a change leaves the kernel as if the whole had been written', (t) => {
  fc.assert(fc.property(steps, ([before, after]) => {
    const [old, wanted] = [before, after].map(({ group, variant }) => programOf(snapshotOf(named(group)), variant));
    const changed = kernelAfter([wholeText(old, NOTHING_OPEN), changeText(old, wanted, NOTHING_OPEN)]);
    const whole = kernelAfter([wholeText(wanted, NOTHING_OPEN)]);
    const differing = [...changed.filter((line) => !whole.includes(line)).map((line) => `+ ${line}`), ...whole.filter((line) => !changed.includes(line)).map((line) => `- ${line}`)];
    if (differing.length > 0) throw new Error(differing.join('\n'));
    return changeText(wanted, wanted, NOTHING_OPEN) === '';
  }), { numRuns: RUNS });
  t.end();
});

t.test('the whole replaces whatever is there, and is the same when it is written again', (t) => {
  fc.assert(fc.property(states, states, (one, other) => {
    const [a, b] = [one, other].map(({ group, variant }) => wholeText(programOf(snapshotOf(named(group)), { ...variant, isBridged: true }), NOTHING_OPEN));
    return JSON.stringify(kernelAfter([a, b, b])) === JSON.stringify(kernelAfter([b]));
  }), { numRuns: RUNS / 3 });
  t.end();
});

t.test('what is open stays open through a change, and a new set comes filled', (t) => {
  const variant: Variant = { isBridged: false, auditMode: false, isTransparentUpstream: false, logGroup: null, podCidrs: [], unseen: new Set(), firstInterface: 100 };
  const [with1, without] = ['patterns of toFQDNs', 'who may connect to a pod'].map((name) => named(name)).map((group) => programOf(snapshotOf(group), variant));
  const audited = programOf(snapshotOf(named('patterns of toFQDNs')), { ...variant, auditMode: true });
  const set = [...with1.tables[0].sets].find(([name]) => name.startsWith('fqdn4-'))![0];
  const open = new Map([[set, [{ address: '203.0.113.7', timeoutMs: 3_600_000 }]]]);
  const has = (lines: readonly string[]): boolean => lines.some((line) => line.includes(set) && line.includes('203.0.113.7'));
  t.ok(has(kernelAfter([wholeText(with1, open), changeText(with1, audited, NOTHING_OPEN)])), 'it is not touched');
  t.ok(has(kernelAfter([wholeText(without, NOTHING_OPEN), changeText(without, with1, open)])), 'a new one comes filled');
  t.notOk(has(kernelAfter([wholeText(with1, open), changeText(with1, without, open)])), 'one that no rule names goes');
  t.end();
});

t.test('a port whose link is gone, and its chain with it, can be taken out, and come again', (t) => {
  const group = named('who may connect to a pod');
  const variant: Variant = { isBridged: true, auditMode: false, isTransparentUpstream: false, logGroup: null, podCidrs: [], unseen: new Set(), firstInterface: 100 };
  const all = programOf(snapshotOf(group), variant);
  const fewer = programOf(snapshotOf(group), { ...variant, unseen: new Set([0]) });
  const gone = all.tables.find(({ family }) => family === 'netdev')!;
  t.ok(gone.chains.size > 3, 'there are ports');
  const text = changeText(all, fewer, NOTHING_OPEN);
  const lost = [...gone.chains.keys()].find((name) => text.includes(`delete chain netdev tandem ${name}`))!;
  const deleted = `delete chain netdev tandem ${lost}\n`;
  t.strictSame(kernelAfter([wholeText(all, NOTHING_OPEN), deleted, text]), kernelAfter([wholeText(fewer, NOTHING_OPEN)]));
  t.strictSame(kernelAfter([wholeText(all, NOTHING_OPEN), deleted, text, changeText(fewer, all, NOTHING_OPEN)]), kernelAfter([wholeText(all, NOTHING_OPEN)]));
  t.end();
});
