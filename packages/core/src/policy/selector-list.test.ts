import fc from 'fast-check';
import t from 'tap';
import { canonicalJson } from './content-hash.js';
import { SelectorList } from './selector-list.js';
import type { FqdnSelector, RuleSet } from './snapshot.js';

function setOf(key: string, names: readonly string[]): RuleSet {
  const fqdns = names.map((name): FqdnSelector => (name.includes('*') ? { matchName: null, matchPattern: name } : { matchName: name, matchPattern: null }));
  const origin = { kind: 'CiliumNetworkPolicy', namespace: 'n', name: 'p', path: 'spec.egress[0]' } as const;
  return { key, rules: [{ identities: [], fqdns, ports: [], dnsPatterns: null, origin }] };
}

t.test('after any edits the list is that of a new one, and its text its canonical JSON', (t) => {
  const set = fc.record({ key: fc.string(), names: fc.array(fc.integer({ min: 0, max: 60 }).map((n) => (n % 3 === 0 ? `*.n${n}.` : `n${n}.`)), { maxLength: 30 }) });
  fc.assert(fc.property(fc.array(fc.array(fc.nat(9), { maxLength: 6 }), { maxLength: 6 }), fc.array(set, { minLength: 10, maxLength: 10 }), (steps, pool) => {
    const sets = pool.map(({ key, names }) => setOf(key, names));
    const kept = new SelectorList();
    for (const step of steps) {
      const chosen = [...new Set(step)].map((i) => sets[i]);
      const list = kept.of(chosen);
      if (canonicalJson(list) !== canonicalJson(new SelectorList().of(chosen))) throw new Error('differs from a new one');
      if ([...kept.texts()].join('') !== canonicalJson(list)) throw new Error('another text');
    }
  }), { numRuns: 300 });
  t.pass();
  t.end();
});

t.test('names that are denied are not in the list', (t) => {
  const set = setOf('s', ['a.', 'b.']);
  const [rule] = set.rules;
  t.same(new SelectorList().of([{ ...set, rules: [{ ...rule, deny: true }, { ...rule, fqdns: [rule.fqdns[0]] }] }]), [{ matchName: 'a.', matchPattern: null }]);
  t.end();
});

t.test('a long list lies in blocks, and stays sorted while names come and go', (t) => {
  const names = Array.from({ length: 5000 }, (_, i) => `n${(i * 7919) % 5000}.`);
  const [all, odd] = [setOf('all', names), setOf('odd', names.filter((_, i) => i % 2 === 1))];
  const list = new SelectorList();
  const sorted = (some: readonly FqdnSelector[]) => some.map(({ matchName }) => matchName!).every((name, i, texts) => i === 0 || texts[i - 1] < name);
  t.equal(list.of([all]).length, 5000);
  t.equal(list.of([all, odd]).length, 5000);
  const left = list.of([odd]);
  t.equal(left.length, 2500);
  t.ok(sorted(left));
  t.equal([...list.texts()].join(''), canonicalJson(left));
  t.same(list.of([]), []);
  t.equal([...list.texts()].join(''), '[]');
  t.end();
});
