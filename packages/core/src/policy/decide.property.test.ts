import fc from 'fast-check';
import t from 'tap';
import { QueryView, nameFromString, scanName } from '@tandem/dns';
import { wordsOfAddress } from './address-table.js';
import { compileSnapshot } from './compile.js';
import { ALLOW_NO_POLICY, DENY, PolicyIndex } from './decide.js';
import { ANY_PEER, NO_EXTENSIONS, NO_OBJECTS, NOTHING_SAID, type RuleSpec, type PodObject, type PolicyObject, type PolicyObjects, type ServiceObject } from './objects.js';

const RUNS = 4000;
const QUERIES = 40;
const APPS = ['web', 'dns', 'db'];
const SPACES = ['one', 'two'];
const PATTERNS = ['*', '*.io.', '**.io.', 'a.io.', 'a*.io.', '*.a.io.', '*.*.io.'];
const NAMES = ['.', 'io.', 'a.io.', 'ab.io.', 'b.a.io.', 'A.B.io.', 'x\\032.io.', 'com.'];
const PORTS = [53, 5353, 1053];
const ADDRESSES = Array.from({ length: 6 }, (_, i) => `10.0.0.${i + 1}`);
const SERVICES = ['10.96.0.1', '10.96.0.2'];
const WORLD = '8.8.8.8';

const pods = fc
  .tuple(...ADDRESSES.map((address, i) => fc.record({ space: fc.constantFrom(...SPACES), app: fc.constantFrom(...APPS), local: fc.boolean() }).map(
    ({ space, app, local }): PodObject => ({
      namespace: space, name: `p${i}`, uid: null, labels: { app }, nodeName: local ? 'n' : 'm', hostNetwork: false, serviceAccount: null, phase: null, addresses: [address], ports: [],
    }),
  )));
const selector = fc.record({ app: fc.option(fc.constantFrom(...APPS)), space: fc.option(fc.constantFrom(...SPACES)) }).map(({ app, space }) => ({
  matchLabels: { ...(app === null ? {} : { app }), ...(space === null ? {} : { 'k8s:io.kubernetes.pod.namespace': space }) },
  matchExpressions: [],
}));
const port = fc.record({ first: fc.constantFrom(...PORTS), span: fc.constantFrom(0, 0, 300), protocol: fc.constantFrom<6 | 17 | null>(null, 6, 17) }).map(
  ({ first, span, protocol }) => ({ first, last: first + span, protocol }),
);
const names = fc.array(fc.constantFrom(...PATTERNS).map((text) => text.includes('*') ? { matchName: null, matchPattern: text } : { matchName: text, matchPattern: null }), { minLength: 1, maxLength: 3 });
const egress = fc.record({
  endpoints: fc.option(fc.array(selector, { maxLength: 2 })),
  ports: fc.option(fc.array(fc.record({ path: fc.constant('toPorts[0]'), ports: fc.array(port, { minLength: 1, maxLength: 2 }), dns: fc.option(names) }), { maxLength: 2 })),
  fqdn: fc.boolean(),
}).map(({ endpoints, ports, fqdn }): RuleSpec =>
  fqdn ? { ...ANY_PEER, fqdns: [{ matchName: 'a.io.', matchPattern: null }], ports } : { ...ANY_PEER, endpoints, ports });
const policy = fc.record({ space: fc.constantFrom(...SPACES, ''), subject: fc.option(fc.constantFrom(...APPS)), rules: fc.option(fc.array(egress, { maxLength: 3 })) });
const policies = fc.array(policy, { maxLength: 4 }).map((list) => list.map(({ space, subject, rules }, i): PolicyObject => ({
  kind: space === '' ? 'CiliumClusterwideNetworkPolicy' : 'CiliumNetworkPolicy', namespace: space, name: `p${i}`,
  specs: [{ path: 'spec', endpointSelector: { matchLabels: subject === null ? {} : { app: subject }, matchExpressions: [] }, egress: { allow: rules, deny: null, defaultDeny: null }, ingress: NOTHING_SAID }],
  extensions: NO_EXTENSIONS,
})));
const services = fc.tuple(...SERVICES.map((address, i) => fc.record({ space: fc.constantFrom(...SPACES), app: fc.constantFrom(...APPS), target: fc.constantFrom(...PORTS) }).map(
  ({ space, app, target }): ServiceObject => ({
    namespace: space, name: `s${i}`, labels: {}, addresses: [address], ports: [{ name: '', port: 53, protocol: 17, targetPort: target }], selector: { app },
  }),
)));
const query = fc.record({
  from: fc.constantFrom(...ADDRESSES), server: fc.constantFrom(...ADDRESSES, ...SERVICES, WORLD), port: fc.constantFrom(...PORTS, 5500),
  protocol: fc.constantFrom(6, 17), name: fc.constantFrom(...NAMES),
});
interface Query { from: string; server: string; port: number; protocol: number; name: string }

t.test('decide agrees with a plain reading of the objects, by loops and regular expressions', (t) => {
  const view = new QueryView();
  const seen = { allowed: 0, denied: 0, free: 0 };
  fc.assert(
    fc.property(pods, policies, services, fc.array(query, { minLength: QUERIES, maxLength: QUERIES }), (podList, policyList, serviceList, queries) => {
      const objects: PolicyObjects = { ...NO_OBJECTS, pods: podList, policies: policyList, services: serviceList };
      const { snapshot } = compileSnapshot(objects, { nodeName: 'n', enablePolicy: 'default', allotment: null, revision: 1 });
      const index = PolicyIndex.build(snapshot, null);
      for (const one of queries) {
        const row = index.endpointAt(wordsOfAddress(one.from), 0);
        const isLocal = podList.find((pod) => pod.addresses[0] === one.from)?.nodeName === 'n';
        if (row >= 0 !== isLocal) throw new Error('endpoint');
        if (row < 0) continue;
        const wire = nameFromString(one.name)!;
        scanName(wire, 0, wire.length, view);
        const got = index.decide(row, index.serverAt(wordsOfAddress(one.server), 0), one.port, one.protocol, wire, view);
        const verdict = got === ALLOW_NO_POLICY ? 'free' : got === DENY ? 'denied' : 'allowed';
        const expected = plainVerdict(objects, one);
        seen[expected]++;
        if (verdict !== expected) throw new Error(`${JSON.stringify(one)}: ${verdict}, expected ${expected}`);
      }
    }),
    { numRuns: RUNS },
  );
  t.ok(seen.allowed > 1000 && seen.denied > 1000 && seen.free > 1000, JSON.stringify(seen));
  t.end();
});

function plainVerdict(objects: PolicyObjects, { from, server, port: asked, protocol, name }: Query): 'free' | 'allowed' | 'denied' {
  const me = objects.pods.find((pod) => pod.addresses[0] === from)!;
  const mine = objects.policies.flatMap((one) =>
    one.specs.filter((spec) => (one.namespace === '' || one.namespace === me.namespace) && spec.egress.allow !== null &&
      Object.entries(spec.endpointSelector!.matchLabels).every(([key, value]) => me.labels[key] === value))
      .map((spec) => ({ space: one.namespace, egress: spec.egress.allow! })));
  if (mine.length === 0) return 'free';
  const rules = mine.flatMap(({ space, egress: list }) => list.map((rule) => ({ space, rule })));
  const allows = (pod: PodObject | null, ports: readonly number[]): boolean =>
    rules.some(({ space, rule }) => ruleAllows(rule, { space, pod, ports, protocol, name }));
  const service = objects.services.find(({ addresses }) => addresses[0] === server);
  if (service === undefined) return allows(objects.pods.find((pod) => pod.addresses[0] === server) ?? null, [asked]) ? 'allowed' : 'denied';
  const entry = service.ports.find((one) => one.port === asked && one.protocol === protocol);
  const backends = entry === undefined ? [] : objects.pods.filter((pod) => pod.namespace === service.namespace && pod.labels.app === service.selector!.app);
  if (backends.length === 0) return allows(null, [asked]) ? 'allowed' : 'denied';
  return backends.every((pod) => allows(pod, [asked, entry!.targetPort as number])) ? 'allowed' : 'denied';
}

interface Asked { space: string; pod: PodObject | null; ports: readonly number[]; protocol: number; name: string }

function ruleAllows(rule: RuleSpec, { space, pod, ports, protocol, name }: Asked): boolean {
  if (rule.fqdns !== null) return false;
  if (rule.endpoints === null && (rule.ports === null || rule.ports.length === 0)) return false;
  if (rule.endpoints !== null) {
    if (pod === null) return false;
    const selected = rule.endpoints.some(({ matchLabels }) => {
      const wanted = matchLabels['k8s:io.kubernetes.pod.namespace'] ?? space;
      return (wanted === '' || wanted === pod.namespace) && (matchLabels.app === undefined || matchLabels.app === pod.labels.app);
    });
    if (!selected) return false;
  }
  if (rule.ports === null || rule.ports.length === 0) return true;
  return rule.ports.some(({ ports: ranges, dns }) =>
    ranges.some((range) => 'first' in range && (range.protocol === null || range.protocol === protocol) && ports.some((one) => one >= range.first && one <= range.last)) &&
    (dns === null || dns.some(({ matchName, matchPattern }) => nameMatches((matchName ?? matchPattern)!, name))));
}

function nameMatches(pattern: string, name: string): boolean {
  if (/^\*+\.?$/.test(pattern)) return true;
  const source = pattern.replace(/\./g, '[.]').replace(/^\*\*\[\.\]/, '(?:[-\\w]+[.])#').replace(/\*/g, '[-\\w]*').replace('#', '+');
  return new RegExp(`^${source}$`).test(name.toLowerCase());
}
