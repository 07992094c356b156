/** The data planes: see data-planes.ts and data-plane.ts for the control thread's side, loop.ts for a worker's. */
export { type Gauges, OWN_FLOWS } from './data-plane.js';
export { DataPlanes, type MemberSockets, PreparedPlanes } from './data-planes.js';
export type { MappingRecord } from './mapping-record.js';
export { slotsOf } from './worker-share.js';
