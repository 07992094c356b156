// One mapping of one journal, and the pointers into it.
// Invariant: `base` is valid until release(); nothing but release() unmaps it (a finalizer never does, because
// ArrayBuffers over the mapping may live longer than this object).
// Knows nothing of who owns the journal.
#pragma once

#include "layout.h"

namespace reuseport {

class Journal {
 public:
  Journal() = default;
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Both return 0 or −errno; `problem` then says in words what was wrong.
  int create(uint32_t version, uint32_t slots, uint32_t batch, uint32_t transmit, uint32_t extraBytes);
  int open(int fd);
  void release();

  bool released() const { return base == nullptr; }
  Header* header() const { return reinterpret_cast<Header*>(base); }
  uint32_t* states() const { return reinterpret_cast<uint32_t*>(base + layout.stateOffset); }
  uint8_t* slot(uint32_t index) const { return base + layout.slotOffset + uint64_t{index} * kSlotStrideBytes; }
  uint32_t* meta(uint32_t index) const { return reinterpret_cast<uint32_t*>(slot(index)); }
  Note* note(uint32_t index) const { return reinterpret_cast<Note*>(slot(index) + kNoteOffset); }
  mmsghdr* receiveHeaders() const { return reinterpret_cast<mmsghdr*>(base + layout.receiveHeaderOffset); }
  iovec* receiveVectors() const { return reinterpret_cast<iovec*>(base + layout.receiveVectorOffset); }
  uint32_t* receiveIndex() const { return reinterpret_cast<uint32_t*>(base + layout.receiveIndexOffset); }
  uint32_t* receiveListener() const { return reinterpret_cast<uint32_t*>(base + layout.receiveListenerOffset); }
  mmsghdr* transmitHeaders() const { return reinterpret_cast<mmsghdr*>(base + layout.transmitHeaderOffset); }
  iovec* transmitVectors() const { return reinterpret_cast<iovec*>(base + layout.transmitVectorOffset); }
  TransmitRecord* transmitRecords() const {
    return reinterpret_cast<TransmitRecord*>(base + layout.transmitRecordOffset);
  }
  uint8_t* transmitControl(uint32_t message) const {
    return base + layout.transmitControlOffset + uint64_t{message} * kReplyControlBytes;
  }
  // The message that an entry leaves in: index of its mmsghdr.
  uint32_t messageOf(uint32_t entry) const {
    return layout.hasMessages() ? loadWord(transmitMessages() + entry) : entry;
  }
  void setMessage(uint32_t entry, uint32_t message) const {
    if (layout.hasMessages()) storeWord(transmitMessages() + entry, message);
  }

  uint8_t* base = nullptr;
  int fd = -1;
  bool locked = false;
  Layout layout;
  const char* problem = "";
  uint32_t users = 0;  // reactors that work on this mapping

 private:
  uint32_t* transmitMessages() const { return reinterpret_cast<uint32_t*>(base + layout.transmitMessageOffset); }
  int map(bool isOwn);
  void makeResident();
  // Room for what must be resident; 0 or errno.
  int reserve();
};

// From now on a fatal signal (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP) first says so in this journal's header: a process
// that dumps core stays open for seconds, and its peer would take it for one that hangs. The journal is the calling thread's, until it is
// released; a fault of this thread is said there alone, one of a thread without a journal in all. 0, or -ENOSPC: too many threads.
int sayWhenDying(Journal* journal);

// CLOCK_BOOTTIME: goes on during suspend, the same for every process of this kernel.
int64_t bootTimeNs();

}  // namespace reuseport
