import t from 'tap';
import { attest, withLocations, type Locations, type Place } from './attestation.js';
import { compileSnapshot } from './compile.js';
import { NO_OBJECTS, type PodObject } from './objects.js';
import { snapshotHash } from './snapshot-hash.js';
import type { EndpointRecord, Snapshot } from './snapshot.js';
import { validateSnapshot } from './validate.js';

const VETH: Place = { interface: 7 };
const OTHER_VETH: Place = { interface: 9 };
const BRIDGED: Place = { interface: 7, mac: '02:00:00:00:00:0a', bridge: 3 };

function endpoint(uid: string, ...addresses: string[]): EndpointRecord {
  return { id: uid.charCodeAt(0), uid, namespace: 'default', pod: uid, identity: 256, addresses, ruleSet: null };
}

function locations(seen: Readonly<Record<string, readonly Place[]>>, before: readonly EndpointRecord[] = [], boot = 'b'): Locations {
  return { boot, seen: new Map(Object.entries(seen)), before: { boot: 'b', endpoints: before } };
}

t.test('an endpoint is where its addresses are seen first, each for itself', (t) => {
  const { endpoints, doubtful } = attest([endpoint('a', '10.0.0.1', 'fd00::1')], locations({ '10.0.0.1': [VETH], 'fd00::1': [BRIDGED] }));
  t.strictSame(endpoints[0].at, [{ address: '10.0.0.1', interface: 7 }, { address: 'fd00::1', ...BRIDGED }]);
  t.strictSame(doubtful, []);
  t.end();
});

t.test('a pod that inherits an address is a stranger until the source names it', (t) => {
  const first = attest([endpoint('a', '10.0.0.1')], locations({ '10.0.0.1': [VETH] })).endpoints;
  const frozen = attest([endpoint('a', '10.0.0.1')], locations({ '10.0.0.1': [OTHER_VETH] }, first));
  t.strictSame(frozen.endpoints, first);
  t.strictSame(frozen.doubtful.map(({ doubt }) => doubt), ['moved']);
  const named = attest([endpoint('b', '10.0.0.1')], locations({ '10.0.0.1': [OTHER_VETH] }, frozen.endpoints));
  t.strictSame(named.endpoints[0].at, [{ address: '10.0.0.1', interface: 9 }]);
  t.strictSame(named.doubtful, []);
  t.end();
});

t.test('the same behind one bridge port holds by MAC address', (t) => {
  const first = attest([endpoint('a', '10.0.0.1')], locations({ '10.0.0.1': [BRIDGED] })).endpoints;
  const frozen = attest([endpoint('a', '10.0.0.1')], locations({ '10.0.0.1': [{ ...BRIDGED, mac: '02:00:00:00:00:0b' }] }, first));
  t.strictSame(frozen.endpoints, first);
  t.strictSame(frozen.doubtful.map(({ doubt }) => doubt), ['moved']);
  t.end();
});

t.test('a link that has the index of one before it is another place', (t) => {
  const first = attest([endpoint('a', '10.0.0.1')], locations({ '10.0.0.1': [{ ...VETH, link: '17' }] })).endpoints;
  const frozen = attest([endpoint('a', '10.0.0.1')], locations({ '10.0.0.1': [{ ...VETH, link: '18' }] }, first));
  t.strictSame(frozen.endpoints, first);
  t.strictSame(frozen.doubtful.map(({ doubt }) => doubt), ['moved']);
  t.end();
});

t.test('a place outlives its link, but not its boot', (t) => {
  const first = attest([endpoint('a', '10.0.0.1')], locations({ '10.0.0.1': [VETH] })).endpoints;
  const gone = attest([endpoint('a', '10.0.0.1')], locations({}, first));
  t.strictSame(gone.endpoints, first);
  t.strictSame(gone.doubtful.map(({ doubt }) => doubt), ['gone']);
  const rebooted = attest([endpoint('a', '10.0.0.1')], locations({ '10.0.0.1': [OTHER_VETH] }, first, 'c'));
  t.strictSame(rebooted.endpoints[0].at, [{ address: '10.0.0.1', interface: 9 }]);
  t.end();
});

t.test('what is seen at two places, or where another endpoint is, belongs to nobody', (t) => {
  const two = attest([endpoint('a', '10.0.0.1')], locations({ '10.0.0.1': [VETH, OTHER_VETH] }));
  t.strictSame(two.endpoints, [endpoint('a', '10.0.0.1')]);
  t.strictSame(two.doubtful.map(({ doubt }) => doubt), ['ambiguous']);

  const both = attest([endpoint('a', '10.0.0.1'), endpoint('b', '10.0.0.2')], locations({ '10.0.0.1': [VETH], '10.0.0.2': [VETH] }));
  t.strictSame(both.endpoints.map(({ at }) => at), [undefined, undefined]);
  t.strictSame(both.doubtful.map(({ doubt }) => doubt), ['shared', 'shared']);

  const first = attest([endpoint('a', '10.0.0.1')], locations({ '10.0.0.1': [VETH] })).endpoints;
  const late = attest([endpoint('b', '10.0.0.2'), endpoint('a', '10.0.0.1')], locations({ '10.0.0.1': [VETH], '10.0.0.2': [VETH] }, first));
  t.strictSame(late.endpoints.map(({ at }) => at?.length), [undefined, 1]);
  t.end();
});

const POD: PodObject = {
  namespace: 'default', name: 'a', uid: 'u', labels: {}, nodeName: 'n', hostNetwork: false, serviceAccount: null, phase: 'Running', addresses: ['10.0.0.1'], ports: [],
};

function compiled(): Snapshot {
  return compileSnapshot({ ...NO_OBJECTS, pods: [POD] }, { nodeName: 'n', enablePolicy: 'default', allotment: null, revision: 1 }).snapshot;
}

t.test('a snapshot with places is a valid one with its own hash, and without them it is as compiled', (t) => {
  const plain = compiled();
  t.equal(plain.boot, undefined);
  const seen = locations({ '10.0.0.1': [VETH] });
  const { snapshot } = withLocations(plain, seen);
  t.strictSame(snapshot.endpoints[0].at, [{ address: '10.0.0.1', interface: 7 }]);
  t.equal(snapshot.boot, 'b');
  t.strictSame(validateSnapshot(snapshot), snapshot);
  t.not(snapshot.hash, plain.hash);
  t.equal(withLocations(snapshot, { ...seen, before: snapshot }).snapshot, snapshot, 'nothing new');
  const { snapshot: rebooted } = withLocations(snapshot, { boot: 'c', seen: new Map(), before: snapshot });
  t.strictSame(rebooted, plain);
  t.equal(rebooted.hash, snapshotHash(rebooted));
  t.end();
});
