/** Random histories with random faults end in what a plain list says. */
import fc from 'fast-check';
import t from 'tap';
import type { PolicyObjects } from '@tandem/core';
import { loadManifests } from '@tandem/manifests';
import { KubernetesSource } from './kubernetes-source.js';
import type { ReflectorTimes } from './reflector.js';
import { FakeApiServer, type Collection, type FakeObject } from './testing/fake-api-server.js';

const TIMES: ReflectorTimes = { watchSeconds: 60, stallMargin: 300, backoffFirst: 2, backoffMax: 20, slow: 5, settled: 100, grace: 0 };
const KINDS: readonly [Collection, string, string][] = [
  ['namespaces', 'v1', 'Namespace'], ['pods', 'v1', 'Pod'], ['services', 'v1', 'Service'], ['policies', 'cilium.io/v2', 'CiliumNetworkPolicy'],
];
const NAMES = ['a', 'b', 'c'];

type Step =
  | { readonly kind: 'put'; readonly collection: Collection; readonly name: string; readonly value: number }
  | { readonly kind: 'delete'; readonly collection: Collection; readonly name: string }
  | { readonly kind: 'fault'; readonly fault: 'drop' | 'end' | 'compact' | 'bookmark' | 'nonsense' | 'restart' | 'throttle' | 'rest' };

const collection = fc.constantFrom(...KINDS.map(([one]) => one));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('put' as const), collection, name: fc.constantFrom(...NAMES), value: fc.nat({ max: 3 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), collection, name: fc.constantFrom(...NAMES) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('fault' as const), fault: fc.constantFrom('drop', 'end', 'compact', 'bookmark', 'nonsense', 'restart', 'throttle', 'rest') }) },
);

/** Valid objects: what an invalid policy leads to depends on its history, and has tests of its own. */
function objectOf(collection: Collection, name: string, value: number): FakeObject {
  const space = { name, namespace: 'a', uid: `${collection}-${name}` };
  switch (collection) {
    case 'namespaces':
      return { metadata: { name, labels: { value: String(value) } } };
    case 'pods':
      // Some here, some elsewhere; each with an address of its own.
      return {
        metadata: { ...space, labels: { app: NAMES[value % 3] } }, spec: { nodeName: value % 2 === 0 ? 'node' : 'far' },
        status: { phase: 'Running', podIP: `10.0.${value}.${NAMES.indexOf(name) + 1}` },
      };
    case 'services':
      return { metadata: space, spec: { selector: { app: name }, ports: [{ port: 53 + value, protocol: 'UDP' }] } };
    default:
      return {
        metadata: { ...space, generation: 1 },
        spec: { endpointSelector: { matchLabels: { app: NAMES[value % 3] } }, egress: [value === 3 ? { toEntities: ['cluster'] } : { toEndpoints: [{ matchLabels: { app: name } }] }] },
      };
  }
}

function listed(server: FakeApiServer): PolicyObjects {
  const files = KINDS.flatMap(([collection, apiVersion, kind]) => server.all(collection).map((object, i) => ({
    path: `${kind}-${i}.json`, text: JSON.stringify({ apiVersion, kind, ...object, status: kind === 'Pod' ? object.status : undefined }),
  })));
  return loadManifests(files).objects!;
}

/** All but pods of other nodes that no policy here is about: what is watched may be more than is needed. */
function isSame(found: PolicyObjects | null, expected: PolicyObjects): boolean {
  if (found === null) return false;
  const own = ({ pods }: PolicyObjects): unknown => pods.filter(({ nodeName }) => nodeName === 'node');
  const without = (objects: PolicyObjects): unknown => ({ ...objects, pods: own(objects) });
  if (JSON.stringify(without(found)) !== JSON.stringify(without(expected))) return false;
  const texts = new Set(expected.pods.map((pod) => JSON.stringify(pod)));
  return found.pods.every((pod) => texts.has(JSON.stringify(pod))) && isNeededThere(found, expected);
}

/** Said in another way than `needs.ts` says it: by names and labels of this test alone. */
function isNeededThere(found: PolicyObjects, { pods, policies, namespaces }: PolicyObjects): boolean {
  const here = pods.filter(({ nodeName }) => nodeName === 'node');
  const inForce = policies.filter(({ specs: [{ endpointSelector }] }) => here.some(({ labels }) => labels.app === endpointSelector!.matchLabels.app));
  const wanted = pods.filter(({ nodeName, labels }) => nodeName === 'far' && inForce.some(({ specs: [{ egress }] }) => {
    const [{ entities, endpoints }] = egress.allow!;
    return entities !== null || (namespaces.some(({ name }) => name === 'a') && endpoints![0].matchLabels.app === labels.app);
  }));
  return wanted.every(({ name }) => found.pods.some((pod) => pod.name === name));
}

const REST_TURNS = 50;

async function act(server: FakeApiServer, one: Step): Promise<void> {
  if (one.kind === 'put') return server.put(one.collection, objectOf(one.collection, one.name, one.value));
  if (one.kind === 'delete') return server.delete(one.collection, one.collection === 'namespaces' ? `/${one.name}` : `a/${one.name}`);
  switch (one.fault) {
    case 'drop':
      return server.dropConnections();
    case 'end':
      return server.endWatches();
    case 'compact':
      server.expiresByEvent = !server.expiresByEvent;
      return server.compact();
    case 'bookmark':
      return server.bookmark();
    case 'nonsense':
      return server.sendRaw('{"type":"ADDED","object":{}}\n');
    case 'throttle': {
      let left = 5;
      server.onRequest = () => (left-- > 0 ? { status: 429, headers: { 'retry-after': '0' } } : null);
      return;
    }
    case 'restart':
      await server.stop();
      await server.start();
      return;
    case 'rest':
      // What is under way may arrive, as far as so many turns bring it.
      for (let turn = 0; turn < REST_TURNS; turn++) await new Promise((resolve) => { setImmediate(resolve); });
      return;
  }
}

t.test('random histories with random faults end in the state that a list says', async (t) => {
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
    const server = await new FakeApiServer().start();
    let last: PolicyObjects | null = null;
    let wake = (): void => undefined;
    const source = new KubernetesSource({
      config: { server: new URL(server.url), ca: null, cert: null, key: null, token: null, tlsServerName: null, insecureSkipTlsVerify: false },
      settings: { nodeName: 'node', enablePolicy: 'default', clusterCidrs: [] }, version: '0', times: TIMES, statusWaitMsMax: 60_000,
      log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
      publish: ({ objects }) => {
        last = objects;
        wake();
        return Promise.resolve();
      },
      fail: (error) => { throw error; },
    });
    try {
      void source.start();
      for (const one of steps) await act(server, one);
      const expected = listed(server);
      // A run in which it never comes to that fails by the property's own limit.
      while (!isSame(last, expected)) await new Promise<void>((resolve) => { wake = resolve; });
    } finally {
      source.close();
      await server.stop();
    }
  }), { numRuns: 40, timeout: 10_000 });
  t.pass('each came to it');
});
