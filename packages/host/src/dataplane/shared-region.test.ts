import t from 'tap';
import { Journal } from 'node-reuseport';
import { initRing, RING_CELLS_MIN, ringBytes, ringCells } from '../flows/flow-ring.js';
import { createRegion, openRegion, regionBytes, type SharedRegion } from './shared-region.js';

const CONNECTIONS = 4;
const RINGS = { queries: ringBytes(RING_CELLS_MIN * 4), packets: ringBytes(RING_CELLS_MIN) };
const PACKETS_OFFSET_WORD = 8;
const PACKETS_BYTES_WORD = 9;

function stage(t: { teardown(end: () => void): unknown }): { journal: Journal; region: SharedRegion; words: Uint32Array } {
  const journal = Journal.create({ slots: 16, batch: 4, extraBytes: regionBytes(CONNECTIONS, RINGS) });
  t.teardown(() => journal.release());
  const region = createRegion(journal, CONNECTIONS, RINGS);
  initRing(region.flows, RING_CELLS_MIN * 4, [1, 1]);
  initRing(region.packetFlows, RING_CELLS_MIN, [2, 2]);
  return { journal, region, words: new Uint32Array(journal.buffer, journal.layout.applicationOffset, PACKETS_BYTES_WORD + 1) };
}

t.test('both flow rings of a member are where its peer looks for them, apart and within the region', (t) => {
  const { journal, region } = stage(t);
  const opened = openRegion(journal)!;
  t.same([ringCells(opened.flows), ringCells(opened.packetFlows)], [RING_CELLS_MIN * 4, RING_CELLS_MIN]);
  region.flows.fill(0xffff_ffff);
  t.equal(ringCells(opened.packetFlows), RING_CELLS_MIN, 'what is written into one is not in the other');
  const end = opened.packetFlows.byteOffset + opened.packetFlows.byteLength;
  t.ok(end <= journal.layout.extraOffset + journal.layout.extraBytes);
  t.end();
});

t.test('a member of before there were packets has no ring of them', (t) => {
  const { journal, words } = stage(t);
  words.fill(0, PACKETS_OFFSET_WORD);
  const opened = openRegion(journal)!;
  t.equal(opened.packetFlows.length, 0);
  t.equal(ringCells(opened.flows), RING_CELLS_MIN * 4);
  t.end();
});

t.test('a ring that would lie outside of the region is refused', (t) => {
  for (const [word, value] of [[PACKETS_OFFSET_WORD, 0], [PACKETS_OFFSET_WORD, 0xffff_fff8], [PACKETS_BYTES_WORD, 0xffff_fffc], [PACKETS_BYTES_WORD, RINGS.packets + 1]] as const) {
    const { journal, words } = stage(t);
    words[word] = value;
    t.throws(() => openRegion(journal), { code: 'LINK' }, `word ${word}: ${value}`);
  }
  t.end();
});
