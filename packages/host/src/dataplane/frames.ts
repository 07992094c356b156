/**
 * DNS messages on a byte stream: two bytes of length, then the message (RFC 1035 §4.2.2). Collects what arrives in any
 * pieces. A message longer than the buffer is given cut, with its true length, and its rest is skipped.
 *
 * Invariant: bounded by the capacity that it was made with. Does not know sockets.
 */
const LENGTH_BYTES = 2;

export interface Frame {
  /** Where the message starts in `FrameReader.bytes`. */
  readonly offset: number;
  /** Bytes of it that are there. */
  readonly length: number;
  /** Its length prefix said more than fits. */
  readonly truncated: boolean;
}

export class FrameReader {
  readonly bytes: Uint8Array;
  private start = 0;
  private end = 0;
  private skip = 0;

  /** `capacity` bytes of one message at most. */
  constructor(capacity: number) {
    this.bytes = new Uint8Array(LENGTH_BYTES + capacity);
  }

  /** Where the next bytes from the stream go; [offset, capacity) is free after this call. */
  writeOffset(): number {
    if (this.start === this.end) {
      this.start = 0;
      this.end = 0;
    } else if (this.start > 0) {
      this.bytes.copyWithin(0, this.start, this.end);
      this.end -= this.start;
      this.start = 0;
    }
    return this.end;
  }

  /** `count` bytes were written at `writeOffset`. */
  wrote(count: number): void {
    this.end += count;
    const skipped = Math.min(this.skip, this.end - this.start);
    this.start += skipped;
    this.skip -= skipped;
  }

  /** The message at the front, or null until it is whole. */
  peek(): Frame | null {
    const available = this.end - this.start;
    if (available < LENGTH_BYTES) return null;
    const length = (this.bytes[this.start] << 8) | this.bytes[this.start + 1];
    const kept = Math.min(length, this.bytes.length - LENGTH_BYTES);
    if (available < LENGTH_BYTES + kept) return null;
    return { offset: this.start + LENGTH_BYTES, length: kept, truncated: kept < length };
  }

  /** Removes the message at the front. */
  consume(frame: Frame): void {
    const length = (this.bytes[this.start] << 8) | this.bytes[this.start + 1];
    this.start += LENGTH_BYTES + frame.length;
    this.skip = length - frame.length;
  }

  get isEmpty(): boolean {
    return this.start === this.end && this.skip === 0;
  }
}
