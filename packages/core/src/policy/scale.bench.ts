/**
 * What a node pays for pods of other nodes that its policies name by labels, and for backends of Services: a full compile, one change,
 * what the other member does with the snapshot, the snapshot's size, and the memory that all of it keeps. docs/scaling.md counts with it.
 * Milliseconds are of the thread's CPU. Run: npm run bench:scale
 */
import { createHash } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { SnapshotCompiler, type CompileResult } from './compile.js';
import { PolicyIndex } from './decide.js';
import {
  ANY_PEER, type EndpointSliceObject, type LabelSelector, NO_EXTENSIONS, NO_OBJECTS, NOTHING_SAID, type PodObject, type PolicyObject, type PolicyObjects, type ServiceObject,
} from './objects.js';
import type { Sha256 } from './snapshot-hash.js';
import { validateSnapshot } from './validate.js';

const NODE = 'n';
const LOCAL_PODS = 100;
const POLICIES = 200;
const NAMES = 20;
/** Of the pods elsewhere: pods with the same labels. */
const PODS_PER_APP = 50;
const REMOTE_PODS = [0, 1_000, 10_000, 50_000] as const;
/** Services, and backends of each. */
const SERVICES = [[1_000, 10], [5_000, 10], [5_000, 100]] as const;
const CHANGES = 10;

const sha256: Sha256 = (texts) => {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(text, 'utf8');
  return hash.digest('hex');
};

interface Built {
  readonly result: CompileResult;
  readonly index: PolicyIndex;
}

for (const remote of REMOTE_PODS) {
  report(`${remote} pods elsewhere, one more`, () => source(remote), (objects, n) => ({ ...objects, pods: [...objects.pods, remotePod(remote + n)] }));
}
for (const [services, backends] of SERVICES) {
  report(`${services} Services of ${backends} backends, one slice changes`, () => withServices(source(0), services, backends), (objects, n) => ({
    ...objects, endpointSlices: objects.endpointSlices.map((slice, i) => (i === n ? sliceOf(i, backends - 1) : slice)),
  }));
}

function report(what: string, sourceOf: () => PolicyObjects, change: (objects: PolicyObjects, n: number) => PolicyObjects): void {
  const emptyMb = keptMb();
  let objects = sourceOf();
  const objectsMb = keptMb() - emptyMb;
  const compiler = new SnapshotCompiler(sha256);
  let built: Built | null = null;
  const fullMs = milliseconds(() => (built = build(compiler, objects, null)));
  const keptOverMb = keptMb() - emptyMb;
  const changeMs: number[] = [];
  for (let n = 0; n < CHANGES; n++) {
    objects = change(objects, n);
    changeMs.push(milliseconds(() => (built = build(compiler, objects, built))));
  }
  const { snapshot } = built!.result;
  let text = '';
  const tellMs = milliseconds(() => (text = JSON.stringify(snapshot)));
  let index = PolicyIndex.build(snapshot, null);
  const takeMs = milliseconds(() => {
    index = PolicyIndex.build(validateSnapshot(JSON.parse(text), sha256), index);
  });
  process.stdout.write(
    `${what}: ${median(changeMs).toFixed(0)} ms here, ${(tellMs + takeMs).toFixed(0)} ms to tell and take it; from nothing ${fullMs.toFixed(0)} ms; ` +
    `snapshot ${(text.length / 1e6).toFixed(1)} MB, objects ${objectsMb.toFixed(1)} MB, all of it ${keptOverMb.toFixed(1)} MB\n`,
  );
}

function build(compiler: SnapshotCompiler, objects: PolicyObjects, before: Built | null): Built {
  const result = compiler.compile(objects, { nodeName: NODE, enablePolicy: 'default', allotment: before?.result.allotment ?? null, revision: 1 });
  return { result, index: PolicyIndex.build(result.snapshot, before?.index ?? null) };
}

function source(remote: number): PolicyObjects {
  const dns = { ...remotePod(0), namespace: 'kube-system', name: 'dns', labels: { 'k8s-app': 'kube-dns' }, addresses: ['10.255.0.1'] };
  return {
    ...NO_OBJECTS,
    pods: [dns, ...Array.from({ length: LOCAL_PODS }, (_, i) => localPod(i)), ...Array.from({ length: remote }, (_, i) => remotePod(i))],
    policies: Array.from({ length: POLICIES }, (_, i) => policy(i, Math.ceil(remote / PODS_PER_APP))),
  };
}

function withServices(objects: PolicyObjects, services: number, backends: number): PolicyObjects {
  return {
    ...objects,
    services: Array.from({ length: services }, (_, i): ServiceObject => ({
      namespace: `ns${i % 10}`, name: `svc${i}`, labels: {}, addresses: [`10.96.${i >> 8}.${i & 255}`],
      ports: [{ name: 'http', port: 80, protocol: 6, targetPort: 8080 }], selector: { app: `svc${i}` },
    })),
    endpointSlices: Array.from({ length: services }, (_, i) => sliceOf(i, backends)),
  };
}

function sliceOf(i: number, backends: number): EndpointSliceObject {
  const addresses = Array.from({ length: backends }, (_, n) => {
    const at = i * backends + n;
    return `10.${128 + (at >> 16)}.${(at >> 8) & 255}.${at & 255}`;
  });
  return { namespace: `ns${i % 10}`, name: `svc${i}-1`, serviceName: `svc${i}`, addresses, ports: [{ name: 'http', port: 8080, protocol: 6 }] };
}

function localPod(i: number): PodObject {
  return { ...remotePod(i), namespace: `ns${i % 10}`, name: `local${i}`, labels: { app: `a${i % 20}` }, nodeName: NODE, addresses: [`10.1.${i >> 8}.${i & 255}`] };
}

function remotePod(i: number): PodObject {
  return {
    namespace: 'far', name: `far${i}`, uid: null, labels: { app: `far${Math.floor(i / PODS_PER_APP)}` }, nodeName: 'elsewhere', hostNetwork: false,
    serviceAccount: null, phase: null, addresses: [`10.${64 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`], ports: [],
  };
}

/** Names to ask for, and pods elsewhere to connect to: all policies together name all of them. */
function policy(i: number, apps: number): PolicyObject {
  const names = Array.from({ length: NAMES }, (_, n) => ({ matchName: `n${n}.p${i}.example.`, matchPattern: null }));
  const select = (namespace: string, labels: Record<string, string>): LabelSelector => ({ matchLabels: { 'k8s:io.kubernetes.pod.namespace': namespace, ...labels }, matchExpressions: [] });
  const far = Array.from({ length: apps }, (_, app) => app).filter((app) => app % POLICIES === i).map((app) => select('far', { app: `far${app}` }));
  const dns = { ...ANY_PEER, endpoints: [select('kube-system', { 'k8s-app': 'kube-dns' })], ports: [{ path: 'toPorts[0]', ports: [{ first: 53, last: 53, protocol: null }], dns: names }] };
  const allow = [dns, { ...ANY_PEER, fqdns: names }, ...(far.length === 0 ? [] : [{ ...ANY_PEER, endpoints: far }])];
  return {
    kind: 'CiliumNetworkPolicy', namespace: `ns${i % 10}`, name: `p${i}`, extensions: NO_EXTENSIONS,
    specs: [{ path: 'spec', endpointSelector: { matchLabels: { app: `a${i % 20}` }, matchExpressions: [] }, egress: { allow, deny: null, defaultDeny: null }, ingress: NOTHING_SAID }],
  };
}

function keptMb(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return (heapUsed + arrayBuffers) / 1e6;
}

function milliseconds(work: () => void): number {
  const before = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}
