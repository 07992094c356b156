/** The one door of `host`. */
export { CiliumLink } from './cilium/link.js';
export * from './control/index.js';
export * from './dataplane/index.js';
export { type FlowLog, type FlowReader, type LostFlows, type MemberFlows, type ObservedFlow } from './flows/flow-log.js';
export { serveFlows } from './member/serve-flows.js';
export { type HubbleServer, startHubbleServer } from './hubble/server.js';
export type { Enforcement, EnforcementCounts, EnforcementSeams } from './member/enforcement.js';
export { Member, POLICY_FROM_ANYWHERE_MS } from './member/member.js';
export { MEMBER_METRICS } from './member/member-metrics.js';
export type { PolicySourceReadings } from './member/source-metrics.js';
export { MemberView } from './member/member-view.js';
export { type PairClient, startPairClient } from './pair/client.js';
export { type PairServer, startPairServer } from './pair/server.js';
export { type DaemonContext, type Running, runDaemon } from './run-daemon.js';
export { KeptState } from './state/kept-state.js';
export { sha256 } from './state/sha256.js';
export { StateFile } from './state/state-file.js';
export { SNAPSHOT_BYTES_MAX } from '@tandem/proto';
