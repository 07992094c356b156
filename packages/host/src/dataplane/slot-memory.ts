/** A journal, a member's own or a held one, as core sees slots. */
import { assert, SLOT, type SlotMemory } from '@tandem/core';
import { type Journal, Meta, SlotState } from 'node-reuseport';

/** A state word's low bits; the rest is the generation. */
export const STATE_MASK = 7;

/** Core's view of the journal; the addon and core must mean the same by every word. */
export function slotMemory(journal: Journal): SlotMemory {
  const same =
    SLOT.length === Meta.LENGTH &&
    SLOT.flags === Meta.FLAGS &&
    SLOT.listener === Meta.LISTENER &&
    SLOT.clientFamily === Meta.CLIENT_FAMILY &&
    SLOT.clientAddress === Meta.CLIENT_ADDRESS &&
    SLOT.clientPort === Meta.CLIENT_PORT &&
    SLOT.serverAddress === Meta.SERVER_ADDRESS &&
    SLOT.serverPort === Meta.SERVER_PORT &&
    SLOT.interface === Meta.INTERFACE &&
    SLOT.mark === Meta.MARK &&
    SLOT.upstreamAddress === Meta.UPSTREAM_ADDRESS &&
    SLOT.upstreamPort === Meta.UPSTREAM_PORT &&
    SLOT.steals === Meta.STEALS &&
    SLOT.receivedAtMs === Meta.RECEIVED_AT_MS &&
    SLOT.clientId === Meta.USER;
  assert(same, "the addon's slot layout is core's");
  const { layout } = journal;
  return {
    bytes: new Uint8Array(journal.buffer),
    words: new Uint32Array(journal.buffer),
    slotCount: layout.slots,
    firstSlotOffset: layout.slotOffset,
    slotStride: layout.slotStride,
    payloadOffset: layout.payloadOffset,
  };
}

/** Whether a peer has taken the query in a slot over: to answer it is the peer's from then on. */
export function isStolenIn({ buffer, layout }: Journal): (slot: number) => boolean {
  const states = new Uint32Array(buffer, layout.stateOffset, layout.slots);
  return (slot) => (Atomics.load(states, slot) & STATE_MASK) === SlotState.STOLEN;
}
