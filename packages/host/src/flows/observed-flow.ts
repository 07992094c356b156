/** What all flows have, whatever they tell of: an empty one to begin with, a UUID, and the bytes for all who read it. */
import { BinaryWriter, Flow } from '@tandem/proto';
import type { ObservedFlow } from './flow-log.js';

const NS_PER_MS = 1_000_000;
const MS_PER_SECOND = 1000;

/** What a flow has where nothing is said. */
export const BLANK_FLOW = Flow.create();
/** Kept, as it keeps its buffer. */
const writer = new BinaryWriter();

export function observed(flow: Flow, timeMs: number, uuid: string): ObservedFlow {
  const seconds = Math.floor(timeMs / MS_PER_SECOND);
  const whole: Flow = {
    ...flow,
    uuid,
    time: { seconds: BigInt(seconds), nanos: Math.min(999_999_999, Math.round((timeMs - seconds * MS_PER_SECOND) * NS_PER_MS)) },
  };
  return { flow: whole, bytes: Flow.encode(whole, writer).finish(), timeMs, response: null };
}

/** Version 8 of RFC 9562: the ring's random ID, the second (for numbers that have run over) and the flow's number in its ring. */
export function uuidOf(ringId: string, flowNumber: number, endedAtMs: number): string {
  const number = (flowNumber >>> 0).toString(16).padStart(8, '0');
  const second = (Math.floor(endedAtMs / MS_PER_SECOND) & 0xffff).toString(16).padStart(4, '0');
  return `${ringId.slice(0, 8)}-${ringId.slice(8, 12)}-8${ringId.slice(12, 15)}-80${ringId.slice(15)}0-${second}${number}`;
}
