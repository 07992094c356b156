import { type EndpointRecord, type IdentityRecord, RESERVED_IDENTITY, type Snapshot } from '@tandem/core';
import { fqdnPb } from '@tandem/proto';
import t from 'tap';
import { ServedState, STATE_BYTES_MAX } from './served-state.js';
import { stateOfSnapshot } from './snapshot-state.js';

/** Endpoints that no policy closes may ask each identity that there is. */
function snapshotOf(endpoints: number, identities: number, hash = 'one'): Snapshot {
  return {
    revision: 1, hash, nodeName: 'n', services: [], ruleSets: [], fqdnSelectors: [], policies: [],
    endpoints: Array.from({ length: endpoints }, (_, i): EndpointRecord => ({ id: i + 1, uid: `u${i}`, namespace: '', pod: 'p', identity: 1000, addresses: [], ruleSet: null })),
    identities: [RESERVED_IDENTITY.world, ...Array.from({ length: identities }, (_, i) => 1000 + i)].map((identity): IdentityRecord => ({ identity, labels: [], addresses: [] })),
  };
}

t.test('each proxy gets the same state, under a number of its own, put together once', (t) => {
  const served = new ServedState();
  const snapshot = snapshotOf(3, 5);
  const [one, two] = ['1-1', '1-2'].map((requestId) => fqdnPb.PolicyState.decode(served.bytesOf(snapshot, requestId)!));
  t.strictSame([one.requestId, two.requestId], ['1-1', '1-2']);
  t.equal(one.egressL7DnsPolicy.length, 3);
  t.strictSame({ ...two, requestId: '' }, { ...one, requestId: '' });
  const unread = { ...snapshot, get endpoints(): never { throw new Error('it is put together again'); } };
  t.ok(served.bytesOf(unread, '1-3'));
  t.equal(fqdnPb.PolicyState.decode(served.bytesOf(snapshotOf(4, 5, 'two'), '2-1')!).egressL7DnsPolicy.length, 4);
  t.end();
});

t.test('a state that would be too large is not put together', (t) => {
  const served = new ServedState();
  for (const [endpoints, identities] of [[4000, 4000], [1, 300_000], [4000, 100]]) {
    const snapshot = snapshotOf(endpoints, identities, `${endpoints} ${identities}`);
    t.equal(stateOfSnapshot(snapshot, STATE_BYTES_MAX), null);
    t.equal(served.bytesOf(snapshot, '1'), null);
  }
  const bytes = served.bytesOf(snapshotOf(100, 1000), '1')!;
  t.ok(bytes.length > STATE_BYTES_MAX / 4 && bytes.length <= STATE_BYTES_MAX, `${bytes.length} bytes`);
  t.end();
});
