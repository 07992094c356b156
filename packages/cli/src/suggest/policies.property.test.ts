/** What was suggested, compiled as the agent would do it, allows each query that was seen, and no other. */
import fc from 'fast-check';
import t from 'tap';
import { compileSnapshot, PolicyIndex, PROTOCOL, trace } from '@tandem/core';
import { loadManifests } from '@tandem/manifests';
import { Verdict } from '@tandem/proto';
import { dnsFlow } from '../testing/fake-observer.js';
import { policiesFor, type Manifest } from './policies.js';
import { Seen } from './seen.js';

const A = 1;
const SERVER = '10.0.0.53';
const LABEL = fc.stringMatching(/^[a-z_]([-a-z0-9_]{0,6}[a-z0-9])?$/);
const NAME = fc.array(LABEL, { minLength: 1, maxLength: 4 }).map((labels) => `${labels.join('.')}.`);
const PODS = [0, 1, 2].map((i) => ({ name: `web-${i}-abc`, namespace: i === 2 ? 'pay' : 'shop', app: `app-${i}`, address: `10.0.0.${i + 1}` }));

interface Query {
  readonly pod: number;
  readonly name: string;
  readonly verdict: Verdict;
  readonly isAnswered: boolean;
}

const QUERY: fc.Arbitrary<Query> = fc.record({ pod: fc.nat(PODS.length - 1), name: NAME, verdict: fc.constantFrom(Verdict.DROPPED, Verdict.AUDIT, Verdict.FORWARDED), isAnswered: fc.boolean() });

function seenOf(queries: readonly Query[]): Seen {
  const seen = new Seen({ verdicts: new Set([Verdict.DROPPED, Verdict.AUDIT]), namespaces: null });
  for (const { pod, name, verdict, isAnswered } of queries) {
    const { name: podName, namespace, app } = PODS[pod];
    const client = { namespace, podName, labels: [`k8s:app=${app}`, `k8s:io.kubernetes.pod.namespace=${namespace}`, 'k8s:pod-template-hash=abc'] };
    const query = dnsFlow({ name, verdict });
    seen.add({ ...query, source: { ...query.source!, ...client } });
    if (!isAnswered || verdict === Verdict.DROPPED) continue;
    const answer = dnsFlow({ name, ips: ['192.0.2.1'] });
    seen.add({ ...answer, destination: { ...answer.destination!, ...client } });
  }
  return seen;
}

function indexOf(policies: readonly Manifest[]): PolicyIndex {
  const pod = (namespace: string, name: string, labels: object, address: string): object => ({
    apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name, labels }, spec: { nodeName: 'n' }, status: { podIP: address },
  });
  const items = [
    ...['shop', 'pay', 'kube-system'].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })),
    ...PODS.map(({ namespace, name, app, address }) => pod(namespace, name, { app, 'pod-template-hash': 'abc' }, address)),
    pod('kube-system', 'kube-dns-1', { 'k8s-app': 'kube-dns' }, SERVER), ...policies,
  ];
  const { objects, problems } = loadManifests([{ path: 'world', text: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }) }]);
  if (objects === null) throw new Error(problems.map(({ message }) => message).join('; '));
  return PolicyIndex.build(compileSnapshot(objects, { nodeName: 'n', enablePolicy: 'default', allotment: null, revision: 1 }).snapshot, null);
}

function verdictOf(index: PolicyIndex, pod: number, name: string, protocol: number = PROTOCOL.udp): string {
  const { namespace, name: podName } = PODS[pod];
  return trace(index, { from: `${namespace}/${podName}`, server: SERVER, port: 53, protocol, name, type: A } as Parameters<typeof trace>[1]).verdict;
}

for (const generalizes of [false, true]) {
  t.test(`what was refused is allowed by the policies${generalizes ? ', also by patterns' : ', and nothing else'}`, (t) => {
    fc.assert(fc.property(fc.array(QUERY, { maxLength: 12 }), fc.array(NAME, { maxLength: 6 }), (queries, others) => {
      const policies = policiesFor(seenOf(queries), { generalizes, opensAddresses: true });
      const index = indexOf(policies);
      const wanted = queries.filter(({ verdict }) => verdict !== Verdict.FORWARDED);
      for (const { pod, name } of wanted) {
        if (verdictOf(index, pod, name) !== 'allowed' || verdictOf(index, pod, name, PROTOCOL.tcp) !== 'allowed') throw new Error(`${name} is not allowed`);
      }
      for (const pod of new Set(wanted.map((query) => query.pod))) {
        for (const name of [...others, ...queries.map((query) => query.name)]) {
          const own = wanted.filter((query) => query.pod === pod).map((query) => query.name);
          if (own.includes(name) || (generalizes && isSibling(name, own))) continue;
          if (verdictOf(index, pod, name) !== 'refused') throw new Error(`${name} is allowed to pod ${pod}, which did not ask for it`);
        }
      }
    }), { numRuns: 150 });
    t.end();
  });
}

/** Of a family: another name has the same parent of two labels or more. */
function isSibling(name: string, own: readonly string[]): boolean {
  const parent = name.split('.').slice(1).join('.');
  return parent.split('.').length > 2 && new Set(own.filter((one) => one.split('.').slice(1).join('.') === parent)).size > 1;
}
