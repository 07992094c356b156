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

t.test('whatever is written as a policy, there are objects or an error, never an exception', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.keys(KINDS)), fc.dictionary(fc.constantFrom(...KEYS), value), fc.dictionary(fc.constantFrom(...ANNOTATIONS), scalarText),
      (kind, spec, annotations) => {
        const object = { apiVersion: KINDS[kind as keyof typeof KINDS], kind, metadata: { name: 'p', annotations }, spec };
        const { objects, problems } = loadManifests([{ path: 'a.json', text: JSON.stringify(object) }]);
        return (objects === null) === problems.some(({ severity }) => severity === 'error');
      },
    ),
    { numRuns: RUNS },
  );
  t.end();
});
