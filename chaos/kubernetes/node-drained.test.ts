/** What a drain's proofs hold on, with a program in the place of kubectl that knows four pods of one node. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { readRepositoryFile } from '#harness/repository.js';
import { removeTemporary, temporaryFolder } from '#harness/temporary.js';
import { drained } from './experiments/node-drained.js';
import { targetFrom } from './lib/cluster-file.js';
import { Stage } from './lib/stage.js';
import { staysInDrain } from './lib/target.js';
import type { PodView } from './lib/target.js';

/** Lists by labels (`k=v`, `k!=v`); a drain takes away what `evicts` names, whatever its selector. */
const KUBECTL = `
const fs = require('node:fs');
const [file, command, ...args] = process.argv.slice(1);
const state = JSON.parse(fs.readFileSync(file, 'utf8'));
const selects = (labels) => args[args.indexOf('-l') + 1].split(',').every((one) => {
  const [, key, sign, value] = /^(.+?)(!?=)(.+)$/.exec(one);
  return (labels[key] === value) === (sign === '=');
});
if (command === 'drain') fs.writeFileSync(file, JSON.stringify({ ...state, drain: args, pods: state.pods.filter(({ metadata }) => !state.evicts.includes(metadata.name)) }));
else if (args[0] === 'pods') console.log(JSON.stringify({ items: state.pods.filter(({ metadata }) => selects(metadata.labels)) }));
else console.log('image');
`;

function pod(name: string, label: readonly [string, string], metadata: object = {}): object {
  return { metadata: { name, uid: `uid of ${name}`, labels: { [label[0]]: label[1] }, ...metadata }, spec: { nodeName: 'worker-1', containers: [] }, status: {} };
}

const BY_DAEMON_SET = { ownerReferences: [{ kind: 'DaemonSet', controller: true }] };
const PODS = [
  ...['tandem-agent', 'tandem-dns-proxy'].map((name) => pod(name, ['app.kubernetes.io/name', name], BY_DAEMON_SET)), pod('prober', ['app', 'prober']), pod('shop', ['app', 'shop']),
];

async function stage(t: Test, drainSelector: string, evicts: readonly string[]): Promise<{ stage: Stage; drain: () => readonly string[] | undefined }> {
  const folder = temporaryFolder('tandem-drain-');
  t.teardown(() => { removeTemporary(folder); });
  const file = join(folder, 'state.json');
  writeFileSync(file, JSON.stringify({ pods: PODS, evicts }));
  const example = JSON.parse(readRepositoryFile('chaos/kubernetes/cluster.example.json')) as object;
  const target = targetFrom(JSON.stringify({ ...example, kubectl: [process.execPath, '-e', KUBECTL, file], drainSelector }));
  return { stage: await Stage.open(target), drain: () => (JSON.parse(readFileSync(file, 'utf8')) as { readonly drain?: readonly string[] }).drain };
}

t.test('a drain evicts all but the pods of DaemonSets and of the node itself', (t) => {
  const view = (metadata: object): PodView => pod('x', ['app', 'x'], metadata) as PodView;
  t.equal(staysInDrain(view({})), false);
  t.equal(staysInDrain(view(BY_DAEMON_SET)), true);
  t.equal(staysInDrain(view({ ownerReferences: [{ kind: 'ReplicaSet', controller: true }] })), false);
  t.equal(staysInDrain(view({ annotations: { 'kubernetes.io/config.mirror': 'x' } })), true);
  t.end();
});

t.test('the selector of the example names both members, and a drain that leaves them is proven', async (t) => {
  const { stage: one, drain } = await stage(t, 'app!=prober', ['shop']);
  await drained(one);
  t.match(one.proofs, [{ holds: true, detail: 'shop' }, { holds: true, detail: 'tandem-agent, tandem-dns-proxy' }]);
  t.match(drain(), ['worker-1', '--ignore-daemonsets', '--force', '--delete-emptydir-data', '--pod-selector=app!=prober', '--timeout=60s']);
});

t.test('a member that goes, and a pod that stays, refute it', async (t) => {
  const { stage: gone } = await stage(t, 'app!=prober', ['shop', 'tandem-agent']);
  await drained(gone);
  t.strictSame(gone.proofs.map(({ holds }) => holds), [true, false]);
  const { stage: idle } = await stage(t, 'app!=prober', []);
  await drained(idle);
  t.strictSame(idle.proofs.map(({ holds }) => holds), [false, true]);
});

t.test('with a selector that keeps a member out, or names nothing to evict, nothing is drained', async (t) => {
  for (const [selector, complaint] of [['app=shop', /must name the pods of both members on worker-1; .* leaves out tandem-agent, tandem-dns-proxy/], ['app!=prober,app!=shop', /names no pod on worker-1 that a drain evicts/]] as const) {
    const { stage: one, drain } = await stage(t, selector, ['shop']);
    await t.rejects(drained(one), complaint);
    t.equal(drain(), undefined);
    t.strictSame(one.marks, []);
  }
});
