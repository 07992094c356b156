/**
 * The memory that a data plane makes at its start: its journal, what lies beside it for the peer, and the flow rings in that. How much,
 * is said by the settings. Does not know what is written there later.
 */
import { randomFillSync } from 'node:crypto';
import type { Settings } from '@tandem/core';
import { Journal } from 'node-reuseport';
import { CELL_BYTES, initRing, RING_CELLS_MIN, ringBytes } from '../flows/flow-ring.js';
import type { FlowsAt } from './messages.js';
import { createRegion, privateRegion, regionBytes, type RingBytes, type SharedRegion } from './shared-region.js';

/** Datagrams per receive call: enough that the system call's own cost does not count (reference: 63 per call under load). */
const BATCH = 64;
/** Journals have the extra region since this layout. */
const LAYOUT_WITH_REGION = 2;
/** Of the flow ring: an ordinary query takes three, and makes two flows. */
const CELLS_PER_FLOW = 2;
/** The ring of packets has so much less room: the kernel's log is limited to far fewer than there are queries. */
const PACKETS_SHARE = 4;

/** `worker`: whose it is, of a member's workers. */
export function createJournal(settings: Settings, worker: number, version: number): Journal {
  const extraBytes = version >= LAYOUT_WITH_REGION ? regionBytes(recordsOf(settings), ringBytesOf(settings, worker)) : 0;
  return Journal.create({ slots: settings.slots, batch: BATCH, version, extraBytes });
}

/** In the journal, so that the peer has it, too; or, with a layout that has no room for it, for ourselves. */
export function regionOf(journal: Journal, settings: Settings, worker: number): SharedRegion {
  const make = journal.layout.extraBytes > 0 ? createRegion.bind(null, journal) : privateRegion;
  return make(recordsOf(settings), ringBytesOf(settings, worker));
}

/** Powers of two of cells, so that the flows wanted fit; beside worker 0's a quarter as many again for those of packets, which the control thread writes. */
function ringBytesOf({ enableHubble, flowCapacity }: Settings, worker: number): RingBytes {
  if (!enableHubble) return { queries: 0, packets: 0 };
  const cells = 2 ** Math.ceil(Math.log2(flowCapacity * CELLS_PER_FLOW));
  return { queries: ringBytes(cells), packets: worker === 0 ? ringBytes(Math.max(RING_CELLS_MIN, cells / PACKETS_SHARE)) : 0 };
}

export function newRing(words: Uint32Array, release: string): Uint32Array {
  const [high, low] = randomFillSync(new Uint32Array(2));
  initRing(words, 2 ** Math.floor(Math.log2(words.byteLength / CELL_BYTES)), [high, low], release);
  return words;
}

export function flowsAt(journal: Journal, { flows, packetFlows }: SharedRegion): FlowsAt {
  return flows.buffer instanceof SharedArrayBuffer ? { queries: flows, packets: packetFlows } : { journalFd: journal.fd };
}

/** As many again as clients may open: those of a peer that is answered for. */
function recordsOf(settings: Settings): number {
  return 2 * settings.tcpConnections;
}
