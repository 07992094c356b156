/** The one door of `proto`. */
import { fileURLToPath } from 'node:url';

/** Folder of the .proto files, for servers that say what they speak. */
export const PROTO_DIR = fileURLToPath(new URL('../proto', import.meta.resolve('@tandem/proto')));

export * from './address-bytes.js';
export * from './pair-messages.js';
export * as pairV1 from './generated/tandem/pair/v1/pair.js';
export { BinaryWriter } from '@bufbuild/protobuf/wire';
/** Hubble's contract: names and numbers are foreign, see `proto/flow/flow.proto`. */
export * as flowPb from './generated/flow/flow.js';
export * as observerPb from './generated/observer/observer.js';
export * as relayPb from './generated/relay/relay.js';
export { Timestamp } from './generated/google/protobuf/timestamp.js';
export { DropReason, Flow, FlowFilter, FlowType, IPVersion, L7FlowType, LostEventSource, TrafficDirection, Verdict } from './generated/flow/flow.js';
export type { DNS, Endpoint, IP, Layer4, Layer7, LostEvent, Policy, Service, Workload } from './generated/flow/flow.js';
export { GetFlowsRequest, GetFlowsResponse, ObserverClient, ObserverService } from './generated/observer/observer.js';
export { NodeState } from './generated/relay/relay.js';
/** Cilium's contract with a DNS proxy beside it: names and numbers are foreign, see `proto/standalonednsproxy/standalone_dns_proxy.proto`. */
export * as fqdnPb from './generated/standalonednsproxy/standalone_dns_proxy.js';
