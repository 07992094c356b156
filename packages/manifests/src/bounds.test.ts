import t from 'tap';
import { loadManifests } from './load.js';
import { formatProblem } from './problem.js';

const complaints = (text: string): string[] => loadManifests([{ path: 'a.yaml', text }]).problems.map(formatProblem);
const TOO_DEEP = 'is nested more than 64 levels deep';

t.test('files that are too large or too many are not parsed', (t) => {
  t.same(complaints('x'.repeat(4 * 1024 * 1024 + 1)), ['a.yaml: error: has 4194305 characters; the limit is 4194304']);
  t.same(complaints('---\n'.repeat(1_000_000)), ['a.yaml: error: has more than 10000 documents']);
  const files = Array.from({ length: 1001 }, (_, i) => ({ path: `${i}.yaml`, text: '' }));
  t.same(loadManifests(files).problems.map(formatProblem), ['error: 1001 files; the limit is 1000']);
  t.end();
});

t.test('objects beyond the limit are refused once', (t) => {
  const items = Array.from({ length: 10_002 }, (_, i) => `- {apiVersion: v1, kind: Namespace, metadata: {name: n${i}}}`);
  const found = complaints(`apiVersion: v1\nkind: List\nitems:\n${items.join('\n')}`);
  t.equal(found.length, 1);
  t.match(found[0], /is object 10001; the limit is 10000/);
  const half = items.slice(0, 5001).join('\n');
  const files = ['a', 'b'].map((path) => ({ path: `${path}.yaml`, text: `apiVersion: v1\nkind: List\nitems:\n${half.replaceAll('name: n', `name: ${path}`)}` }));
  t.same(loadManifests(files).problems.map(formatProblem), ['b.yaml: error: brings the objects to 10004; the limit is 10000']);
  t.end();
});

t.test('deep nesting is refused in bounded time', (t) => {
  const cases = ['['.repeat(2_000_000), '{a: '.repeat(100_000), '- '.repeat(20_000) + 'a', '? '.repeat(20_000) + 'a', `${'[ '.repeat(200)}${']'.repeat(200)}`];
  for (const text of cases) {
    const found = complaints(text);
    t.equal(found.length, 1, text.slice(0, 4));
    t.ok(found[0].endsWith(TOO_DEEP), found[0]);
  }
  t.end();
});

t.test('aliases that loop or lead nowhere are refused', (t) => {
  t.same(complaints('a: &a [*a]'), ['a.yaml:1:8: error: the alias *a stands inside what it stands for']);
  t.same(complaints('&a {apiVersion: v1, kind: *a}'), ['a.yaml:1:27: error: the alias *a stands inside what it stands for']);
  t.ok(complaints('apiVersion: *b').includes('a.yaml:1:13: error: the alias *b has no anchor before it; a text that begins with a star is written in quotes: "*b"'));
  t.end();
});

t.test('a pattern without its quotes is told how to write it', (t) => {
  const list = 'spec:\n  egress:\n  - toFQDNs:\n    - matchPattern: ';
  const said = (value: string): string[] => complaints(`${list}${value}`).filter((one) => one.startsWith('a.yaml:4:21: '));
  t.same(said('*'), ['a.yaml:4:21: error: a star without quotes stands for another value; write "*" in quotes']);
  for (const name of ['*.example', '**.example', '**']) {
    t.same(said(name), [`a.yaml:4:21: error: the alias ${name} has no anchor before it; a text that begins with a star is written in quotes: "${name}"`]);
  }
  t.end();
});

t.test('no control character of a file reaches a complaint', (t) => {
  t.same(complaints('apiVersion: "v1\\e[31m"\nkind: "Pod\\nis fine\\u2028"'), ['a.yaml:2:1: kind: warning: v1\\u001b[31m Pod\\u000ais fine\\u2028 is unknown and ignored']);
  t.end();
});

t.test('aliases that multiply end in one complaint', (t) => {
  const list = (name: string) => Array<string>(300).fill(`*${name}`).join(', ');
  const bomb = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: a, namespace: d}
status:
  d: &d {matchName: a}
  dd: &dd [${list('d')}]
  p: &p {ports: [{port: "53"}], rules: {dns: *dd}}
  pp: &pp [${list('p')}]
  e: &e {toPorts: *pp}
spec: {endpointSelector: {}, egress: [${list('e')}]}
`;
  t.same(complaints(bomb), ['a.yaml: error: its aliases stand for more than can be read; write the fields out']);
  const many = `a: &a 1\nb: [${Array<string>(1001).fill('*a').join(', ')}]`;
  t.match(complaints(many), [/the document has more than 1000 aliases/]);
  t.end();
});

t.test('aliases in good measure are followed', (t) => {
  const text = `apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: a, labels: &labels {app: web}}}
- {apiVersion: v1, kind: Pod, metadata: {name: b, labels: *labels}}
`;
  t.same(loadManifests([{ path: 'a.yaml', text }]).objects?.pods.map(({ labels }) => labels), [{ app: 'web' }, { app: 'web' }]);
  t.end();
});

t.test('a mapping of very many keys takes linear time', (t) => {
  const keys = Array.from({ length: 100_000 }, (_, i) => `k${i}: 1`).join('\n');
  t.same(complaints(`${keys}\nk7: 1`), [
    'a.yaml:1:1: error: has no apiVersion',
    'a.yaml:1:1: error: has no kind',
    'a.yaml:100001:1: error: the key "k7" comes twice in one mapping',
  ]);
  t.end();
});

t.test('more than 1,000 problems are counted, not shown', (t) => {
  const items = Array.from({ length: 1500 }, () => '- {apiVersion: v1, kind: Pod, metadata: {namespace: d}}').join('\n');
  const found = complaints(`apiVersion: v1\nkind: List\nitems:\n${items}`);
  t.equal(found.length, 1001);
  t.equal(found[1000], 'error: 500 more problems are not shown');
  const warned = Array.from({ length: 1500 }, (_, i) => `- {apiVersion: v1, kind: Pod, metadata: {name: p${i}}}`).join('\n');
  const mixed = complaints(`apiVersion: v1\nkind: List\nitems:\n${warned}\n- {apiVersion: v1, kind: Pod, metadata: {namespace: d}}`);
  t.ok(mixed.some((one) => one.endsWith('error: has no name')), 'an error is not hidden behind warnings');
  t.equal(mixed[1000], 'error: 501 more problems are not shown');
  t.end();
});

t.test('keys that are special to JavaScript are plain keys', (t) => {
  const text = 'apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {__proto__: x, constructor: y}}';
  const labels = loadManifests([{ path: 'a.yaml', text }]).objects?.pods[0].labels;
  t.same(Object.entries(labels ?? {}), [['__proto__', 'x'], ['constructor', 'y']]);
  t.match(complaints('apiVersion: v1\nkind: constructor\nmetadata: {name: a}'), [/v1 constructor is unknown and ignored/]);
  t.end();
});
