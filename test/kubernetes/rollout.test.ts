/** The stand-in's controller does as the one of Kubernetes: strategies, bounds, and what stops a rollout. */
import t from 'tap';
import type { DaemonSet, Pod } from './node/objects.js';
import { HASH_LABEL, nextSteps, statusOf, templateHash } from './node/rollout.js';

const NODES = ['n1', 'n2', 'n3'];
const NOW = Date.parse('2026-01-02T00:00:00Z');

function setOf(strategy: NonNullable<DaemonSet['spec']['updateStrategy']>, image = 'tandem:2'): DaemonSet {
  return {
    metadata: { name: 'ds', namespace: 'ns', uid: 'u1', generation: 4 },
    spec: { template: { spec: { containers: [{ name: 'c', image }] } }, updateStrategy: strategy },
  };
}

function podOn(nodeName: string, set: DaemonSet, how: { readonly ready?: boolean; readonly ending?: boolean; readonly name?: string } = {}): Pod {
  return {
    metadata: {
      name: how.name ?? `${nodeName}-${templateHash(set).slice(0, 3)}`, namespace: 'ns', uid: nodeName, labels: { [HASH_LABEL]: templateHash(set) }, ownerReferences: [{ uid: 'u1' }],
      ...(how.ending === true ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    spec: { nodeName, containers: [] },
    status: { conditions: [{ type: 'Ready', status: how.ready === false ? 'False' : 'True' }] },
  };
}

const ROLLING = { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } };
const SURGE = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } };
const old = setOf(ROLLING, 'tandem:1');
const now = setOf(ROLLING);

t.test('each node gets one pod, none while one is ending there, and a node that is gone has none', (t) => {
  t.strictSame(nextSteps(now, [], NODES, NOW), { create: NODES, remove: [] });
  t.strictSame(nextSteps(now, [podOn('n1', now), podOn('n2', now, { ending: true })], NODES, NOW), { create: ['n3'], remove: [] });
  t.strictSame(nextSteps(now, [podOn('n9', now, { name: 'gone' })], [], NOW), { create: [], remove: ['gone'] });
  const strange = { ...podOn('n1', now), metadata: { ...podOn('n1', now).metadata, ownerReferences: [{ uid: 'other' }] } };
  t.strictSame(nextSteps(now, [strange], ['n1'], NOW).create, ['n1'], 'a pod of another set is none of this one');
  t.end();
});

t.test('RollingUpdate: so many nodes at once as maxUnavailable says, a broken old pod at once', (t) => {
  const all = NODES.map((node) => podOn(node, old, { name: node }));
  t.strictSame(nextSteps(now, all, NODES, NOW), { create: [], remove: ['n1'] });
  t.strictSame(nextSteps(now, [podOn('n1', now, { ready: false }), ...all.slice(1)], NODES, NOW), { create: [], remove: [] }, 'the new one is not ready yet');
  t.strictSame(nextSteps(now, [podOn('n1', now), ...all.slice(1)], NODES, NOW), { create: [], remove: ['n2'] });
  t.strictSame(nextSteps(now, [...all.slice(0, 2), podOn('n3', old, { name: 'n3', ready: false })], NODES, NOW), { create: [], remove: ['n3'] }, 'one node is without already: only that goes');
  const half = setOf({ type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '50%' } });
  t.strictSame(nextSteps(half, all, NODES, NOW).remove, ['n1', 'n2'], 'a share is rounded up');
  t.end();
});

t.test('maxSurge: the new one first, the old one goes when that is ready', (t) => {
  const surge = setOf(SURGE);
  const all = NODES.map((node) => podOn(node, old, { name: node }));
  t.strictSame(nextSteps(surge, all, NODES, NOW), { create: ['n1'], remove: [] });
  t.strictSame(nextSteps(surge, [...all, podOn('n1', surge, { ready: false, name: 'new' })], NODES, NOW), { create: [], remove: [] });
  t.strictSame(nextSteps(surge, [...all, podOn('n1', surge, { name: 'new' })], NODES, NOW), { create: ['n2'], remove: ['n1'] });
  const annotated = { ...now, metadata: { ...now.metadata, annotations: { 'tandem.test/max-surge': '1' } } };
  t.strictSame(nextSteps(annotated, all, NODES, NOW), { create: ['n1'], remove: [] }, 'also by annotation');
  t.end();
});

t.test('minReadySeconds: ready for less is not enough to go on, and not available', (t) => {
  const patient = { ...now, spec: { ...now.spec, minReadySeconds: 15 } };
  const since = (seconds: number): Pod => ({ ...podOn('n1', patient), status: { conditions: [{ type: 'Ready', status: 'True' as const, lastTransitionTime: new Date(NOW - seconds * 1_000).toISOString() }] } });
  const rest = [{ ...podOn('n2', old, { name: 'n2' }), status: { conditions: [{ type: 'Ready', status: 'True' as const, lastTransitionTime: '2026-01-01T00:00:00Z' }] } }];
  t.strictSame(nextSteps(patient, [since(14), ...rest], ['n1', 'n2'], NOW).remove, []);
  t.strictSame(nextSteps(patient, [since(15), ...rest], ['n1', 'n2'], NOW).remove, ['n2']);
  t.match(statusOf(patient, [since(14), ...rest], ['n1', 'n2'], NOW), { numberReady: 2, numberAvailable: 1 });
  t.end();
});

t.test('OnDelete: nothing goes by itself', (t) => {
  const onDelete = setOf({ type: 'OnDelete' });
  t.strictSame(nextSteps(onDelete, [podOn('n1', old), podOn('n2', old)], NODES, NOW), { create: ['n3'], remove: [] });
  t.end();
});

t.test('the status is what kubectl rollout status waits for', (t) => {
  const pods = [podOn('n1', now), podOn('n2', now, { ready: false }), podOn('n3', old)];
  t.strictSame(statusOf(now, pods, NODES, NOW), {
    observedGeneration: 4, desiredNumberScheduled: 3, currentNumberScheduled: 3, updatedNumberScheduled: 2, numberMisscheduled: 0, numberReady: 2, numberAvailable: 2, numberUnavailable: 1,
  });
  t.end();
});
