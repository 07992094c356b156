/**
 * The policy state that the DNS proxies of this node are told, as bytes: made once per snapshot, for all of them.
 *
 * Invariant: what would be longer than STATE_BYTES_MAX is not made.
 */
import type { Snapshot } from '@tandem/core';
import { fqdnPb } from '@tandem/proto';
import { stateOfSnapshot } from './snapshot-state.js';

/** What clients in Go take, unless they are told otherwise. */
export const STATE_BYTES_MAX = 4 * 1024 * 1024;
/** Room for the number of a request, which comes last. */
const REQUEST_ID_BYTES = 64;

export class ServedState {
  private made: { readonly hash: string; readonly bytes: Uint8Array | null } | null = null;

  /** null: it is too large. */
  bytesOf(snapshot: Snapshot, requestId: string): Buffer | null {
    if (this.made?.hash !== snapshot.hash) this.made = { hash: snapshot.hash, bytes: make(snapshot) };
    const { bytes } = this.made;
    // Messages one after another are one message with the fields of both.
    return bytes === null ? null : Buffer.concat([bytes, fqdnPb.PolicyState.encode(fqdnPb.PolicyState.fromPartial({ requestId })).finish()]);
  }
}

function make(snapshot: Snapshot): Uint8Array | null {
  const bytesMax = STATE_BYTES_MAX - REQUEST_ID_BYTES;
  const state = stateOfSnapshot(snapshot, bytesMax);
  const bytes = state === null ? null : fqdnPb.PolicyState.encode(state).finish();
  return bytes === null || bytes.length > bytesMax ? null : bytes;
}
