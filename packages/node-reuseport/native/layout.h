// The shape of a journal: where each part lies in the shared memory, and what a state word means.
// Invariant: everything a peer may read is an offset from the mapping's start; pointers stored in message
// headers belong to the owner's address space and are never followed by anybody else.
// Knows nothing of system calls, threads or JavaScript.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace reuseport {

// False only in the build that measures what the journal costs (tools/build plain): private memory, no state words, nothing
// that a thief would need. Never for use.
#ifdef REUSEPORT_PLAIN
constexpr bool kJournaled = false;
#else
constexpr bool kJournaled = true;
#endif

constexpr uint64_t kJournalMagic = 0x4c4e524a54525652ull;  // "RVRTJRNL", little endian
// Version 1 has no extra region; before version 3 each reply is a message of its own. This build writes and reads all.
constexpr uint32_t kLayoutVersion = 3;
constexpr uint32_t kOldestLayoutVersion = 1;

constexpr uint32_t kFree = 0;
constexpr uint32_t kArmed = 1;
constexpr uint32_t kWork = 2;
constexpr uint32_t kSend = 3;
constexpr uint32_t kStolen = 4;
constexpr uint32_t kStateBits = 3;
constexpr uint32_t kStateMask = (1u << kStateBits) - 1;

// In msg_len: the kernel has not written here yet. In an index: no slot.
constexpr uint32_t kUnset = 0xffffffffu;

constexpr uint32_t kHeaderBytes = 4096;
constexpr uint32_t kCacheLineBytes = 64;

// Strides are odd numbers of cache lines: with an even one, the same field of neighbouring slots falls
// into few cache sets.
constexpr uint32_t kSlotStrideBytes = 33 * kCacheLineBytes;
constexpr uint32_t kNameOffset = 128;
constexpr uint32_t kNameBytes = 32;
constexpr uint32_t kControlOffset = 160;
constexpr uint32_t kControlBytes = 128;
constexpr uint32_t kNoteOffset = 288;
constexpr uint32_t kPayloadOffset = 320;
constexpr uint32_t kPayloadBytes = kSlotStrideBytes - kPayloadOffset;

constexpr uint32_t kAnswerBytes = 65535;
constexpr uint32_t kAnswerStrideBytes = 1033 * kCacheLineBytes;
constexpr uint32_t kHeldAnswers = 16;
constexpr uint32_t kAdoptionAnswers = 1;
constexpr uint32_t kScratchStrideBytes = 512;
constexpr uint32_t kReplyControlBytes = 64;

constexpr uint32_t kSlotsMax = 1u << 20;
constexpr uint32_t kBatchMax = 1024;     // UIO_MAXIOV: what one recvmmsg or sendmmsg takes
constexpr uint32_t kTransmitMax = 8192;
constexpr uint32_t kExtraMax = 64u << 20;

// Metadata: indices of u32 words at the start of a slot.
enum Meta : uint32_t {
  kLength = 0,
  kFlags = 1,
  kListener = 2,
  kClientFamily = 3,
  kClientAddress = 4,
  kClientPort = 8,
  kServerAddress = 9,
  kServerPort = 13,
  kInterface = 14,
  kMark = 15,
  kUpstreamAddress = 16,
  kUpstreamPort = 20,
  kSteals = 21,
  kReceivedAtMs = 22,
  kUser = 24,
  kMetaWords = 32,
};

constexpr uint32_t kFlagTruncated = 1;

// What is remembered of thefts, at kNoteOffset of each slot; survives the slot's reuse.
struct Note {
  uint32_t stolenWord;   // last STOLEN word the owner found here
  uint32_t sentWord;     // the same, if the owner had sent its answer by then
  uint32_t sourceSlot;   // slot this one was copied from
  uint32_t sourceWord;   // STOLEN word which the source carries once that theft has happened
  uint64_t sourceJournal;  // id of the journal copied from; 0: received, not stolen
  uint32_t taken;        // 1 once that theft has happened
  uint32_t reserved;
};
static_assert(kNoteOffset + sizeof(Note) <= kPayloadOffset, "notes fit before the payload");

// One entry of the transmit batch: what a thief needs to finish it. Its message's mmsghdr says whether it was sent.
struct TransmitRecord {
  uint32_t slot;        // kUnset: entry not in use
  uint32_t word;        // state word (SEND) the slot carries while this entry is under way
  uint32_t byteOffset;  // answer, from the journal's start
  uint32_t length;
};

struct alignas(kCacheLineBytes) Header {
  uint64_t magic;
  uint32_t version;
  uint32_t headerBytes;
  uint64_t id;  // random, never 0
  uint64_t totalBytes;
  uint32_t slots;
  uint32_t batch;
  uint32_t transmit;
  uint32_t ownerPid;
  uint64_t stateOffset, slotOffset;
  uint64_t receiveHeaderOffset, receiveVectorOffset, receiveIndexOffset, receiveListenerOffset;
  uint64_t transmitHeaderOffset, transmitVectorOffset, transmitRecordOffset, transmitControlOffset;
  uint64_t answerOffset, scratchOffset;
  // Words that change in running, each on a line of its own so that readers do not slow writers.
  alignas(kCacheLineBytes) uint64_t heartbeatNs;
  alignas(kCacheLineBytes) uint32_t cursor;
  alignas(kCacheLineBytes) uint32_t stop;
  uint32_t epoch;
  alignas(kCacheLineBytes) uint64_t received;
  uint64_t answered;
  uint64_t lostToPeer;
  uint64_t taken;
  // Since version 2.
  uint64_t extraOffset, extraBytes;
  // Since version 3.
  uint64_t transmitMessageOffset;
};
constexpr uint32_t kApplicationOffset = 1024;
constexpr uint32_t kApplicationBytes = kHeaderBytes - kApplicationOffset;
static_assert(sizeof(Header) <= kApplicationOffset, "the application's area starts behind the header");

struct Layout {
  uint32_t version = kLayoutVersion;
  uint32_t slots = 0, batch = 0, transmit = 0, extraBytes = 0;
  uint64_t stateOffset = 0, slotOffset = 0;
  uint64_t receiveHeaderOffset = 0, receiveVectorOffset = 0, receiveIndexOffset = 0, receiveListenerOffset = 0;
  uint64_t transmitHeaderOffset = 0, transmitVectorOffset = 0, transmitRecordOffset = 0, transmitControlOffset = 0;
  uint64_t answerOffset = 0, scratchOffset = 0, extraOffset = 0, transmitMessageOffset = 0, totalBytes = 0;

  struct Part {
    uint64_t offset, bytes;
  };

  // All but the answers: each has room for the largest, nearly all are small, and one that a kill cuts off is asked for again.
  std::array<Part, 2> residentParts() const {
    return {Part{0, answerOffset}, Part{scratchOffset, totalBytes - scratchOffset}};
  }

  // Several replies may be one message: of which one each is, is written beside its record.
  bool hasMessages() const { return version >= 3; }
  uint32_t answers() const { return batch + kHeldAnswers + kAdoptionAnswers; }
  uint64_t adoptionOffset() const { return answerOffset + uint64_t{batch + kHeldAnswers} * kAnswerStrideBytes; }

  static Layout of(uint32_t version, uint32_t slots, uint32_t batch, uint32_t transmit, uint32_t extraBytes) {
    Layout l;
    l.version = version;
    l.extraBytes = extraBytes;
    l.slots = slots;
    l.batch = batch;
    l.transmit = transmit;
    uint64_t at = kHeaderBytes;
    auto part = [&at](uint64_t bytes) {
      uint64_t start = at;
      at += (bytes + kHeaderBytes - 1) / kHeaderBytes * kHeaderBytes;
      return start;
    };
    l.stateOffset = part(uint64_t{slots} * sizeof(uint32_t));
    l.slotOffset = part(uint64_t{slots} * kSlotStrideBytes);
    l.receiveHeaderOffset = part(uint64_t{batch} * sizeof(mmsghdr));
    l.receiveVectorOffset = part(uint64_t{batch} * sizeof(iovec));
    l.receiveIndexOffset = part(uint64_t{batch} * sizeof(uint32_t));
    l.receiveListenerOffset = part(uint64_t{batch} * sizeof(uint32_t));
    l.transmitHeaderOffset = part(uint64_t{transmit} * sizeof(mmsghdr));
    l.transmitVectorOffset = part(uint64_t{transmit} * sizeof(iovec));
    l.transmitRecordOffset = part(uint64_t{transmit} * sizeof(TransmitRecord));
    l.transmitControlOffset = part(uint64_t{transmit} * kReplyControlBytes);
    l.answerOffset = part(uint64_t{l.answers()} * kAnswerStrideBytes);
    l.scratchOffset = part(uint64_t{transmit} * kScratchStrideBytes);
    l.extraOffset = part(extraBytes);
    l.transmitMessageOffset = part(l.hasMessages() ? uint64_t{transmit} * sizeof(uint32_t) : 0);
    l.totalBytes = at;
    return l;
  }
};

inline uint32_t loadWord(const uint32_t* at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
inline void storeWord(uint32_t* at, uint32_t value) { __atomic_store_n(at, value, __ATOMIC_RELEASE); }
inline bool swapWord(uint32_t* at, uint32_t expected, uint32_t desired) {
  return __atomic_compare_exchange_n(at, &expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
inline uint32_t withState(uint32_t word, uint32_t state) { return (word & ~kStateMask) | state; }
inline uint32_t nextGeneration(uint32_t word, uint32_t state) {
  return (((word >> kStateBits) + 1) << kStateBits) | state;
}

}  // namespace reuseport
