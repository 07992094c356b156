/**
 * What a node pays for pods of other nodes that its policies name by labels: a full compile, one pod that comes, what the other member does
 * with the snapshot, the snapshot's size, and the memory that all of it keeps. docs/scaling.md counts with it.
 * Milliseconds are of the thread's CPU. Run: npm run bench:scale
 */
import { createHash } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { SnapshotCompiler, type CompileResult } from './compile.js';
import { PolicyIndex } from './decide.js';
import { ANY_PEER, type LabelSelector, NO_EXTENSIONS, NO_OBJECTS, NOTHING_SAID, type PodObject, type PolicyObject, type PolicyObjects } from './objects.js';
import type { Snapshot } from './snapshot.js';
import type { Sha256 } from './snapshot-hash.js';
import { validateSnapshot } from './validate.js';

const NODE = 'n';
const LOCAL_PODS = 100;
const POLICIES = 200;
const NAMES = 20;
/** Of the pods elsewhere: pods with the same labels. */
const PODS_PER_APP = 50;
const REMOTE_PODS = [0, 1_000, 10_000, 50_000] as const;
const ARRIVALS = 10;

const sha256: Sha256 = (texts) => {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(text, 'utf8');
  return hash.digest('hex');
};

interface Built {
  readonly result: CompileResult;
  readonly index: PolicyIndex;
}

for (const remote of REMOTE_PODS) report(remote);

function report(remote: number): void {
  const emptyMb = keptMb();
  let objects = source(remote);
  const objectsMb = keptMb() - emptyMb;
  const compiler = new SnapshotCompiler(sha256);
  let built: Built | null = null;
  const fullMs = milliseconds(() => (built = build(compiler, objects, null)));
  const keptOverMb = keptMb() - emptyMb;
  const arrivalMs: number[] = [];
  for (let n = 0; n < ARRIVALS; n++) {
    objects = { ...objects, pods: [...objects.pods, remotePod(remote + n)] };
    arrivalMs.push(milliseconds(() => (built = build(compiler, objects, built))));
  }
  const { snapshot } = built!.result;
  let text = '';
  const tellMs = milliseconds(() => (text = JSON.stringify(snapshot)));
  let received: Snapshot | null = null;
  let index = PolicyIndex.build(snapshot, null);
  const firstMs = milliseconds(() => {
    received = validateSnapshot(JSON.parse(text), sha256);
    index = PolicyIndex.build(received, index);
  });
  process.stdout.write(
    `${remote} pods elsewhere: compile ${fullMs.toFixed(0)} ms, one more pod ${median(arrivalMs).toFixed(0)} ms here, ${(tellMs + firstMs).toFixed(0)} ms to tell and take it; ` +
    `snapshot ${(text.length / 1e6).toFixed(2)} MB, objects ${objectsMb.toFixed(1)} MB, all of it ${keptOverMb.toFixed(1)} MB\n`,
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
