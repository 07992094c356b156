// Taking over: what a peer owes, out of its journal into a slot of one's own.
// Invariant: a query is copied before the swap to STOLEN and counts only after it; the swap compares the
// generation, so a slot used again in between is left alone. An answer under way is first made unsendable for its
// owner, then looked at once more.
// Does not know whether the owner lives: taking from one that does is safe, and costs at most one duplicate for a
// send that was interrupted in the middle.
#include <cstring>

#include "reactor.h"

namespace reuseport {

namespace {

// x86 makes the kernel's stores visible in order; elsewhere msg_len may be seen before the bytes, so an entry of an
// owner that lives is taken when it has been seen received for this long.
#if defined(__x86_64__)
constexpr bool kStoresStayInOrder = true;
#else
constexpr bool kStoresStayInOrder = false;
#endif
constexpr int64_t kSettleNs = 1000000;

// Our number for a listener that the peer has under `theirs`. Numbers above its own are of sockets that it held for
// others: the one that is left to answer is asked here, so they are ours.
uint32_t numberHere(uint32_t theirs, uint32_t listenerBase) {
  return theirs < kListenersPerMember ? theirs + listenerBase : theirs % kListenersPerMember;
}

}  // namespace

uint32_t Reactor::take(Journal& peer, uint32_t slot, uint32_t listenerBase, bool ownerGone) {
  views_.taken[0] = kUnset;
  views_.taken[1] = views_.taken[2] = 0;
  const uint32_t word = loadWord(&peer.states()[slot]);
  views_.taken[3] = word & kStateMask;
  uint32_t code = kTakeNothing;
  switch (word & kStateMask) {
    case kArmed: code = takeArmed(peer, slot, listenerBase, ownerGone); break;
    case kWork: code = takeWork(peer, slot, word, listenerBase); break;
    case kSend: code = takeSend(peer, slot, word, listenerBase, ownerGone); break;
    default: break;
  }
  if (code == kTakeQuery || code == kTakeAnswer) journal_.header()->taken++;
  if (code == kTakeRace) count(kTakeRaces);
  views_.control[kFreeSlots] = static_cast<double>(free_.size());
  return code;
}

// The peer's slot may itself be a copy from this journal whose theft never happened (the peer died before its swap),
// or whose query was answered from here in the meantime.
bool Reactor::isMoot(const Journal& peer, uint32_t slot, bool* alreadySent) const {
  const Note source = *peer.note(slot);
  *alreadySent = false;
  if (source.sourceJournal != journal_.header()->id || source.sourceSlot >= journal_.layout.slots) return false;
  const Note* own = journal_.note(source.sourceSlot);
  if (loadWord(&own->sentWord) == source.sourceWord) {
    *alreadySent = true;
    return true;
  }
  // Without this the slot's next theft would hide that this one ever was.
  if (source.taken != 0) return false;
  return loadWord(&journal_.states()[source.sourceSlot]) != source.sourceWord &&
         loadWord(&own->stolenWord) != source.sourceWord;
}

// Copies a slot into a free one of our own, still invisible to others; −1 without one.
int Reactor::copySlot(Journal& peer, uint32_t slot, uint32_t stolenWord, uint32_t payloadBytes) {
  const int own = popSlot();
  if (own < 0) return -1;
  uint8_t* to = journal_.slot(static_cast<uint32_t>(own));
  const uint8_t* from = peer.slot(slot);
  // The payload first: an owner that lives and rewrites it has put what it overwrites into the metadata before.
  memcpy(to + kPayloadOffset, from + kPayloadOffset, payloadBytes < kPayloadBytes ? payloadBytes : kPayloadBytes);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  memcpy(to, from, kNoteOffset);
  Note* note = journal_.note(static_cast<uint32_t>(own));
  note->sourceSlot = slot;
  note->sourceWord = stolenWord;
  note->sourceJournal = peer.header()->id;
  note->taken = 0;
  return own;
}

// Makes the copy WORK before the peer's slot is STOLEN: whichever instant this process dies at, one of the two holds
// the query, and the note tells the peer which.
void Reactor::ownCopy(uint32_t own) {
  journal_.meta(own)[kSteals]++;
  expected_[own] = nextGeneration(expected_[own], kWork);
  storeWord(&journal_.states()[own], expected_[own]);
  points_.hit(Point::StealBeforeSwap);
}

// The swap has happened: whatever becomes of the peer's slot, the copy counts.
void Reactor::confirmTheft(uint32_t own) {
  storeWord(&journal_.note(own)->taken, 1);
  points_.hit(Point::StealAfterSwap);
}

uint32_t Reactor::takeWork(Journal& peer, uint32_t slot, uint32_t word, uint32_t listenerBase) {
  const uint32_t stolen = withState(word, kStolen);
  bool alreadySent = false;
  // The copy is left alone: its thief may be about to swap, and would then hold a query that nobody has.
  if (isMoot(peer, slot, &alreadySent)) return alreadySent ? kTakeSent : kTakeMoot;
  const int own = copySlot(peer, slot, stolen, peer.meta(slot)[kLength]);
  if (own < 0) return kTakeNoSlot;
  uint32_t* meta = journal_.meta(static_cast<uint32_t>(own));
  if (meta[kLength] > kPayloadBytes) meta[kLength] = kPayloadBytes;
  if (meta[kListener] != kUnset) meta[kListener] = numberHere(meta[kListener], listenerBase);
  ownCopy(static_cast<uint32_t>(own));
  if (!swapWord(&peer.states()[slot], word, stolen)) {
    freeSlot(static_cast<uint32_t>(own));
    return kTakeRace;
  }
  confirmTheft(static_cast<uint32_t>(own));
  views_.taken[0] = static_cast<uint32_t>(own);
  count(kTakenQueries);
  return kTakeQuery;
}

bool Reactor::seenLongEnough(Journal& peer, uint32_t slot, uint32_t word) {
  if (sightingsOf_ != peer.header()->id) {
    sightingsOf_ = peer.header()->id;
    sightings_.assign(peer.layout.slots, Sighting{0, 0});
  }
  const int64_t nowNs = bootTimeNs();
  Sighting& seen = sightings_[slot];
  if (seen.word != word) {
    seen = {word, nowNs};
    return false;
  }
  return nowNs - seen.atNs >= kSettleNs;
}

uint32_t Reactor::takeArmed(Journal& peer, uint32_t slot, uint32_t listenerBase, bool ownerGone) {
  const uint32_t batch = peer.layout.batch;
  uint32_t entry = 0;
  while (entry < batch && loadWord(&peer.receiveIndex()[entry]) != slot) entry++;
  if (entry == batch) return kTakeNothing;
  // Index, state, length, in this order: with another one, the length may be of the entry's next use.
  const uint32_t word = loadWord(&peer.states()[slot]);
  if ((word & kStateMask) != kArmed) return kTakeRace;
  const mmsghdr& header = peer.receiveHeaders()[entry];
  const uint32_t length = __atomic_load_n(&header.msg_len, __ATOMIC_ACQUIRE);
  if (length == kUnset) return kTakeNothing;
  if (!kStoresStayInOrder && !ownerGone && !seenLongEnough(peer, slot, word)) return kTakeNotYet;
  const uint32_t listener = numberHere(peer.receiveListener()[entry], listenerBase);
  if (listener >= listeners_.size() || listeners_[listener].fd < 0) return kTakeUnknownListener;

  const uint32_t stolen = withState(word, kStolen);
  const int own = copySlot(peer, slot, stolen, length);
  if (own < 0) return kTakeNoSlot;
  Datagram datagram;
  datagram.length = length;
  datagram.nameBytes = header.msg_hdr.msg_namelen;
  datagram.controlBytes = header.msg_hdr.msg_controllen;
  datagram.truncated = (header.msg_hdr.msg_flags & MSG_TRUNC) != 0;
  datagram.listener = listener;
  datagram.receivedAtMs = nowMs_;
  describeDatagram(journal_.slot(static_cast<uint32_t>(own)), datagram, listeners_[listener].bound);
  ownCopy(static_cast<uint32_t>(own));
  if (!swapWord(&peer.states()[slot], word, stolen)) {
    freeSlot(static_cast<uint32_t>(own));
    return kTakeRace;
  }
  confirmTheft(static_cast<uint32_t>(own));
  views_.taken[0] = static_cast<uint32_t>(own);
  count(kTakenQueries);
  count(kTakenArmed);
  return kTakeQuery;
}

uint32_t Reactor::takeSend(Journal& peer, uint32_t slot, uint32_t word, uint32_t listenerBase, bool ownerGone) {
  const uint32_t entries = peer.layout.transmit;
  TransmitRecord* records = peer.transmitRecords();
  uint32_t entry = 0;
  while (entry < entries && !(loadWord(&records[entry].slot) == slot && records[entry].word == word)) entry++;
  if (entry == entries) return kTakeRace;
  const TransmitRecord& record = records[entry];
  const uint32_t length = record.length;
  const uint32_t offset = record.byteOffset;
  const uint32_t message = peer.messageOf(entry);
  if (length > kAnswerBytes || uint64_t{offset} + length > peer.layout.totalBytes || message >= entries) return kTakeRace;

  const uint32_t stolen = withState(word, kStolen);
  bool alreadySent = false;
  const bool moot = isMoot(peer, slot, &alreadySent);
  const uint32_t questionBytes = peer.meta(slot)[kLength] < kPayloadBytes ? peer.meta(slot)[kLength] : kPayloadBytes;
  const uint32_t room = (questionBytes + 7) & ~7u;
  const bool fits = room + length <= kPayloadBytes;
  if (!fits && adoptionSlot_ != kUnset) return kTakeFlushFirst;
  const int own = copySlot(peer, slot, stolen, questionBytes);
  if (own < 0) return kTakeNoSlot;
  const uint32_t ownSlot = static_cast<uint32_t>(own);
  uint8_t* to = fits ? journal_.slot(ownSlot) + kPayloadOffset + room : journal_.base + journal_.layout.adoptionOffset();
  memcpy(to, peer.base + offset, length);
  if (!fits) adoptionSlot_ = ownSlot;
  journal_.meta(ownSlot)[kLength] = questionBytes;
  uint32_t& listener = journal_.meta(ownSlot)[kListener];
  listener = numberHere(listener, listenerBase);
  ownCopy(ownSlot);
  if (!swapWord(&peer.states()[slot], word, stolen)) {
    freeSlot(ownSlot);
    return kTakeRace;
  }
  confirmTheft(ownSlot);
  // Without a destination the kernel refuses the owner's late send of this entry's message; the owner then sends what is left of it.
  // Which that is, is asked once more: the owner may have given the reply another since.
  const uint32_t now = peer.messageOf(entry);
  mmsghdr& header = peer.transmitHeaders()[now < entries ? now : message];
  auto ours = [&] { return loadWord(&record.slot) == slot && record.word == word; };
  if (ours()) {
    __atomic_store_n(&header.msg_hdr.msg_name, nullptr, __ATOMIC_SEQ_CST);
    __atomic_store_n(&header.msg_hdr.msg_namelen, 0u, __ATOMIC_SEQ_CST);
  }
  points_.hit(Point::StealAfterPoison);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  // If the owner has gone on and cleared the record, the length may be of another answer: then its note tells.
  bool sent = __atomic_load_n(&header.msg_len, __ATOMIC_SEQ_CST) != kUnset;
  if (!ours()) sent = loadWord(&peer.note(slot)->sentWord) == stolen;
  if (sent || (moot && alreadySent)) {
    freeSlot(ownSlot);
    count(kTakenSent);
    return kTakeSent;
  }
  if (moot) {
    freeSlot(ownSlot);
    return kTakeMoot;
  }
  views_.taken[0] = ownSlot;
  views_.taken[1] = static_cast<uint32_t>(to - journal_.base);
  views_.taken[2] = length;
  count(kTakenAnswers);
  // The owner's send may be under way.
  if (!ownerGone) count(kCrossed);
  return kTakeAnswer;
}

}  // namespace reuseport
