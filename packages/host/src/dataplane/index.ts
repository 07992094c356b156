/** The data plane: see data-plane.ts for the control thread's side, loop.ts for the worker's. */
export { DataPlane, type DataPlaneEvents, type Gauges, type InheritedSockets, OWN_FLOWS } from './data-plane.js';
export type { MappingRecord } from './mapping-record.js';
export { type Legacy, succeed } from './succession.js';
