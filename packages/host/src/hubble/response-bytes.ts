/**
 * The messages of a GetFlows stream, in bytes. A flow's own bytes are made once for all who read it; here the response is framed around
 * them, once for all followers without a field mask.
 */
import { BinaryWriter, GetFlowsResponse, LostEventSource, type NodeState, Timestamp } from '@tandem/proto';
import type { ObservedFlow } from '../flows/flow-log.js';
import type { FieldMask } from './field-mask.js';
import { WIRE } from './wire-format.js';

const FLOW_TAG = 1 * 8 + WIRE.bytes;
const NODE_NAME_TAG = 1000 * 8 + WIRE.bytes;
const TIME_TAG = 1001 * 8 + WIRE.bytes;
const NS_PER_MS = 1_000_000;
const MS_PER_SECOND = 1_000;

/** Kept, as it keeps its buffer. */
const writer = new BinaryWriter();

export function flowResponse(observed: ObservedFlow, mask: FieldMask | null): Uint8Array {
  if (mask !== null) return frame(observed, mask(observed.bytes));
  observed.response ??= frame(observed, observed.bytes);
  return observed.response;
}

export interface About {
  readonly nodeName: string;
  /** Wall clock, milliseconds. */
  readonly timeMs: number;
}

export function lostResponse(lost: number, { nodeName, timeMs }: About): Uint8Array {
  const value = { source: LostEventSource.HUBBLE_RING_BUFFER, numEventsLost: BigInt(lost) };
  return GetFlowsResponse.encode(GetFlowsResponse.fromPartial({ responseTypes: { $case: 'lostEvents', value }, nodeName, time: timestampOf(timeMs) })).finish();
}

export function nodeStatusResponse(stateChange: NodeState, names: readonly string[], message: string, { nodeName, timeMs }: About): Uint8Array {
  const value = { stateChange, nodeNames: [...names], message };
  return GetFlowsResponse.encode(GetFlowsResponse.fromPartial({ responseTypes: { $case: 'nodeStatus', value }, nodeName, time: timestampOf(timeMs) })).finish();
}

export function timestampOf(timeMs: number): Timestamp {
  const seconds = Math.floor(timeMs / MS_PER_SECOND);
  return { seconds: BigInt(seconds), nanos: Math.floor((timeMs - seconds * MS_PER_SECOND) * NS_PER_MS) };
}

function frame({ flow }: ObservedFlow, bytes: Uint8Array): Uint8Array {
  writer.uint32(FLOW_TAG).bytes(bytes);
  if (flow.nodeName !== '') writer.uint32(NODE_NAME_TAG).string(flow.nodeName);
  if (flow.time !== undefined) Timestamp.encode(flow.time, writer.uint32(TIME_TAG).fork()).join();
  return writer.finish();
}
