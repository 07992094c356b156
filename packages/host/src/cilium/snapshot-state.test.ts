/** What is told of a snapshot is read back as another proxy would, and must judge as the snapshot does, or refuse. */
import {
  ANY_PEER, type CidrSpec, compileSnapshot, type LabelSelector, NO_EXTENSIONS, NO_OBJECTS, NOTHING_SAID, type PodObject, type PolicyExtensions, PolicyIndex, type PolicyObjects, type RuleSpec, type Snapshot, trace,
} from '@tandem/core';
import { fqdnPb } from '@tandem/proto';
import t from 'tap';
import { snapshotOfState } from './policy-state.js';
import { stateOfSnapshot } from './snapshot-state.js';

const labels = (app: string): LabelSelector[] => [{ matchLabels: { app }, matchExpressions: [] }];
const pod = (name: string, address: string, nodeName: string): PodObject => ({
  namespace: 'one', name, uid: null, labels: { app: name }, nodeName, hostNetwork: false, serviceAccount: null, phase: null, addresses: [address], ports: [],
});
const dns = (patterns: readonly string[], peers: Partial<RuleSpec>, port = 53): RuleSpec => ({
  ...ANY_PEER, ...peers,
  ports: [{ path: 'toPorts[0]', ports: [{ first: port, last: port, protocol: null }], dns: patterns.map((text) => ({ matchName: null, matchPattern: text === '*' ? text : `${text}.` })) }],
});
const open: RuleSpec = { ...ANY_PEER, ports: null };
const cidr = (text: string, except: readonly string[] = []): CidrSpec => ({ cidr: text, except });

interface Said {
  readonly allow: readonly RuleSpec[] | null;
  readonly deny?: readonly RuleSpec[];
  readonly defaultDeny?: boolean;
  readonly extensions?: Partial<PolicyExtensions>;
}

function compile(said: Said): Snapshot {
  const objects: PolicyObjects = {
    ...NO_OBJECTS,
    pods: [pod('a', '10.0.0.1', 'n'), pod('free', '10.0.0.2', 'n'), pod('dns', '10.1.0.53', 'm'), pod('other', '10.1.0.54', 'm'), pod('x', '10.1.0.60', 'm'), pod('y', '10.1.0.60', 'm')],
    services: ['dns', 'other', null].map((app, i) => ({
      namespace: 'one', name: app ?? 'outside', labels: {}, addresses: [`10.96.0.${10 + i}`], ports: [{ name: '', port: 53, protocol: 17, targetPort: null }], selector: app === null ? null : { app },
    })),
    endpointSlices: [{ namespace: 'one', name: 's', serviceName: 'outside', addresses: ['192.0.2.53'], ports: [{ name: '', port: 53, protocol: 17 }] }],
    policies: [{
      kind: 'CiliumNetworkPolicy', namespace: 'one', name: 'p', extensions: { ...NO_EXTENSIONS, ...said.extensions },
      specs: [{ path: 'spec', endpointSelector: labels('a')[0], ingress: NOTHING_SAID, egress: { allow: said.allow, deny: said.deny ?? null, defaultDeny: said.defaultDeny ?? null } }],
    }],
  };
  return compileSnapshot(objects, { nodeName: 'n', enablePolicy: 'default', allotment: null, revision: 3 }).snapshot;
}

const FROM = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];
const SERVERS = ['10.1.0.53', '10.1.0.54', '10.1.0.60', '10.96.0.10', '10.96.0.11', '10.96.0.12', '8.8.8.8', '192.0.2.53', '192.0.3.53', '2001:db8::53'];
const NAMES = ['a.test', 'x.a.test', 'b.test'];

/** Every question, as `from server port protocol name`, that this side allows. */
function allowed(snapshot: Snapshot): Set<string> {
  const index = PolicyIndex.build(snapshot, null);
  const found = new Set<string>();
  for (const from of FROM) for (const server of SERVERS) for (const port of [53, 5353]) for (const protocol of [6, 17] as const) for (const name of NAMES) {
    if (trace(index, { from, server, port, protocol, name, type: 1 }).verdict === 'allowed') found.add([from, server, port, protocol, name].join(' '));
  }
  return found;
}

function toldOf(snapshot: Snapshot): Snapshot {
  const bytes = fqdnPb.PolicyState.encode(stateOfSnapshot(snapshot, Infinity)!).finish();
  return snapshotOfState(fqdnPb.PolicyState.decode(bytes), { nodeName: 'n', revision: 1 });
}

/** A question at a port that no rule names is not told of, nor one over a Service port that leads nowhere. */
const isTold = (question: string): boolean => !question.includes(' 5353 ');
const ofA = (question: string): boolean => question.startsWith('10.0.0.1 ');

/** What the policy says, and whether a proxy that is told of it allows the pod all that the snapshot does. */
const POLICIES: readonly (readonly [string, Said, 'the same' | 'less'])[] = [
  ['nothing', { allow: null }, 'less'],
  ['names at one server', { allow: [dns(['*.a.test'], { endpoints: labels('dns') })] }, 'the same'],
  ['other names at another', { allow: [dns(['a.test'], { endpoints: labels('dns') }), dns(['b.test'], { endpoints: labels('other') })] }, 'the same'],
  ['names anywhere', { allow: [dns(['a.test'], {})] }, 'less'],
  ['names in a prefix with a hole', { allow: [dns(['*'], { cidrs: [cidr('192.0.2.0/23', ['192.0.3.0/24'])] })] }, 'the same'],
  ['the world', { allow: [dns(['b.test'], { entities: ['world'] })] }, 'the same'],
  ['the world, but for a prefix', { allow: [dns(['*'], { entities: ['world'] })], deny: [{ ...ANY_PEER, cidrs: [cidr('192.0.2.0/24')], ports: null }] }, 'the same'],
  ['everything, but for a prefix', { allow: [open], deny: [{ ...ANY_PEER, cidrs: [cidr('192.0.2.0/24')], ports: null }] }, 'less'],
  ['a Service', { allow: [dns(['*'], { services: [{ namespace: 'one', name: 'dns', selector: null }] })] }, 'the same'],
  ['a server without names', { allow: [{ ...open, endpoints: labels('dns') }] }, 'the same'],
  ['one server denied', { allow: [open], deny: [{ ...open, endpoints: labels('other') }] }, 'less'],
  ['only names to connect to', { allow: [{ ...ANY_PEER, fqdns: [{ matchName: 'a.test.', matchPattern: null }], ports: null }] }, 'the same'],
  ['nothing closed, names at one server', { allow: [dns(['a.test'], { endpoints: labels('dns') })], defaultDeny: false }, 'less'],
  ['types of names', { allow: [dns(['a.test'], { endpoints: labels('dns') })], extensions: { queryTypes: [1] } }, 'less'],
  ['denied names', { allow: [dns(['*'], { endpoints: labels('dns') })], extensions: { denyFqdns: [{ matchName: 'b.test.', matchPattern: null }] } }, 'less'],
  ['a limit', { allow: [dns(['*'], { endpoints: labels('dns') })], extensions: { queryRate: 5, limitAction: 'refuse' } }, 'less'],
  ['a limit that is only counted', { allow: [dns(['*'], { endpoints: labels('dns') })], extensions: { queryRate: 5, limitAction: 'audit' } }, 'the same'],
];

for (const [what, said, extent] of POLICIES) {
  t.test(`told of ${what}, a proxy allows ${extent}`, (t) => {
    const snapshot = compile(said);
    const [own, told] = [allowed(snapshot), allowed(toldOf(snapshot))];
    t.strictSame([...told].filter((question) => !own.has(question)), [], 'never more');
    if (extent === 'the same') t.strictSame([...own].filter((question) => isTold(question) && ofA(question) && !told.has(question)), []);
    t.ok(told.has('10.0.0.2 10.1.0.53 53 17 b.test'), 'a pod that no policy closes may ask');
    t.notOk([...told].some((question) => question.startsWith('10.0.0.3 ')), 'a stranger may not');
    t.end();
  });
}

t.test('the state has the numbers of the snapshot', (t) => {
  const snapshot = compile({ allow: [dns(['a.test'], { endpoints: labels('dns') })] });
  const state = stateOfSnapshot(snapshot, Infinity)!;
  for (const { id, identity, addresses } of snapshot.endpoints) {
    const info = state.identityToEndpointMapping.find((one) => one.identity === identity)?.endpointInfo.find((one) => one.id === BigInt(id));
    t.strictSame(info?.ip.map((bytes) => [...bytes].join('.')), addresses);
  }
  t.end();
});

t.test('rows that are too long in sum are not put together', (t) => {
  const snapshot = compile({ allow: [dns(['a.test'], {})] });
  const { egressL7DnsPolicy } = stateOfSnapshot(snapshot, Infinity)!;
  const bytes = egressL7DnsPolicy.reduce((sum, row) => sum + fqdnPb.DNSPolicy.encode({ ...row, sourceEndpointId: 1 }).finish().length, 0);
  t.ok(stateOfSnapshot(snapshot, bytes));
  t.equal(stateOfSnapshot(snapshot, bytes - 1), null);
  t.end();
});
