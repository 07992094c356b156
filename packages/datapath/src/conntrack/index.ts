/** Connections of this node, as the kernel tracks them. */
export { ConntrackSource } from './conntrack-source.js';
export { cutConnections, type FlowJudgement, type TrackedFlow } from './cut-connections.js';
