import fc from 'fast-check';
import t from 'tap';
import { loadManifests } from './load.js';

const RUNS = 1000;
const KEYS = [
  'endpointSelector', 'nodeSelector', 'egress', 'egressDeny', 'ingress', 'ingressDeny', 'enableDefaultDeny', 'toEndpoints', 'toCIDR', 'toCIDRSet', 'toEntities',
  'toServices', 'toFQDNs', 'toPorts', 'icmps', 'fromEndpoints', 'fromCIDR', 'fromCIDRSet', 'fromEntities', 'ports', 'port', 'endPort', 'protocol', 'rules', 'dns',
  'matchName', 'matchPattern', 'matchLabels', 'matchExpressions', 'key', 'operator', 'values', 'cidr', 'except', 'fields', 'family', 'type', 'k8sService', 'serviceName',
  'namespace', 'k8sServiceSelector', 'selector', 'podSelector', 'policyTypes', 'from', 'to', 'namespaceSelector', 'ipBlock', '__proto__',
];
const WORDS = ['53', 'http', 'TCP', 'ANY', 'IPv6', 'EchoReply', 'world', 'Exists', 'In', 'Egress', '10.0.0.0/8', 'fd00::/8', '10.0.0.1', '*', '*.example', 'a.example', 'app', 'k8s:app', 'reserved:host', ''];
const ANNOTATIONS = ['query-types', 'deny-fqdns', 'grant-scope', 'query-rate', 'label-entropy', 'limit-action', 'private-addresses', 'other'].map((one) => `tandem.dev/${one}`);
const KINDS = { CiliumNetworkPolicy: 'cilium.io/v2', CiliumClusterwideNetworkPolicy: 'cilium.io/v2', NetworkPolicy: 'networking.k8s.io/v1' } as const;

const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'large', withCrossShrink: true },
    fc.constantFrom(...WORDS),
    fc.oneof(fc.integer(), fc.boolean(), fc.constant(null), fc.string()),
    fc.dictionary(fc.constantFrom(...KEYS), tie('value'), { maxKeys: 4 }),
    fc.array(tie('value'), { maxLength: 3 }),
  ),
}));
const scalarText = fc.oneof(fc.constantFrom(...WORDS), fc.string(), fc.integer());

/** A policy that has about everything, in which one value at a time is replaced. */
const WHOLE = {
  endpointSelector: { matchLabels: { app: 'a' }, matchExpressions: [{ key: 'b', operator: 'In', values: ['c'] }] },
  enableDefaultDeny: { egress: true },
  egress: [
    { toEndpoints: [{ matchLabels: { a: 'b' } }], toPorts: [{ ports: [{ port: '53', protocol: 'ANY' }], rules: { dns: [{ matchName: 'a.example' }] } }] },
    { toFQDNs: [{ matchPattern: '*.example' }], toPorts: [{ ports: [{ port: '80', endPort: 90 }, { port: 'http' }] }] },
    { toCIDRSet: [{ cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] }], icmps: [{ fields: [{ type: 8, family: 'IPv4' }] }] },
    { toCIDR: ['fd00::/8'] }, { toEntities: ['world'] },
    { toServices: [{ k8sService: { serviceName: 'a', namespace: 'b' } }, { k8sServiceSelector: { selector: { matchLabels: { a: 'b' } } } }] },
  ],
  ingressDeny: [{ fromCIDRSet: [{ cidr: '10.0.0.0/8' }] }, { fromEndpoints: [{}] }],
};
const WHOLE_NETWORK_POLICY = {
  podSelector: { matchLabels: { a: 'b' } }, policyTypes: ['Egress'],
  egress: [{ to: [{ podSelector: {}, namespaceSelector: { matchLabels: { a: 'b' } } }, { ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }], ports: [{ port: 80, endPort: 90, protocol: 'TCP' }] }],
};

/** A copy in which the value behind the n-th step is another. Counts steps in the order of keys; beyond the last one, nothing is replaced. */
function replaced(node: unknown, at: { steps: number }, by: unknown): unknown {
  if (at.steps-- === 0) return by;
  if (Array.isArray(node)) return node.map((one) => replaced(one, at, by));
  if (typeof node !== 'object' || node === null) return node;
  return Object.fromEntries(Object.entries(node).map(([key, one]) => [key, replaced(one, at, by)]));
}

const isWhole = (object: unknown): boolean => {
  const { objects, problems } = loadManifests([{ path: 'a.json', text: JSON.stringify(object) }]);
  return (objects === null) === problems.some(({ severity }) => severity === 'error');
};

t.test('a policy with one value replaced gives objects or an error, never an exception', (t) => {
  for (const [kind, spec] of [['CiliumNetworkPolicy', WHOLE], ['NetworkPolicy', WHOLE_NETWORK_POLICY]] as const) {
    const object = { apiVersion: KINDS[kind], kind, metadata: { name: 'p', namespace: 'd' }, spec };
    t.same(loadManifests([{ path: 'a.json', text: JSON.stringify(object) }]).problems, [], `${kind}: the whole one is sound`);
    fc.assert(fc.property(fc.nat(120), value, (steps, by) => isWhole({ ...object, spec: replaced(spec, { steps }, by) })), { numRuns: RUNS });
  }
  t.end();
});

t.test('whatever is written as a policy, there are objects or an error, never an exception', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.keys(KINDS)), fc.dictionary(fc.constantFrom(...KEYS), value), fc.dictionary(fc.constantFrom(...ANNOTATIONS), scalarText),
      (kind, spec, annotations) => isWhole({ apiVersion: KINDS[kind as keyof typeof KINDS], kind, metadata: { name: 'p', annotations }, spec }),
    ),
    { numRuns: RUNS },
  );
  t.end();
});
