import t from 'tap';
import { Journal } from 'node-reuseport';
import { createRegion, regionBytes } from '../dataplane/shared-region.js';
import type { ObservedFlow } from './flow-log.js';
import { initRing, RING_CELLS_MIN, ringBytes } from './flow-ring.js';
import { openRingMemory } from './open-ring.js';
import { RingLog } from './ring-log.js';
import { packetOf, PacketStage } from './testing/packet-stage.js';
import { contextOf } from './testing/stage.js';

const CONNECTIONS = 1;
const RINGS = { queries: ringBytes(RING_CELLS_MIN), packets: ringBytes(RING_CELLS_MIN) };

t.test('packets that one mapping of a journal has written are read in another, and after the writer is gone', (t) => {
  const journal = Journal.create({ slots: 16, batch: 4, extraBytes: regionBytes(CONNECTIONS, RINGS) });
  const region = createRegion(journal, CONNECTIONS, RINGS);
  initRing(region.flows, RING_CELLS_MIN, [1, 1]);
  initRing(region.packetFlows, RING_CELLS_MIN, [2, 2]);
  const context = contextOf();
  const own = openRingMemory({ journalFd: journal.fd });
  t.same(own.map(({ kind }) => kind), ['queries', 'packets']);
  const peers = openRingMemory({ journalFd: journal.fd });
  const { flows } = new PacketStage(2, context);
  flows.useRing(own[1].words);
  flows.logged([packetOf()]);
  for (const { release } of own) release();
  journal.release();
  const log = new RingLog('dns-proxy', context);
  log.add('agent', 1, peers);
  const reader = log.read('oldest');
  const [verdict, drop] = [reader.next(), reader.next()] as readonly (ObservedFlow | null)[];
  t.match([verdict?.flow.eventType?.type, drop?.flow.eventType?.type], [5, 1]);
  t.equal(reader.next(), null);
  log.close();
  t.equal(peers[0].words.length, 0, 'the last ring that is let go of takes the mapping along');
  t.end();
});

t.test('the memory is kept for as long as one of its rings is read', (t) => {
  const journal = Journal.create({ slots: 16, batch: 4, extraBytes: regionBytes(CONNECTIONS, RINGS) });
  t.teardown(() => journal.release());
  createRegion(journal, CONNECTIONS, RINGS);
  const [queries, packets] = openRingMemory({ journalFd: journal.fd });
  queries.release();
  t.ok(packets.words.length > 0);
  packets.release();
  t.equal(packets.words.length, 0);
  t.end();
});

t.test('a journal without flows has no rings', (t) => {
  const journal = Journal.create({ slots: 16, batch: 4, extraBytes: regionBytes(CONNECTIONS) });
  t.teardown(() => journal.release());
  createRegion(journal, CONNECTIONS);
  t.same(openRingMemory({ journalFd: journal.fd }), []);
  t.same(openRingMemory({ journalFd: 1_000_000 }), []);
  t.end();
});
