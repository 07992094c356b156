/**
 * Small worlds for `reference.property.test.ts`: few names, labels and addresses, so that policies, pods and questions meet.
 * Prefixes lie within prefixes, pods on several nodes and on the host network, Services lead to other ports, to nobody, out of
 * the cluster; policies allow and deny the same peers.
 */
import fc, { type Arbitrary } from 'fast-check';
import {
  ENTITIES,
  GRANT_SCOPES,
  LABEL_OPERATORS,
  NO_EXTENSIONS,
  NOTHING_SAID,
  type CidrSpec,
  type DirectionSpec,
  type EndpointSliceObject,
  type GrantScope,
  type LabelSelector,
  type Labels,
  type NamedPort,
  type NamespaceObject,
  type PodObject,
  type PolicyExtensions,
  type PolicyObject,
  type PortSpec,
  type RuleSpec,
  type ServiceObject,
  type ServiceReference,
} from '../objects.js';
import { POLICY_KINDS, type FqdnSelector, type PortRange } from '../snapshot.js';
import type { Connection, Question, World } from './reference.js';

export const NODE = 'here';
const SPACES = ['one', 'two', 'default'];
const APPS = ['web', 'dns', 'db'];
const TEAMS = ['red', 'blue'];
const ACCOUNTS = ['default', 'robot'];
const POD_PORT_NAMES = ['dns', 'web'];
const PORTS = [53, 53, 80, 5353];
const POLICIES_MAX = 4;

const PODS: readonly { readonly addresses: readonly string[]; readonly node: string | null; readonly hostNetwork: boolean }[] = [
  { addresses: ['10.0.0.1'], node: NODE, hostNetwork: false },
  { addresses: ['10.0.0.2', 'fd00::2'], node: NODE, hostNetwork: false },
  { addresses: ['10.0.0.3'], node: null, hostNetwork: false },
  { addresses: ['10.0.1.1'], node: 'there', hostNetwork: false },
  { addresses: ['10.0.1.2', 'fd00:1::2'], node: 'there', hostNetwork: false },
  { addresses: ['192.168.0.1', 'fd01::1'], node: NODE, hostNetwork: true },
  { addresses: ['192.168.0.2'], node: 'there', hostNetwork: true },
  { addresses: ['192.168.0.3'], node: 'yonder', hostNetwork: true },
];
const OUTSIDE = ['8.8.8.8', '8.8.4.4', '203.0.113.5', '203.0.113.9', '2001:db8::1', '2001:db8:1::1', '10.0.9.9'];
const SERVICE_ADDRESSES = [['10.96.0.1'], ['10.96.0.2', 'fd96::2'], ['203.0.113.9'], ['192.168.0.2'], []];
const API_SERVERS = ['192.168.0.1', '192.168.0.2', '192.168.0.3', '8.8.4.4', '2001:db8::1'];
const POD_ADDRESSES = PODS.flatMap(({ addresses }) => addresses);
const LOCAL_ADDRESSES = PODS.slice(0, 3).flatMap(({ addresses }) => addresses);
const CIDRS: readonly (readonly [cidr: string, within: readonly string[]])[] = [
  ['0.0.0.0/0', ['8.0.0.0/8', '8.8.8.8/32', '10.0.0.0/8', '203.0.113.0/24', '203.0.113.4/30']],
  ['8.0.0.0/8', ['8.8.8.0/24', '8.8.8.8/32', '8.8.0.0/16']],
  ['8.8.8.0/24', ['8.8.8.8/32']],
  ['8.8.8.8/32', []],
  ['203.0.113.0/24', ['203.0.113.4/30', '203.0.113.5/32', '203.0.113.8/29']],
  ['203.0.113.4/30', ['203.0.113.5/32']],
  ['203.0.113.5/32', []],
  ['10.0.0.0/8', ['10.0.0.0/24']],
  ['192.168.0.0/16', []],
  ['::/0', ['2001:db8::/32', '2001:db8:1::/48']],
  ['2001:db8::/32', ['2001:db8:1::/48', '2001:db8::1/128']],
  ['2001:db8::1/128', []],
];
const PATTERNS = ['*', '**.', '*.io.', '**.io.', 'a*.io.', '*.a.io.', '**.a*.io.', '*.*.io.', '*io.'];
const EXACT = ['a.io.', 'b.a.io.', 'io.', 'com.'];
const NAMES = ['.', 'io.', 'a.io.', 'A.io.', 'ab.io.', 'b.a.io.', 'c.b.a.io.', 'x\\032.io.', 'com.'];
const TYPES = [1, 28, 16];

const word = fc.constantFrom;
const often = <T>(common: T, rare: Arbitrary<T>, weight = 4): Arbitrary<T> =>
  fc.oneof({ weight, arbitrary: fc.constant(common) }, { weight: 1, arbitrary: rare });
const maybe = <T>(some: Arbitrary<T>): Arbitrary<T | null> => fc.option(some);
const few = <T>(some: Arbitrary<T>, maxLength: number, minLength = 1): Arbitrary<T[]> => fc.array(some, { minLength, maxLength });

const podPorts: Arbitrary<NamedPort[]> = few(
  fc.record({ name: word(...POD_PORT_NAMES), port: word(...PORTS), protocol: word<6 | 17 | 132>(17, 6, 132) }), 2, 0,
);

function podAt(index: number): Arbitrary<PodObject> {
  const { addresses, node, hostNetwork } = PODS[index];
  return fc.record({
    namespace: word(...SPACES),
    name: fc.constant(`p${index}`),
    uid: fc.constant(null),
    labels: fc.record({ app: word(...APPS), team: word(...TEAMS) }, { requiredKeys: ['app'] }),
    nodeName: fc.constant(node),
    hostNetwork: fc.constant(hostNetwork),
    serviceAccount: often<string | null>(null, word(...ACCOUNTS)),
    phase: often<string | null>(null, word('Running', 'Succeeded', 'Pending'), 9),
    addresses: fc.constant(addresses),
    ports: podPorts,
  });
}

const namespaces: Arbitrary<NamespaceObject[]> = fc.subarray(SPACES).chain((names) =>
  fc.tuple(...names.map((name) => fc.record({ name: fc.constant(name), labels: fc.record({ tier: word('x', 'y') }, { requiredKeys: [] }) }))),
);

const servicePort = fc.record({
  name: word('', 'dns'),
  port: word(53, 53, 80),
  protocol: word<6 | 17>(17, 17, 6),
  targetPort: fc.oneof(word<number | string | null>(null, 'dns', 'web'), word(...PORTS)),
});

function serviceAt(index: number): Arbitrary<ServiceObject> {
  return fc.record({
    namespace: word(...SPACES),
    name: fc.constant(`s${index}`),
    labels: fc.record({ role: word('x', 'y') }, { requiredKeys: [] }),
    addresses: fc.constant(SERVICE_ADDRESSES[index]),
    ports: fc.uniqueArray(servicePort, { selector: ({ port, protocol }) => `${port}/${protocol}`, minLength: 1, maxLength: 2 }),
    selector: fc.oneof<Arbitrary<Labels | null>[]>(fc.record({ app: word(...APPS) }), fc.record({ app: word(...APPS) }), word(null, {})),
  });
}

const services: Arbitrary<ServiceObject[]> = fc.subarray(SERVICE_ADDRESSES.map((_, index) => index), { maxLength: 3 }).chain((indexes) =>
  fc.tuple(...indexes.map(serviceAt)),
);

function slicesOf(list: readonly ServiceObject[]): Arbitrary<EndpointSliceObject[]> {
  const written = list.map(({ namespace, name, selector, ports }) =>
    fc.option(
      fc.record({
        namespace: fc.constant(namespace),
        name: fc.constant(`${name}-a`),
        serviceName: fc.constant(name),
        addresses: fc.uniqueArray(word(...POD_ADDRESSES, ...OUTSIDE, ...OUTSIDE), { maxLength: 2 }),
        ports: few(
          fc.record({ name: word('', 'dns', ...ports.map((one) => one.name)), port: often<number | null>(53, word(80, 5353, null)), protocol: word<6 | 17>(17, 17, 6) }), 2, 0,
        ),
      }),
      { freq: selector === null || !('app' in selector) ? 5 : 2 },
    ),
  );
  return fc.tuple(...written).map((slices) => slices.filter((slice) => slice !== null));
}

/** Service default/kubernetes, whose addresses are the API server's. */
const apiServer = maybe(fc.uniqueArray(word(...API_SERVERS), { minLength: 1, maxLength: 2 })).map((addresses) => ({
  services: addresses === null ? [] : [{
    namespace: 'default', name: 'kubernetes', labels: {}, addresses: ['10.96.9.9'], selector: null,
    ports: [{ name: 'https', port: 80, protocol: 6 as const, targetPort: 5353 }],
  }],
  slices: addresses === null ? [] : [{
    namespace: 'default', name: 'kubernetes', serviceName: 'kubernetes', addresses, ports: [{ name: 'https', port: 5353, protocol: 6 as const }],
  }],
}));

const NAMESPACE_KEY = 'io.kubernetes.pod.namespace';
const NAMESPACE_LABEL = 'io.cilium.k8s.namespace.labels.';
/** Keys as people write them, with values that they may have. */
const LABEL_WORDS: readonly (readonly [key: string, values: readonly string[]])[] = [
  ['app', APPS], ['app', APPS], ['app', APPS], ['k8s:app', APPS], ['any:team', TEAMS], ['team', TEAMS],
  [NAMESPACE_KEY, SPACES], [`k8s:${NAMESPACE_KEY}`, SPACES], [`k8s:${NAMESPACE_KEY}`, SPACES], [`any:${NAMESPACE_KEY}`, SPACES],
  [`${NAMESPACE_LABEL}tier`, ['x', 'y']], [`k8s:${NAMESPACE_LABEL}tier`, ['x', 'y']],
  [`k8s:${NAMESPACE_LABEL}kubernetes.io/metadata.name`, SPACES],
  ['io.cilium.k8s.policy.serviceaccount', ACCOUNTS], ['k8s:io.cilium.k8s.policy.cluster', ['default', 'other']],
  ['reserved:host', ['']], ['reserved:remote-node', ['']], ['reserved:world', ['']], ['reserved:kube-apiserver', ['']], ['host', ['']],
];
const SUBJECT_WORDS = LABEL_WORDS.slice(0, 15);

function selectorOf(words: typeof LABEL_WORDS): Arbitrary<LabelSelector> {
  const label = word(...words).chain(([key, values]) => fc.tuple(fc.constant(key), word(...values)));
  const expression = fc.tuple(word(...words), word(...LABEL_OPERATORS)).chain(([[key, values], operator]) =>
    fc.record({
      key: fc.constant(key),
      operator: fc.constant(operator),
      values: operator === 'In' || operator === 'NotIn' ? fc.uniqueArray(word(...values), { minLength: 1, maxLength: 2 }) : fc.constant([]),
    }),
  );
  return fc.record({ matchLabels: often(1, word(0, 2), 2).chain((n) => few(label, n, n)).map((pairs) => Object.fromEntries(pairs)), matchExpressions: often([], few(expression, 2)) });
}

const nameSelector: Arbitrary<FqdnSelector> = fc.oneof(
  word(...EXACT).map((matchName) => ({ matchName, matchPattern: null })),
  word(...PATTERNS).map((matchPattern) => ({ matchName: null, matchPattern })),
);
const dnsEntry: Arbitrary<FqdnSelector> = fc.oneof(
  { weight: 8, arbitrary: nameSelector },
  { weight: 1, arbitrary: fc.constant({ matchName: null, matchPattern: null }) },
  { weight: 1, arbitrary: fc.record({ matchName: word(...EXACT), matchPattern: word(...PATTERNS) }) },
);
const range: Arbitrary<PortRange> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ first: word(...PORTS), span: word(0, 0, 0, 30, 6000), protocol: word<6 | 17 | 132 | null>(null, null, 17, 6, 132) }).map(
    ({ first, span, protocol }) => ({ first, last: first + span, protocol }),
  ) },
  { weight: 1, arbitrary: word<PortRange>({ first: 8, last: 8, protocol: 1 }, { first: 0, last: 255, protocol: 1 }, { first: 128, last: 129, protocol: 58 }) },
);
const namedPort = fc.record({ portName: word(...POD_PORT_NAMES, 'none'), protocol: word<6 | 17 | 132 | null>(null, null, 17, 6, 132) });
const portList = few(fc.oneof({ weight: 4, arbitrary: range }, { weight: 1, arbitrary: namedPort }), 2);

function portSpecs(dns: Arbitrary<FqdnSelector[] | null>): Arbitrary<PortSpec[] | null> {
  return fc.option(few(fc.record({ ports: portList, dns }), 2, 0), { freq: 4 }).map(
    (list) => list?.map((one, index) => ({ path: `toPorts[${index}]`, ...one })) ?? null,
  );
}

const cidr: Arbitrary<CidrSpec> = word(...CIDRS).chain(([text, within]) =>
  fc.record({ cidr: fc.constant(text), except: fc.subarray([...within]) }),
);
const serviceReference: Arbitrary<ServiceReference> = fc.oneof(
  fc.record({ namespace: maybe(word(...SPACES)), name: word('s0', 's1', 's2', 's3', 's4', 'kubernetes'), selector: fc.constant(null) }),
  fc.record({ namespace: maybe(word(...SPACES)), name: fc.constant(null), selector: selectorOf([['role', ['x', 'y']]]) }),
);

const endpointPeers = fc.record({ endpoints: few(selectorOf(LABEL_WORDS), 2, 0) });
const cidrPeers = fc.record({ cidrs: few(cidr, 2, 0) });
const entityPeers = fc.record({ entities: few(fc.oneof(word(...ENTITIES.slice(0, 8)), word(...ENTITIES)), 2, 0) });
const servicePeers = fc.record({ services: few(serviceReference, 2, 0) });
const fqdnPeers = fc.record({ fqdns: few(nameSelector, 2, 0) });
type Peers = Partial<RuleSpec>;

/** As Cilium admits them: one list of peers, or none. */
function ruleOf(peers: readonly Arbitrary<Peers>[], dns: Arbitrary<FqdnSelector[] | null>): Arbitrary<RuleSpec> {
  return fc.tuple(fc.oneof(fc.constant<Peers>({}), ...peers), portSpecs(dns)).map(([some, ports]): RuleSpec => ({
    endpoints: null, cidrs: null, entities: null, services: null, fqdns: null, ...some, ports,
  }));
}

/** Rules of a NetworkPolicy: pods and prefixes in one entry, any peer where there are none. */
const mixedPeers: Arbitrary<Peers> = fc.tuple(endpointPeers, cidrPeers).map(([one, other]) => ({ ...one, ...other }));
const noNames = fc.constant(null);
const names = fc.option(few(dnsEntry, 3, 0), { freq: 2 });
const peersOfEither = [endpointPeers, endpointPeers, cidrPeers, entityPeers, mixedPeers];
const egressRule = ruleOf([...peersOfEither, servicePeers, servicePeers, fqdnPeers], names);
const egressDenyRule = ruleOf([...peersOfEither, servicePeers], noNames);
const ingressRule = ruleOf(peersOfEither, noNames);

function directionOf(allow: Arbitrary<RuleSpec>, deny: Arbitrary<RuleSpec>): Arbitrary<DirectionSpec> {
  return fc.record({
    allow: fc.option(few(allow, 3, 0), { freq: 5 }),
    deny: fc.option(few(deny, 2, 0), { freq: 2 }),
    defaultDeny: often<boolean | null>(null, fc.boolean()),
  });
}

const spec = fc.record({
  path: fc.constant('spec'),
  endpointSelector: often<LabelSelector | null>({ matchLabels: {}, matchExpressions: [] }, fc.oneof({ weight: 9, arbitrary: selectorOf(SUBJECT_WORDS) }, { weight: 1, arbitrary: fc.constant(null) }), 1),
  egress: fc.oneof({ weight: 4, arbitrary: directionOf(egressRule, egressDenyRule) }, { weight: 1, arbitrary: fc.constant(NOTHING_SAID) }),
  ingress: fc.oneof({ weight: 1, arbitrary: directionOf(ingressRule, ingressRule) }, { weight: 1, arbitrary: fc.constant(NOTHING_SAID) }),
});

function policyAt(index: number): Arbitrary<PolicyObject> {
  const extensions = fc.record({
    queryTypes: fc.option(fc.subarray(TYPES, { minLength: 1 }), { freq: 2 }),
    denyFqdns: fc.option(few(nameSelector, 2, 0), { freq: 2 }),
    // A limit makes rules of a pod that is open, and changes no verdict.
    queryRate: often<number | null>(null, fc.constant(5)),
    grantScope: often<GrantScope | null>(null, word(...GRANT_SCOPES)),
  });
  return fc.record({ kind: word(...POLICY_KINDS), space: word(...SPACES), specs: few(spec, 2), extensions: often<Partial<PolicyExtensions>>({}, extensions, 2) }).map(
    ({ kind, space, specs, extensions: some }): PolicyObject => ({
      kind,
      namespace: kind === 'CiliumClusterwideNetworkPolicy' ? '' : space,
      name: `p${index}`,
      specs: specs.map((one, at) => ({ ...one, path: specs.length === 1 ? 'spec' : `specs[${at}]` })),
      extensions: { ...NO_EXTENSIONS, ...some },
    }),
  );
}

export const worlds: Arbitrary<World> = fc
  .record({
    namespaces,
    pods: fc.tuple(...PODS.map((_, index) => podAt(index))),
    exposed: services.chain((list) => fc.tuple(fc.constant(list), slicesOf(list))),
    api: apiServer,
    policies: fc.integer({ min: 1, max: POLICIES_MAX }).chain((count) => fc.tuple(...Array.from({ length: count }, (_, index) => policyAt(index)))),
    mode: often<World['mode']>('default', word('always', 'never'), 9),
  })
  .map(({ exposed: [list, slices], api, mode, ...objects }) => ({
    objects: { ...objects, services: [...list, ...api.services], endpointSlices: [...slices, ...api.slices] },
    nodeName: NODE,
    mode,
  }));

const servers = word(...POD_ADDRESSES, ...OUTSIDE, ...SERVICE_ADDRESSES.flat(), '10.96.0.1', '10.96.0.2', '10.96.9.9');

export const questions: Arbitrary<Question> = fc.record({
  from: often(LOCAL_ADDRESSES[0], word(...LOCAL_ADDRESSES, ...LOCAL_ADDRESSES, ...POD_ADDRESSES, OUTSIDE[0]), 1),
  server: servers,
  port: word(...PORTS),
  protocol: word<6 | 17>(17, 17, 6),
  name: word(...NAMES),
  type: word(...TYPES),
});

export const connections: Arbitrary<Connection> = fc.record({
  from: word(...LOCAL_ADDRESSES, ...POD_ADDRESSES, ...OUTSIDE.slice(0, 3)),
  to: fc.oneof(servers, word(...LOCAL_ADDRESSES)),
  port: fc.constant(0),
  protocol: word<Connection['protocol']>(6, 6, 17, 17, 132, 1, 58),
  name: maybe(word(...NAMES)),
}).chain((one) =>
  (one.protocol === 1 || one.protocol === 58 ? word(0, 8, 128) : word(...PORTS)).map((port) => ({ ...one, port })),
);
