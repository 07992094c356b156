/**
 * The messages of a GetFlows stream, in bytes. A flow's own bytes are made once for all who read it; here the response is framed around
 * them, once for all followers without a field mask.
 */
import { GetFlowsResponse, LostEventSource, type NodeState, Timestamp } from '@tandem/proto';
import type { ObservedFlow } from '../flows/flow-log.js';
import type { FieldMask } from './field-mask.js';
import { varintBytes, WIRE, writeVarint } from './wire-format.js';

const FLOW_TAG = 1 * 8 + WIRE.bytes;
const NODE_NAME_TAG = 1000 * 8 + WIRE.bytes;
const TIME_TAG = 1001 * 8 + WIRE.bytes;
const NS_PER_MS = 1_000_000;
const MS_PER_SECOND = 1_000;

const framed = new WeakMap<ObservedFlow, Uint8Array>();

export function flowResponse(observed: ObservedFlow, mask: FieldMask | null): Uint8Array {
  if (mask !== null) return frame(observed, mask(observed.bytes));
  let bytes = framed.get(observed);
  if (bytes === undefined) {
    bytes = frame(observed, observed.bytes);
    framed.set(observed, bytes);
  }
  return bytes;
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
  const name = Buffer.from(flow.nodeName);
  const time = flow.time === undefined ? null : Timestamp.encode(flow.time).finish();
  const parts: readonly (readonly [number, Uint8Array | null])[] = [[FLOW_TAG, bytes], [NODE_NAME_TAG, name.length === 0 ? null : name], [TIME_TAG, time]];
  let length = 0;
  for (const [tag, part] of parts) if (part !== null) length += varintBytes(tag) + varintBytes(part.length) + part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const [tag, part] of parts) {
    if (part === null) continue;
    at = writeVarint(out, writeVarint(out, at, tag), part.length);
    out.set(part, at);
    at += part.length;
  }
  return out;
}
