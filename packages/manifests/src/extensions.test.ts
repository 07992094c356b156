import t from 'tap';
import { NO_EXTENSIONS, type PolicyExtensions } from '@tandem/core';
import { loadManifests } from './load.js';
import { formatProblem } from './problem.js';

const BODIES: Readonly<Record<string, string>> = {
  CiliumNetworkPolicy: 'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nspec: {endpointSelector: {}, egress: [{toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchPattern: "*"}]}}]}]}',
  CiliumClusterwideNetworkPolicy: 'apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nspec: {endpointSelector: {}, egress: [{toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchPattern: "*"}]}}]}]}',
  NetworkPolicy: 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nspec: {podSelector: {}}',
};

/** The annotation stands on line 7. */
function read(annotation: string, kind = 'CiliumNetworkPolicy'): { extensions: PolicyExtensions | null; problems: string[] } {
  const namespace = kind === 'CiliumClusterwideNetworkPolicy' ? '' : ', namespace: shop';
  const text = `${BODIES[kind]}\nmetadata: {name: p${namespace}, annotations: {\n  other.example/deny-fqdns: "***",\n  ${annotation}}}\n`;
  const { objects, problems } = loadManifests([{ path: 'a.yaml', text }]);
  return { extensions: objects?.policies[0].extensions ?? null, problems: problems.map(formatProblem) };
}

const name = (matchName: string) => ({ matchName, matchPattern: null });
const pattern = (matchPattern: string) => ({ matchName: null, matchPattern });

const TAKEN: readonly (readonly [string, Partial<PolicyExtensions>])[] = [
  ['other: "tandem.dev/nothing"', {}],
  ['tandem.dev/query-types: "AAAA, a,TYPE65 , HTTPS"', { queryTypes: [1, 28, 65] }],
  ['tandem.dev/query-types: TXT', { queryTypes: [16] }],
  ['tandem.dev/deny-fqdns: "Ads.example, *.Tracker.example ,**.bad.example."', { denyFqdns: [name('ads.example.'), pattern('*.tracker.example.'), pattern('**.bad.example.')] }],
  ['tandem.dev/grant-scope: endpoint', { grantScope: 'endpoint' }],
  ['tandem.dev/grant-scope: node', { grantScope: 'node' }],
  ['tandem.dev/query-rate: "50"', { queryRate: 50 }],
  ['tandem.dev/query-rate: "1000000"', { queryRate: 1_000_000 }],
  ['tandem.dev/label-entropy: " 400 "', { labelEntropyBits: 400 }],
  ['tandem.dev/query-rate: "5", tandem.dev/limit-action: refuse', { queryRate: 5, limitAction: 'refuse' }],
  ['tandem.dev/label-entropy: "90", tandem.dev/limit-action: audit', { labelEntropyBits: 90, limitAction: 'audit' }],
  ['tandem.dev/private-addresses: none', { privateNames: [] }],
  ['tandem.dev/private-addresses: "*.corp.example, intranet.example"', { privateNames: [pattern('*.corp.example.'), name('intranet.example.')] }],
  ['tandem.dev/query-rate: "5", tandem.dev/limit-action: audit', { queryRate: 5, limitAction: 'audit' }],
];

t.test('annotations under tandem.dev/ become extensions of all kinds of policies; others are not looked at', (t) => {
  for (const [annotation, expected] of TAKEN) {
    for (const kind of Object.keys(BODIES)) {
      const { extensions, problems } = read(annotation, kind);
      const isIdle = kind === 'NetworkPolicy' && annotation.includes('query-types');
      t.same(problems, isIdle ? ['a.yaml:6:3: metadata.annotations["tandem.dev/query-types"]: warning: has no effect: it narrows rules.dns, and the policy has none'] : [], `${kind} ${annotation}`);
      t.strictSame(extensions, { ...NO_EXTENSIONS, ...expected }, `${kind} ${annotation}`);
    }
  }
  t.end();
});

/** Complaints without `a.yaml:6:` and `metadata.annotations`. */
const REFUSED: readonly (readonly [string, readonly string[]])[] = [
  ['tandem.dev/deny-fqdn: a', ['3: ["tandem.dev/deny-fqdn"]: error: is unknown; did you mean "deny-fqdns"?']],
  ['tandem.dev/wherever: a', ['3: ["tandem.dev/wherever"]: error: is unknown']],
  ['tandem.dev/__proto__: a', ['3: ["tandem.dev/__proto__"]: error: is unknown']],
  ['tandem.dev/query-rate: 50', ['26: ["tandem.dev/query-rate"]: error: is the number 50; a string is wanted: write "50" in quotes']],
  ['tandem.dev/query-rate: "0"', ['26: ["tandem.dev/query-rate"]: error: is "0"; a whole number from 1 to 1000000 (queries per second) is wanted']],
  ['tandem.dev/query-rate: "1000001"', ['26: ["tandem.dev/query-rate"]: error: is "1000001"; a whole number from 1 to 1000000 (queries per second) is wanted']],
  ['tandem.dev/query-rate: 5/s', ['26: ["tandem.dev/query-rate"]: error: is "5/s"; a whole number from 1 to 1000000 (queries per second) is wanted']],
  ['tandem.dev/label-entropy: "401"', ['29: ["tandem.dev/label-entropy"]: error: is "401"; a whole number from 1 to 400 (bits) is wanted']],
  ['tandem.dev/label-entropy: "3.5"', ['29: ["tandem.dev/label-entropy"]: error: is "3.5"; a whole number from 1 to 400 (bits) is wanted']],
  ['tandem.dev/grant-scope: endpoints', ['27: ["tandem.dev/grant-scope"]: error: is "endpoints"; known are node and endpoint; did you mean "endpoint"?']],
  ['tandem.dev/limit-action: drop', ['28: ["tandem.dev/limit-action"]: error: is "drop"; known are audit and refuse']],
  ['tandem.dev/query-types: ""', ['27: ["tandem.dev/query-types"]: error: is empty; write a list such as "A, AAAA"']],
  ['tandem.dev/query-types: "A,,AAA, TYPE65536, TYPE0"', [
    '27: ["tandem.dev/query-types"]: error: "AAA" is no DNS type that may be asked for; write A, AAAA, …, or TYPE and a number from 1 to 65535',
    '27: ["tandem.dev/query-types"]: error: "TYPE0" is no DNS type that may be asked for; write A, AAAA, …, or TYPE and a number from 1 to 65535',
    '27: ["tandem.dev/query-types"]: error: "TYPE65536" is no DNS type that may be asked for; write A, AAAA, …, or TYPE and a number from 1 to 65535',
    '27: ["tandem.dev/query-types"]: error: has an empty entry; write a list such as "A, AAAA"',
  ]],
  ['tandem.dev/deny-fqdns: "a b.example, a..example"', [
    '26: ["tandem.dev/deny-fqdns"]: error: has an empty label (two dots in a row)',
    '26: ["tandem.dev/deny-fqdns"]: error: holds " "; allowed are letters, digits, "-", "_" and "."',
  ]],
  ['tandem.dev/private-addresses: "none, a.example"', ['33: ["tandem.dev/private-addresses"]: error: has "none" beside names; write one of the two']],
  ['tandem.dev/private-addresses: ","', ['33: ["tandem.dev/private-addresses"]: error: is empty; write a list such as "*.example.com, example.com"']],
];

t.test('an annotation that is not understood is an error with its place', (t) => {
  for (const [annotation, expected] of REFUSED) {
    const { extensions, problems } = read(annotation);
    t.same(problems, expected.map((one) => `a.yaml:6:${one.replace('["', 'metadata.annotations["')}`), annotation);
    t.equal(extensions, null);
  }
  t.end();
});

t.test('on an object that is no policy such annotations are said to do nothing', (t) => {
  const text = 'apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  namespace: d\n  annotations:\n    tandem.dev/deny-fqdns: a.example\n    other: b\n';
  t.same(loadManifests([{ path: 'a.yaml', text }]).problems.map(formatProblem), [
    'a.yaml:7:5: metadata.annotations["tandem.dev/deny-fqdns"]: warning: has no effect: such annotations belong to policies',
  ]);
  t.end();
});

t.test('what would do nothing on a policy is said: an action without a limit, a misspelt prefix, a label', (t) => {
  const { extensions, problems } = read('tandem.dev/limit-action: audit, tandem/query-rate: "5", deny-fqdns: a, other.test/query-rate: "5"');
  t.strictSame(extensions, { ...NO_EXTENSIONS, limitAction: 'audit' });
  t.same(problems, [
    'a.yaml:6:3: metadata.annotations["tandem.dev/limit-action"]: warning: has no effect: it is about query-rate and label-entropy, and the policy has neither',
    'a.yaml:6:35: metadata.annotations["tandem/query-rate"]: warning: has no effect; did you mean "tandem.dev/query-rate"?',
    'a.yaml:6:59: metadata.annotations.deny-fqdns: warning: has no effect; did you mean "tandem.dev/deny-fqdns"?',
  ]);
  const text = `${BODIES.NetworkPolicy}\nmetadata:\n  name: p\n  namespace: d\n  labels:\n    tandem.dev/grant-scope: endpoint\n    other: b\n`;
  t.same(loadManifests([{ path: 'a.yaml', text }]).problems.map(formatProblem), [
    'a.yaml:8:5: metadata.labels["tandem.dev/grant-scope"]: warning: has no effect as a label; write it under annotations',
  ]);
  t.end();
});
