/**
 * What programs cost on a large node: 500 pods, 20 rule sets whose toFQDNs share sets of 100 addresses each, and identities of 2,000
 * pods elsewhere. Then one pod more, one address more in an identity, one rule set changed, beside small nodes and many open addresses.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { changeText, compileProgram, fqdnGroups, fqdnSetName, marksFrom, wholeText, type OpenElement, type Program } from '@tandem/datapath';
import type { EndpointRecord, PolicyRule, Snapshot } from '@tandem/core';
import t, { type Test } from 'tap';

const WHOLE_MS_MAX = 2_000;
const SELECTORS = 20;
const ROUNDS = 7;

interface Size {
  readonly pods: number;
  readonly openPerSet: number;
  /** Rule set whose first port is another than that of the rest. */
  readonly changed?: number;
  readonly remotePods: number;
}

const key = (n: number): string => n.toString(16).padStart(64, '0');
const origin = { kind: 'CiliumNetworkPolicy', namespace: 'a', name: 'b', path: 'spec.egress[0]' } as const;

function snapshotOf({ pods, changed, remotePods }: Size): Snapshot {
  const rule = (rest: Partial<PolicyRule>): PolicyRule => ({ identities: null, fqdns: [], ports: [{ first: 443, last: 443, protocol: 6 }], dnsPatterns: null, origin, ...rest });
  const ruleSets = Array.from({ length: SELECTORS }, (_, n) => ({
    key: key(n + (n === changed ? 1000 : 0)),
    rules: [
      rule({ identities: [300], ports: [{ first: 53, last: 53, protocol: null }], dnsPatterns: [{ matchName: null, matchPattern: '*' }] }),
      rule({ identities: [], fqdns: [{ matchName: `n${n}.test.`, matchPattern: null }], ...(n === changed ? { ports: [{ first: 80, last: 80, protocol: 6 }] } : {}) }),
      rule({ identities: [300, 301, 302], ports: [{ first: 8000 + n, last: 8100, protocol: null }] }),
    ],
  }));
  const endpoints: EndpointRecord[] = Array.from({ length: pods }, (_, n) => {
    const address = `10.1.${n >> 8}.${n & 255}`;
    return { id: n + 1, uid: `u${n}`, namespace: 'a', pod: `p${n}`, identity: 256, addresses: [address], at: [{ address, interface: n + 100 }], ruleSet: n % SELECTORS };
  });
  const remote = Array.from({ length: remotePods }, (_, n) => `10.2.${n >> 8}.${n & 255}`);
  return {
    revision: 1, hash: key(0), nodeName: 'n', endpoints,
    identities: [
      { identity: 256, labels: ['k8s:app=a'], addresses: endpoints.flatMap(({ addresses }) => addresses) },
      ...[300, 301, 302].map((identity) => ({ identity, labels: [], addresses: remote.filter((_, n) => n % 3 === identity - 300) })),
    ],
    services: [], ruleSets, fqdnSelectors: [], policies: [],
  };
}

function compile(snapshot: Snapshot): Program {
  return compileProgram({
    snapshot, divert: null, nameOf: () => null, marks: marksFrom(0x0100_0000), redirectTo: { v4: { address: '127.0.0.153', port: 53 }, v6: { address: 'fd53::1', port: 53 } },
    grantScope: 'node', auditMode: false, logGroup: 1053, podCidrs: [], isTransparentUpstream: false,
  });
}

function openOf(snapshot: Snapshot, perSet: number): Map<string, OpenElement[]> {
  return new Map(fqdnGroups(snapshot, 'node').map((group, n) => [
    fqdnSetName(group, 4),
    Array.from({ length: perSet }, (_, at) => ({ address: `${20 + n}.0.${at >> 8}.${at & 255}`, timeoutMs: 3_600_000 })),
  ]));
}

/** Runs one text after another in one namespace: milliseconds of each, with nft's start. */
async function costs(texts: readonly string[]): Promise<readonly number[]> {
  const child = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; exec cat >/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const taken: number[] = [];
  try {
    for (const text of texts) {
      const begun = performance.now();
      const nft = spawn('nsenter', ['--net', '-t', String(child.pid), '--', 'nft', '-f', '-'], { stdio: ['pipe', 'inherit', 'inherit'] });
      nft.stdin.end(text);
      const [status] = (await once(nft, 'close')) as [number];
      if (status !== 0) throw new Error(`nft ended with ${status}`);
      taken.push(performance.now() - begun);
    }
  } finally {
    child.stdin.end();
  }
  return taken;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1];

async function row(t: Test, size: Size): Promise<readonly number[]> {
  const snapshot = snapshotOf(size);
  const begun = performance.now();
  const program = compile(snapshot);
  const compileMs = performance.now() - begun;
  const open = openOf(snapshot, size.openPerSet);
  const whole = wholeText(program, open);
  const others = [{ ...size, pods: size.pods + 1 }, { ...size, remotePods: size.remotePods + 1 }, { ...size, changed: 3 }].map((one) => compile(snapshotOf(one)));
  const texts = [whole, ...Array.from({ length: ROUNDS }, () => others.flatMap((other) => [changeText(program, other, open), changeText(other, program, open)])).flat()];
  const taken = await costs(texts);
  const of = (at: number): number => median(Array.from({ length: ROUNDS }, (_, round) => taken[1 + round * 6 + at]));
  const figures = [compileMs, taken[0], of(0), of(2), of(4)];
  t.comment(`${size.pods} pods, ${size.openPerSet * SELECTORS} open: compile ${figures[0].toFixed(1)} ms, whole ${figures[1].toFixed(0)} ms, one pod more ${figures[2].toFixed(1)}, one address ${figures[3].toFixed(1)}, one rule set ${figures[4].toFixed(1)}`);
  t.ok(program.tables[0].sets.size < 6 * SELECTORS, 'sets do not grow with the pods');
  return figures;
}

t.test('a large node is written in time, and a change costs what it changes', async (t) => {
  await row(t, { pods: 5, openPerSet: 0, remotePods: 20 });
  await row(t, { pods: 50, openPerSet: 10, remotePods: 200 });
  const [, wholeMs] = await row(t, { pods: 500, openPerSet: 100, remotePods: 2_000 });
  await row(t, { pods: 500, openPerSet: 2_500, remotePods: 2_000 });
  t.ok(wholeMs <= WHOLE_MS_MAX, `${wholeMs.toFixed(0)} ms`);
});
