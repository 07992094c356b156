/** What an exchange says to its peer's, and the bounds of it. How it becomes bytes is `proto`'s. */
import type { Clean, Mapping } from '../fqdn/cache.js';

/** Mappings and cleans in one message at most. */
export const MAPPINGS_PER_MESSAGE = 512;
/** Cleans among them at most: each may cost its receiver a look at the whole cache. */
export const CLEANS_PER_MESSAGE = 64;
/** Messages of changes not yet acknowledged at most; a slow peer then holds the sender back. */
export const MESSAGES_UNACKED_MAX = 16;
/** A peer that has not acknowledged a message, or answered digests, for so long loses the link. */
export const ACK_WITHIN_MS = 10_000;

/** Mappings and cleans; both are joins, so repeats and any order are harmless. */
export interface ChangesMessage {
  readonly kind: 'changes';
  /** 1 for the first one of a link, then one more each. */
  readonly sequence: number;
  /** Once this and all messages before it are applied, so is every change of the sender up to this revision. 0: nothing is said of that. */
  readonly revision: number;
  readonly mappings: readonly Mapping[];
  readonly cleans: readonly Clean[];
}

/** Every `changes` up to this sequence is applied, and may be forgotten. */
export interface AckMessage {
  readonly kind: 'ack';
  readonly sequence: number;
}

/** What the sender knows, by bucket: asks which buckets the receiver has otherwise. */
export interface DigestsMessage {
  readonly kind: 'digests';
  /** Number of this question on this link. */
  readonly pass: number;
  /** `DIGEST_WORDS` words of 32 bits. */
  readonly words: ArrayLike<number>;
}

/** The answer: the buckets in which the two differ. */
export interface BucketsMessage {
  readonly kind: 'buckets';
  readonly pass: number;
  readonly buckets: readonly number[];
}

export type ExchangeMessage = ChangesMessage | AckMessage | DigestsMessage | BucketsMessage;
