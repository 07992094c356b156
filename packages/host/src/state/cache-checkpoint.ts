/**
 * The whole FQDN cache as the bytes of a checkpoint, in slices, so that the thread is never held up for long.
 *
 * Invariant: the end item is the last, and counts what stands before it: a checkpoint without it is no checkpoint.
 */
import type { Clean, Mapping } from '@tandem/core';
import { FrameWriter } from './cache-frames.js';
import { CACHE_FILE_BYTES_MAX } from './cache-files.js';
import type { BootClock } from './cache-load.js';

/** Mappings in one frame: about a millisecond's work. */
const SLICE = 1000;
/** Of the largest file that is read again; the rest is for cleans and what an estimate misses. */
const MAPPINGS_BYTES_MAX = CACHE_FILE_BYTES_MAX * 0.9;
/** Of one mapping besides its texts. */
const FIXED_BYTES = 33;

export interface CheckpointContent {
  readonly header: Buffer;
  readonly cleans: readonly Clean[];
  /** Read slice by slice. */
  readonly mappings: Iterable<Mapping>;
  readonly clock: BootClock;
  /** Asked before each slice; true ends it with an error. */
  readonly isBrokenOff: () => boolean;
}

/** There is more than may be read again. */
export class TooLarge extends Error {}

/** A part's bytes are good until the next but one is asked for. @throws TooLarge */
export async function* checkpointParts(content: CheckpointContent): AsyncGenerator<Buffer> {
  const { header, cleans, clock } = content;
  const writer = new FrameWriter();
  const source = content.mappings[Symbol.iterator]();
  let bytes = header.length;
  let frames = 0;
  let mappings = 0;
  yield header;
  for (const clean of cleans) writer.clean(clean);
  for (let isDone = false; !isDone;) {
    if (content.isBrokenOff()) throw new Error('broken off: the member ends');
    const slice = takeSlice(source, writer);
    mappings += slice.taken;
    isDone = slice.isDone;
    if (isDone) writer.end(mappings, cleans.length);
    const frame = writer.take(frames++, clock.now());
    bytes += frame.length;
    if (bytes > CACHE_FILE_BYTES_MAX) throw new TooLarge(`the FQDN cache has more than ${CACHE_FILE_BYTES_MAX} bytes`);
    yield frame;
    // Where the disk answers at once, too, others get their turn.
    await new Promise((resolve) => { setImmediate(resolve); });
  }
}

function takeSlice(source: Iterator<Mapping>, writer: FrameWriter): { readonly taken: number; readonly isDone: boolean } {
  for (let taken = 0; taken < SLICE; taken++) {
    const next = source.next();
    if (next.done === true) return { taken, isDone: true };
    writer.mapping(next.value);
  }
  return { taken: SLICE, isDone: false };
}

/** The mappings that a file may hold; where that is not all of them, those that expire last. Sorts and cuts `mappings`. */
export function fitting(mappings: Mapping[], bytesMax = MAPPINGS_BYTES_MAX): { mappings: readonly Mapping[]; leftOut: number } {
  if (estimate(mappings, bytesMax) === mappings.length) return { mappings, leftOut: 0 };
  mappings.sort((a, b) => b.expiryMs - a.expiryMs);
  const kept = estimate(mappings, bytesMax);
  const leftOut = mappings.length - kept;
  mappings.length = kept;
  return { mappings, leftOut };
}

/** How many, from the first on, surely fit. */
function estimate(mappings: readonly Mapping[], bytesMax: number): number {
  let bytes = 0;
  for (let i = 0; i < mappings.length; i++) {
    const { endpointUid, name, address } = mappings[i];
    // A UID stands only once in a frame, which makes up for what is not ASCII.
    bytes += FIXED_BYTES + endpointUid.length + name.length + address.length;
    if (bytes > bytesMax) return i;
  }
  return mappings.length;
}
