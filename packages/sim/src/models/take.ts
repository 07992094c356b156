/**
 * Taking over, out of a peer's journal into a slot of one's own: the steps and outcomes of reactor-take.cc.
 *
 * Invariant: a query is copied before the swap to STOLEN and counts only after it; an answer under way is made unsendable
 * for its owner, then looked at once more. As on x86: stores are seen in order.
 */
import { SLOT, slotPayload, slotWord, TAKEN, type Taken } from '@tandem/core';
import { type Journal, nextGeneration, PAYLOAD_BYTES, STATE, UNSET, withState } from './journal.js';
import type { Reactor } from './reactor.js';

/** One's own listeners have the numbers below this; each further block of as many is of one member that is held. */
export const LISTENERS_PER_MEMBER = 16;

/** Ways of taking that are wrong, for the proof that the checkers see them. */
export interface TakeDefects {
  /** Slots in SEND are left alone. */
  readonly skipsSend: boolean;
  /** What is taken from SEND is not made unsendable for its owner. */
  readonly noPoison: boolean;
}

export class Thief {
  /** Slot here, offset and length of the answer. */
  readonly taken = [0, 0, 0];
  private readonly reactor: Reactor;
  private readonly peer: Journal;
  private readonly base: number;
  private readonly defects: TakeDefects;

  constructor(reactor: Reactor, peer: Journal, base: number, defects: TakeDefects) {
    this.reactor = reactor;
    this.peer = peer;
    this.base = base;
    this.defects = defects;
  }

  take(slot: number, nowMs: number): Taken {
    const word = this.peer.states[slot];
    switch (this.peer.state(slot)) {
      case STATE.armed:
        return this.takeArmed(slot, nowMs);
      case STATE.work:
        return this.takeWork(slot, word);
      case STATE.send:
        return this.defects.skipsSend ? TAKEN.nothing : this.takeSend(slot, word);
      default:
        return TAKEN.nothing;
    }
  }

  private takeArmed(slot: number, nowMs: number): Taken {
    const { peer, reactor } = this;
    const entry = peer.receive.find((one) => one.slot === slot);
    if (entry === undefined) return TAKEN.nothing;
    const word = peer.states[slot];
    if (peer.state(slot) !== STATE.armed) return TAKEN.later;
    if (entry.length === UNSET) return TAKEN.nothing;
    const listener = this.numberHere(entry.listener);
    if (reactor.listeners[listener] === null || reactor.listeners[listener] === undefined) return TAKEN.nothing;
    const own = this.copy(slot, withState(word, STATE.stolen), entry.length);
    if (own < 0) return TAKEN.later;
    reactor.journal.describe(own, entry.length, listener, nowMs);
    this.own(own);
    return this.finish(slot, word, own) ? TAKEN.query : TAKEN.later;
  }

  private takeWork(slot: number, word: number): Taken {
    if (this.moot(slot) !== 'no') return TAKEN.nothing;
    const own = this.copy(slot, withState(word, STATE.stolen), this.questionBytes(slot));
    if (own < 0) return TAKEN.later;
    this.moveListener(own);
    this.own(own);
    return this.finish(slot, word, own) ? TAKEN.query : TAKEN.later;
  }

  private takeSend(slot: number, word: number): Taken {
    const { peer, reactor } = this;
    const entry = peer.transmit.find((one) => one.slot === slot && one.word === word);
    if (entry === undefined) return TAKEN.later;
    const { length, offset } = entry;
    const stolen = withState(word, STATE.stolen);
    const moot = this.moot(slot);
    const questionBytes = this.questionBytes(slot);
    const room = (questionBytes + 7) & ~7;
    const fits = room + length <= PAYLOAD_BYTES;
    if (!fits && reactor.adoptionSlot !== UNSET) return TAKEN.flushFirst;
    const own = this.copy(slot, stolen, questionBytes);
    if (own < 0) return TAKEN.later;
    const to = fits ? slotPayload(reactor.journal, own) + room : reactor.journal.adoptionOffset;
    reactor.journal.bytes.set(peer.bytes.subarray(offset, offset + length), to);
    if (!fits) reactor.adoptionSlot = own;
    this.moveListener(own);
    this.own(own);
    if (!this.finish(slot, word, own)) return TAKEN.later;
    const isOurs = (): boolean => entry.slot === slot && entry.word === word;
    const message = peer.messages[entry.message];
    if (isOurs() && !this.defects.noPoison) message.hasName = false;
    reactor.points.hit('steal-after-poison');
    const sent = isOurs() ? message.sent !== UNSET : peer.notes[slot].sentWord === stolen;
    if (sent || moot !== 'no') {
      reactor.freeSlot(own);
      return TAKEN.nothing;
    }
    this.taken[1] = to;
    this.taken[2] = length;
    return TAKEN.answer;
  }

  /**
   * The peer's slot may itself be a copy from our journal whose theft never happened (the peer died before its swap), or
   * whose query was answered from here in the meantime.
   */
  private moot(slot: number): 'no' | 'moot' | 'sent' {
    const source = this.peer.notes[slot];
    const { journal } = this.reactor;
    if (source.sourceJournal !== journal.number) return 'no';
    const own = journal.notes[source.sourceSlot];
    if (own.sentWord === source.sourceWord) return 'sent';
    if (source.isTaken) return 'no';
    const isStolen = journal.states[source.sourceSlot] === source.sourceWord || own.stolenWord === source.sourceWord;
    return isStolen ? 'no' : 'moot';
  }

  /** Copies a slot into a free one of our own, still invisible to others; −1 without one. */
  private copy(slot: number, stolenWord: number, payloadBytes: number): number {
    const { peer, reactor } = this;
    const own = reactor.free.pop();
    if (own === undefined) return -1;
    const { journal } = reactor;
    const from = slotPayload(peer, slot);
    journal.bytes.set(peer.bytes.subarray(from, from + payloadBytes), slotPayload(journal, own));
    const word = slotWord(peer, slot);
    journal.words.set(peer.words.subarray(word, word + peer.payloadOffset / 4), slotWord(journal, own));
    journal.datagrams[own] = peer.datagrams[slot];
    const note = journal.notes[own];
    note.sourceSlot = slot;
    note.sourceWord = stolenWord;
    note.sourceJournal = peer.number;
    note.isTaken = false;
    return own;
  }

  /** Makes the copy WORK before the peer's slot is STOLEN: whichever instant we die at, one of the two holds the query. */
  private own(own: number): void {
    const { reactor } = this;
    const { journal } = reactor;
    journal.words[slotWord(journal, own) + SLOT.steals]++;
    reactor.expected[own] = nextGeneration(reactor.expected[own], STATE.work);
    journal.states[own] = reactor.expected[own];
    reactor.points.hit('steal-before-swap');
  }

  private finish(slot: number, word: number, own: number): boolean {
    if (!this.peer.swap(slot, word, withState(word, STATE.stolen))) {
      this.reactor.freeSlot(own);
      return false;
    }
    this.reactor.journal.notes[own].isTaken = true;
    this.reactor.points.hit('steal-after-swap');
    this.taken[0] = own;
    return true;
  }

  private questionBytes(slot: number): number {
    return Math.min(this.peer.words[slotWord(this.peer, slot) + SLOT.length], PAYLOAD_BYTES);
  }

  /** Numbers above the peer's own are of sockets that it held for others: the one that is left to answer is us, so they are ours. */
  private numberHere(theirs: number): number {
    return theirs < LISTENERS_PER_MEMBER ? theirs + this.base : theirs % LISTENERS_PER_MEMBER;
  }

  private moveListener(own: number): void {
    const { journal } = this.reactor;
    const at = slotWord(journal, own) + SLOT.listener;
    if (journal.words[at] !== UNSET) journal.words[at] = this.numberHere(journal.words[at]);
  }
}
