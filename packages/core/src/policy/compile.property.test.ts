import fc from 'fast-check';
import t from 'tap';
import { compileSnapshot } from './compile.js';
import { ANY_PEER, NO_EXTENSIONS, NO_OBJECTS, NOTHING_SAID, type RuleSpec, type PodObject, type PolicyObject, type PolicyObjects } from './objects.js';
import { validateSnapshot } from './validate.js';

const word = fc.constantFrom('a', 'b', 'c');
const pods = fc.uniqueArray(
  fc.record({ namespace: word, name: fc.constantFrom('p', 'q', 'r', 's'), app: word, last: fc.integer({ min: 1, max: 9 }), local: fc.boolean() }),
  { selector: ({ namespace, name }) => `${namespace}/${name}`, maxLength: 8 },
).map((list) => list.map(({ namespace, name, app, last, local }): PodObject => ({
  namespace, name, uid: null, labels: { app }, nodeName: local ? null : 'elsewhere', hostNetwork: last === 9, serviceAccount: null,
  phase: null, addresses: [`10.0.0.${last}`], ports: [],
})));
const egress = fc.record({ peer: word, fqdn: fc.boolean(), port: fc.constantFrom(53, 5353) }).map(({ peer, fqdn, port }): RuleSpec => ({
  ...ANY_PEER,
  endpoints: fqdn ? null : [{ matchLabels: { app: peer }, matchExpressions: [] }],
  fqdns: fqdn ? [{ matchName: null, matchPattern: `*.${peer}.` }] : null,
  ports: [{ path: 'toPorts[0]', ports: [{ first: port, last: port, protocol: null }], dns: fqdn ? null : [{ matchName: `${peer}.`, matchPattern: null }] }],
}));
const policies = fc.uniqueArray(
  fc.record({ namespace: word, name: word, app: word, rules: fc.array(egress, { maxLength: 3 }) }),
  { selector: ({ namespace, name }) => `${namespace}/${name}`, maxLength: 5 },
).map((list) => list.map(({ namespace, name, app, rules }): PolicyObject => ({
  kind: 'CiliumNetworkPolicy', namespace, name,
  specs: [{ path: 'spec', endpointSelector: { matchLabels: { app }, matchExpressions: [] }, egress: { allow: rules, deny: null, defaultDeny: null }, ingress: NOTHING_SAID }],
  extensions: NO_EXTENSIONS,
})));
const objects = fc.record({ pods, policies }).map((some): PolicyObjects => ({ ...NO_OBJECTS, ...some }));
const options = { nodeName: 'n', enablePolicy: 'default', allotment: null, revision: 1 } as const;

t.test('the order of objects changes nothing, and what is compiled is a valid snapshot', (t) => {
  const shuffled = objects.chain((some) =>
    fc.tuple(
      fc.constant(some),
      fc.record({
        pods: fc.shuffledSubarray([...some.pods], { minLength: some.pods.length }),
        policies: fc.shuffledSubarray([...some.policies], { minLength: some.policies.length }),
      }),
    ),
  );
  fc.assert(
    fc.property(shuffled, ([some, other]) => {
      const one = compileSnapshot(some, options);
      const two = compileSnapshot({ ...some, ...other }, options);
      if (one.snapshot.hash !== two.snapshot.hash) throw new Error('hashes differ');
      if (JSON.stringify(one) !== JSON.stringify(two)) throw new Error('results differ');
      validateSnapshot(JSON.parse(JSON.stringify(one.snapshot)));
    }),
    { numRuns: 500 },
  );
  t.pass();
  t.end();
});
