/**
 * What a policy source of some size costs: a full compile, the edit of one policy, what the other member does with a snapshot, the
 * memory that a compiler, its snapshot and its index keep, and how much dearer a query is under 10,000 patterns than under one.
 * Milliseconds are of the thread's CPU. Run: npm run bench:policy
 */
import { createHash } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { QueryView, nameFromString, scanName } from '@tandem/dns';
import { wordsOfAddress } from './address-table.js';
import { SnapshotCompiler, type CompileOptions, type CompileResult } from './compile.js';
import { PolicyIndex } from './decide.js';
import type { Sha256 } from './snapshot-hash.js';
import { ANY_PEER, NO_EXTENSIONS, NO_OBJECTS, NOTHING_SAID, type PodObject, type PolicyObject, type PolicyObjects } from './objects.js';
import { validateSnapshot } from './validate.js';

const POLICIES = 1000;
const PODS = 500;
const NAMES = 50;
const NAMESPACES = 10;
const DNS_SERVER = '10.255.0.1';
const COMPILES = 5;
const EDITS = 50;

const PATTERNS = [1, 10_000] as const;
const QUERY_NAMES = 1024;
const QUERY_ROUNDS = 100;
const QUERY_REPEATS = 7;
/** Prime, so that names come from all over the set. */
const STRIDE = 7919;

/** The host's, which core may not import. */
const sha256: Sha256 = (texts) => {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(text, 'utf8');
  return hash.digest('hex');
};

const OPTIONS: CompileOptions = { nodeName: 'n', enablePolicy: 'default', allotment: null, revision: 1 };

/** Into how many groups the pods of a namespace fall: a policy selects one of them. */
const shapes: Readonly<Record<string, number>> = { 'two policies per pod': 50, 'twenty policies per pod': 5 };

for (const [shape, groups] of Object.entries(shapes)) report(shape, groups);
reportQueries();

function report(shape: string, groups: number): void {
  let objects = source(groups);
  const fullMs: number[] = [];
  for (let i = 0; i < COMPILES; i++) fullMs.push(milliseconds(() => build(objects, null)));
  const before = keptMegabytes();
  let built = build(objects, null);
  const kept = keptMegabytes() - before;
  const editMs: number[] = [];
  for (let i = 0; i < EDITS; i++) {
    objects = edit(objects, groups, i * STRIDE);
    editMs.push(milliseconds(() => (built = build(objects, built))));
  }
  const { snapshot } = built.result;
  let index: PolicyIndex | null = null;
  const peerMs: number[] = [];
  for (let i = 0; i < COMPILES; i++) {
    const received: unknown = JSON.parse(JSON.stringify(snapshot));
    peerMs.push(milliseconds(() => (index = PolicyIndex.build(validateSnapshot(received, sha256), index))));
  }
  print(`${shape} (${POLICIES} policies, ${PODS} pods, ${NAMES} names each, ${snapshot.ruleSets.length} rule sets)`);
  print(`  full compile    best ${best(fullMs)} ms, median ${median(fullMs)} ms`);
  print(`  one policy edit best ${best(editMs)} ms, median ${median(editMs)} ms`);
  print(`  the other member, a snapshot it knows: best ${best(peerMs)} ms, first ${peerMs[0].toFixed(1)} ms`);
  print(`  kept            ${kept.toFixed(1)} MB`);
}

/** As the agent does. */
interface Built {
  readonly compiler: SnapshotCompiler;
  readonly result: CompileResult;
  readonly index: PolicyIndex;
}

function build(objects: PolicyObjects, before: Built | null): Built {
  const compiler = before?.compiler ?? new SnapshotCompiler(sha256);
  const result = compiler.compile(objects, { ...OPTIONS, allotment: before?.result.allotment ?? null });
  return { compiler, result, index: PolicyIndex.build(result.snapshot, before?.index ?? null) };
}

function source(groups: number): PolicyObjects {
  const pods = Array.from({ length: PODS }, (_, i): PodObject => pod(`p${i}`, {
    namespace: `ns${i % NAMESPACES}`,
    labels: { app: `a${Math.floor(i / NAMESPACES) % groups}`, 'pod-template-hash': `h${i}` },
    address: `10.1.${i >> 8}.${i & 255}`,
  }));
  const policies = Array.from({ length: POLICIES }, (_, i) => policy(i, groups, 0));
  return { ...NO_OBJECTS, pods: [...pods, pod('dns', { namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' }, address: DNS_SERVER })], policies };
}

/** The same with one name of one policy changed; every other object is the same one. */
function edit(objects: PolicyObjects, groups: number, at: number): PolicyObjects {
  const changed = at % POLICIES;
  return { ...objects, policies: objects.policies.map((one, i) => (i === changed ? policy(i, groups, at + 1) : one)) };
}

function pod(name: string, { namespace, labels, address }: { namespace: string; labels: Record<string, string>; address: string }): PodObject {
  return { namespace, name, uid: null, labels, nodeName: null, hostNetwork: false, serviceAccount: null, phase: null, addresses: [address], ports: [] };
}

function policy(index: number, groups: number, version: number): PolicyObject {
  const names = Array.from({ length: NAMES }, (_, n) => {
    const base = n === 0 ? `v${version}.p${index}.bench.test.` : `n${n}.p${index}.bench.test.`;
    return n % 5 === 0 ? { matchName: null, matchPattern: `*.${base}` } : { matchName: base, matchPattern: null };
  });
  return policyOf(`p${index}`, `ns${index % NAMESPACES}`, { app: `a${Math.floor(index / NAMESPACES) % groups}` }, names);
}

function policyOf(
  name: string, namespace: string, matchLabels: Record<string, string>, names: readonly { matchName: string | null; matchPattern: string | null }[],
): PolicyObject {
  const kubeDns = { matchLabels: { 'k8s:io.kubernetes.pod.namespace': 'kube-system', 'k8s-app': 'kube-dns' }, matchExpressions: [] };
  const dns = { ...ANY_PEER, endpoints: [kubeDns], ports: [{ path: 'toPorts[0]', ports: [{ first: 53, last: 53, protocol: null }], dns: names }] };
  const hosts = { ...ANY_PEER, fqdns: names, ports: [{ path: 'toPorts[0]', ports: [{ first: 443, last: 443, protocol: 6 as const }], dns: null }] };
  const egress = { allow: [dns, hosts], deny: null, defaultDeny: null };
  return {
    kind: 'CiliumNetworkPolicy', namespace, name, extensions: NO_EXTENSIONS,
    specs: [{ path: 'spec', endpointSelector: { matchLabels, matchExpressions: [] }, egress, ingress: NOTHING_SAID }],
  };
}

/** One policy of so many patterns: all that a query costs policy, from addresses and bytes to the verdict. */
function reportQueries(): void {
  const indexes = PATTERNS.map((count) => {
    const names = Array.from({ length: count }, (_, i) => {
      const text = patternText(i);
      return text.includes('*') ? { matchName: null, matchPattern: text } : { matchName: text, matchPattern: null };
    });
    const objects: PolicyObjects = {
      ...NO_OBJECTS,
      pods: [
        pod('a', { namespace: 'one', labels: { app: 'a' }, address: '10.1.0.1' }),
        pod('dns', { namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' }, address: DNS_SERVER }),
      ],
      policies: [policyOf('p', 'one', { app: 'a' }, names)],
    };
    return build(objects, null).index;
  });
  const bestNs = PATTERNS.map(() => Infinity);
  for (let repeat = 0; repeat < QUERY_REPEATS; repeat++) {
    // Interleaved: a busy machine slows both alike.
    indexes.forEach((index, i) => (bestNs[i] = Math.min(bestNs[i], nanosecondsPerQuery(index, PATTERNS[i]))));
  }
  print(`per query ${PATTERNS.map((count, i) => `${count} patterns: ${bestNs[i].toFixed(1)} ns`).join(', ')}; ratio ${(bestNs[1] / bestNs[0]).toFixed(2)}`);
}

function patternText(i: number): string {
  return [`h${i}.bench.test.`, `*.d${i}.bench.test.`, `**.z${i}.test.`, `a*.g${i}.bench.test.`][i % 4];
}

/** Half of the names are allowed. */
function nanosecondsPerQuery(index: PolicyIndex, count: number): number {
  const queries = Array.from({ length: QUERY_NAMES }, (_, i) => {
    const name = patternText((i * STRIDE) % count).replace('**', 'q.w').replace('*', 'w');
    return nameFromString(i % 2 === 0 ? name : name.replace('test.', 'none.'))!;
  });
  const [from, server] = ['10.1.0.1', DNS_SERVER].map(wordsOfAddress);
  const view = new QueryView();
  let allowed = 0;
  const start = process.hrtime.bigint();
  for (let round = 0; round < QUERY_ROUNDS; round++) {
    for (const bytes of queries) {
      scanName(bytes, 0, bytes.length, view);
      if (index.decide(index.endpointAt(from, 0), index.serverAt(server, 0), 53, 17, bytes, view) >= 0) allowed++;
    }
  }
  const spentNs = Number(process.hrtime.bigint() - start);
  if (allowed !== (QUERY_ROUNDS * QUERY_NAMES) / 2) throw new Error(`${allowed} queries are allowed`);
  return spentNs / (QUERY_ROUNDS * QUERY_NAMES);
}

function keptMegabytes(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return (heapUsed + arrayBuffers) / 2 ** 20;
}

/** Of this thread's own computing: on a busy machine, wall time says little. */
function milliseconds(work: () => void): number {
  const before = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}

function best(values: readonly number[]): string {
  return Math.min(...values).toFixed(1);
}

function median(values: readonly number[]): string {
  return [...values].sort((a, b) => a - b)[values.length >> 1].toFixed(1);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
