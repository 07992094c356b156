/** Flows: one record per query, in a ring that others read. */
export { FlowRecord, MESSAGE_AT, MESSAGE_BYTES_MAX, OUTCOME, type Outcome } from './flow-record.js';
export {
  type CellNumber, FlowRingReader, initRing, NO_RECORD, OVERWRITTEN, RING_CELLS_MAX, RING_CELLS_MIN, ringBytes, ringCells,
} from './flow-ring.js';
export { type FlowSink, FlowWriter, NO_FLOWS } from './flow-writer.js';
