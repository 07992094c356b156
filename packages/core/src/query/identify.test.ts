import t from 'tap';
import { RCODE } from '@tandem/dns';
import type { EndpointLocation, Snapshot } from '../policy/snapshot.js';
import { OUTCOME } from './flow-sink.js';
import { SLOT, slotWord } from './slots.js';
import { queryPacket, rcodeOf } from './testing/packets.js';
import { Rig, SNAPSHOT } from './testing/rig.js';

const MARK = 0x0200_0000;
const DIVERTED = 90;

function placed(...at: EndpointLocation[]): Snapshot {
  return { ...SNAPSHOT, boot: 'b', endpoints: [{ ...SNAPSHOT.endpoints[0], at }, SNAPSHOT.endpoints[1]] };
}

/** In transparent mode, where pod a is. */
function rigWith(...at: EndpointLocation[]): Rig {
  const rig = new Rig({ upstreams: [], attestedMark: MARK });
  rig.path.setPorts([[0, 1], [2, 3]]);
  rig.path.setDiverted(DIVERTED);
  rig.enforce(placed(...at));
  return rig;
}

interface Arrival {
  readonly interface: number;
  readonly mark?: number;
  readonly tcp?: boolean;
  readonly from?: string;
}

/** Whether pod a's query goes out when it comes in so; else it is refused. */
function isAsked(rig: Rig, { interface: index, mark = 0, tcp = false, from = '127.0.1.1' }: Arrival): boolean {
  const asked = rig.asks.length;
  const slot = rig.place(from, queryPacket('echo.k8s.intra.'), { tcp });
  const word = slotWord(rig.memory, slot);
  rig.memory.words[word + SLOT.interface] = index;
  rig.memory.words[word + SLOT.mark] = mark;
  rig.memory.words.set(new Uint32Array(new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 96, 0, 10]).buffer), word + SLOT.serverAddress);
  rig.memory.words[word + SLOT.serverPort] = 53;
  rig.path.onQuery(slot);
  return rig.asks.length > asked;
}

t.test('the server that the client chose is asked', (t) => {
  const rig = rigWith({ address: '127.0.1.1', interface: 7 });
  t.ok(isAsked(rig, { interface: 7 }));
  t.equal(rig.asks[0].upstream, '10.96.0.10:53');
  t.ok([0, 1].includes(rig.asks[0].port), 'from a socket for IPv4 servers');
  t.end();
});

t.test('a pod with a veth of its own is known by its interface alone', (t) => {
  const rig = rigWith({ address: '127.0.1.1', interface: 7 });
  t.ok(isAsked(rig, { interface: 7 }));
  for (const index of [0, 8, DIVERTED]) t.notOk(isAsked(rig, { interface: index, mark: MARK }), `interface ${index}`);
  t.equal(rig.count('identity_stale'), 3);
  t.equal(rig.count('unknown_endpoint'), 0);
  t.same(rig.replies.map(rcodeOf), [RCODE.refused, RCODE.refused, RCODE.refused]);
  t.ok(rig.notes.all.every(({ outcome, endpointId }) => outcome === OUTCOME.identityStale && endpointId === 0), 'no flow of them is the pod\'s');
  t.end();
});

t.test('a bridged pod is known by the mark, where its packets are pulled out', (t) => {
  const rig = rigWith({ address: '127.0.1.1', interface: 7, mac: '02:00:00:00:00:01', bridge: 3 });
  t.ok(isAsked(rig, { interface: DIVERTED, mark: MARK }));
  t.ok(isAsked(rig, { interface: DIVERTED, mark: MARK | 1 }), 'other bits of the mark are others\'');
  t.notOk(isAsked(rig, { interface: DIVERTED, mark: MARK * 2 }), 'the mark of strangers');
  t.notOk(isAsked(rig, { interface: DIVERTED }));
  for (const index of [3, 7]) t.notOk(isAsked(rig, { interface: index, mark: MARK }), 'the bridge and its port are not where its packets come in');
  t.ok(isAsked(rig, { interface: DIVERTED, tcp: true }), 'a stream has no mark: strangers\' are reset before');
  t.notOk(isAsked(rig, { interface: 3, tcp: true }));
  t.end();
});

t.test('a pod without a place may ask nothing, and --unknown-endpoint allow is not for addresses of pods', (t) => {
  const rig = rigWith();
  t.notOk(isAsked(rig, { interface: 7 }));
  t.notOk(isAsked(rig, { interface: 7, from: '127.0.1.2' }), 'nor one whose policy allows everything');
  const open = new Rig({ upstreams: [], attestedMark: MARK, unknownEndpoint: 'allow' });
  open.path.setPorts([[0], [1]]);
  open.enforce(placed({ address: '127.0.1.1', interface: 7 }));
  t.notOk(isAsked(open, { interface: 8 }));
  t.ok(isAsked(open, { interface: 8, from: '127.0.1.99' }));
  t.end();
});

t.test('a place that is gone is nobody\'s, even if an interface has its index again', (t) => {
  const rig = rigWith({ address: '127.0.1.1', interface: 7 });
  rig.path.setDisplaced(['127.0.1.1']);
  t.notOk(isAsked(rig, { interface: 7 }));
  rig.enforce(placed({ address: '127.0.1.1', interface: 7, link: '2' }));
  t.notOk(isAsked(rig, { interface: 7 }), 'a new policy alone does not bring it back');
  rig.path.setDisplaced([]);
  t.ok(isAsked(rig, { interface: 7 }));
  t.equal(rig.count('identity_stale'), 2);
  t.end();
});

t.test('in audit mode a stale address goes on as a stranger\'s, and is counted', (t) => {
  const rig = new Rig({ upstreams: [], attestedMark: MARK, auditMode: true });
  rig.path.setPorts([[0], [1]]);
  rig.enforce(placed({ address: '127.0.1.1', interface: 7 }));
  t.ok(isAsked(rig, { interface: 8 }));
  t.equal(rig.count('audited'), 1);
  t.equal(rig.count('identity_stale'), 1);
  t.end();
});

t.test('where addresses alone count, the interface does not matter', (t) => {
  const rig = new Rig();
  t.ok(isAsked(rig, { interface: 99 }));
  t.end();
});
