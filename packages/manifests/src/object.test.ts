import t from 'tap';
import { loadManifests } from './load.js';
import { readObject } from './object.js';
import { formatProblem } from './problem.js';

const POLICY = {
  metadata: { name: 'echo', namespace: 'shop', generation: 3, clusterName: 'old servers have it', managedFields: [{ manager: 'kubectl' }] },
  spec: { endpointSelector: { matchLabels: { app: 'net' } }, egress: [{ toFQDNs: [{ matchPattern: '*.k8s.intra' }] }] },
  status: { conditions: [{ type: 'Valid' }] },
};

t.test('an object is read as from a file', (t) => {
  const text = JSON.stringify({ apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', ...POLICY, metadata: { name: 'echo', namespace: 'shop' } });
  const { objects, problems, hasErrors } = readObject('CiliumNetworkPolicy', POLICY);
  t.strictSame(objects, loadManifests([{ path: 'a.json', text }]).objects);
  t.strictSame(problems, []);
  t.notOk(hasErrors);
  t.end();
});

t.test('a complaint names kind, namespace, name and field', (t) => {
  const { problems, hasErrors } = readObject('CiliumNetworkPolicy', { ...POLICY, spec: { ...POLICY.spec, egres: [] } });
  t.ok(hasErrors);
  t.match(problems.map(formatProblem), [/^CiliumNetworkPolicy shop\/echo: spec\.egres: error: is unknown; did you mean "egress"\?/]);
  const cluster = readObject('CiliumClusterwideNetworkPolicy', { metadata: { name: 'all' }, spec: 5 });
  t.match(cluster.problems.map(formatProblem), [/^CiliumClusterwideNetworkPolicy all: spec: error: is the number 5; a mapping is wanted/]);
  t.end();
});

t.test('an odd field of a pod is complained about, and the rest is read', (t) => {
  const { objects, hasErrors } = readObject('Pod', {
    metadata: { name: 'web', namespace: 'shop', labels: { app: 'web', odd: 5 } },
    spec: { nodeName: 'node', containers: 'none' },
    status: { phase: 'Dreaming', podIP: '10.0.0.300', podIPs: [{ ip: '10.0.0.3' }] },
  });
  t.ok(hasErrors);
  t.match(objects.pods, [{ name: 'web', labels: { app: 'web' }, nodeName: 'node', addresses: ['10.0.0.3'], ports: [] }]);
  t.end();
});

t.test('nothing that a server may send throws', (t) => {
  let deep: unknown = 1;
  for (let i = 0; i < 100_000; i++) deep = [deep];
  const wide = { metadata: { name: 'w', namespace: 'w' }, spec: { specs: Array.from({ length: 10 }, () => ({ egress: Array.from({ length: 1000 }, () => ({})) })) } };
  for (const raw of [null, 5, 'x', [], {}, { metadata: null }, { metadata: 5 }, { metadata: { name: 5 } }, { metadata: { name: 'x' }, spec: deep }, deep, wide, { ['__proto__']: 1 }]) {
    for (const kind of ['Pod', 'Service', 'CiliumNetworkPolicy', 'NetworkPolicy'] as const) t.ok(readObject(kind, raw).hasErrors || kind !== 'CiliumNetworkPolicy');
  }
  t.match(readObject('CiliumNetworkPolicy', { metadata: { name: 'x', namespace: 'y' }, spec: deep }).problems, [{ message: /nested more than 64 levels/ }]);
  t.end();
});
