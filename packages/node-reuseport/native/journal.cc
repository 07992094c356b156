// Creates, checks, maps and unmaps journals.
// Invariant: a journal is mapped only after its seals say that nobody can shrink it, because touching a page
// that the other side has cut off is a SIGBUS.
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

namespace reuseport {

namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

bool versionKnown(uint32_t version) { return version >= kOldestLayoutVersion && version <= kLayoutVersion; }

bool countsInRange(uint32_t version, uint32_t slots, uint32_t batch, uint32_t transmit, uint64_t extraBytes) {
  return extraBytes <= (version >= 2 ? kExtraMax : 0) && slots >= 1 && slots <= kSlotsMax && batch >= 1 && batch <= kBatchMax && transmit >= 1 &&
         transmit <= kTransmitMax;
}

void writeHeader(Header* h, const Layout& l, uint64_t id) {
  h->version = l.version;
  h->headerBytes = kHeaderBytes;
  h->id = id;
  h->totalBytes = l.totalBytes;
  h->slots = l.slots;
  h->batch = l.batch;
  h->transmit = l.transmit;
  h->ownerPid = static_cast<uint32_t>(getpid());
  h->stateOffset = l.stateOffset;
  h->slotOffset = l.slotOffset;
  h->receiveHeaderOffset = l.receiveHeaderOffset;
  h->receiveVectorOffset = l.receiveVectorOffset;
  h->receiveIndexOffset = l.receiveIndexOffset;
  h->receiveListenerOffset = l.receiveListenerOffset;
  h->transmitHeaderOffset = l.transmitHeaderOffset;
  h->transmitVectorOffset = l.transmitVectorOffset;
  h->transmitRecordOffset = l.transmitRecordOffset;
  h->transmitControlOffset = l.transmitControlOffset;
  h->answerOffset = l.answerOffset;
  h->scratchOffset = l.scratchOffset;
  if (l.version < 2) return;
  h->extraOffset = l.extraOffset;
  h->extraBytes = l.extraBytes;
  if (l.version < 3) return;
  h->transmitMessageOffset = l.transmitMessageOffset;
}

bool offsetsMatch(const Header& h, const Layout& l) {
  return h.headerBytes == kHeaderBytes && h.totalBytes == l.totalBytes && h.stateOffset == l.stateOffset &&
         h.slotOffset == l.slotOffset && h.receiveHeaderOffset == l.receiveHeaderOffset &&
         h.receiveVectorOffset == l.receiveVectorOffset && h.receiveIndexOffset == l.receiveIndexOffset &&
         h.receiveListenerOffset == l.receiveListenerOffset && h.transmitHeaderOffset == l.transmitHeaderOffset &&
         h.transmitVectorOffset == l.transmitVectorOffset && h.transmitRecordOffset == l.transmitRecordOffset &&
         h.transmitControlOffset == l.transmitControlOffset && h.answerOffset == l.answerOffset &&
         h.scratchOffset == l.scratchOffset && (l.version < 2 || h.extraOffset == l.extraOffset) &&
         (l.version < 3 || h.transmitMessageOffset == l.transmitMessageOffset);
}

}  // namespace

constexpr int kFatalSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
// For a handler that runs because the stack is full.
thread_local uint8_t handlerStack[64 * 1024];
// One per thread that works on a journal.
struct JournalThread {
  std::atomic<pid_t> id{0};
  std::atomic<uint32_t*> dyingWord{nullptr};
};
JournalThread journalThreads[64];
struct sigaction formerActions[sizeof kFatalSignals / sizeof kFatalSignals[0]];

pid_t currentThread() { return static_cast<pid_t>(syscall(SYS_gettid)); }

// Puts the former action back and returns: a fault then happens again, with that.
void onFatalSignal(int signal) {
  // A fault is its thread's own: what others were reading did not cause it. That of a thread without a journal may be anybody's.
  const pid_t self = currentThread();
  bool isKnown = false;
  for (const JournalThread& thread : journalThreads) isKnown = isKnown || thread.id == self;
  for (const JournalThread& thread : journalThreads) {
    uint32_t* word = thread.dyingWord;
    if (word != nullptr && (thread.id == self || !isKnown)) __atomic_store_n(word, 1u, __ATOMIC_SEQ_CST);
  }
  for (size_t i = 0; i < sizeof kFatalSignals / sizeof kFatalSignals[0]; i++) {
    if (kFatalSignals[i] == signal) sigaction(signal, &formerActions[i], nullptr);
  }
  // One that was sent, and not caused, does not happen again by itself.
  raise(signal);
}

int sayWhenDying(Journal* journal) {
  const pid_t self = currentThread();
  JournalThread* own = nullptr;
  for (JournalThread& thread : journalThreads) {
    if (thread.id == self) own = &thread;
  }
  for (JournalThread& thread : journalThreads) {
    pid_t nobody = 0;
    if (own == nullptr && thread.id.compare_exchange_strong(nobody, self)) own = &thread;
  }
  if (own == nullptr) return -ENOSPC;
  own->dyingWord = &journal->header()->stop;
  stack_t stack = {};
  stack.ss_sp = handlerStack;
  stack.ss_size = sizeof handlerStack;
  sigaltstack(&stack, nullptr);
  static const bool installed = [] {
    struct sigaction action = {};
    action.sa_handler = onFatalSignal;
    action.sa_flags = SA_ONSTACK;
    for (size_t i = 0; i < sizeof kFatalSignals / sizeof kFatalSignals[0]; i++) {
      sigaction(kFatalSignals[i], &action, &formerActions[i]);
    }
    return true;
  }();
  (void)installed;
  return 0;
}

int64_t bootTimeNs() {
  timespec t;
  clock_gettime(CLOCK_BOOTTIME, &t);
  return int64_t{t.tv_sec} * 1000000000 + t.tv_nsec;
}

int Journal::map(bool isOwn) {
  int flags = kJournaled ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
  void* at = mmap(nullptr, layout.totalBytes, PROT_READ | PROT_WRITE, flags, kJournaled ? fd : -1, 0);
  if (at == MAP_FAILED) {
    problem = "the journal cannot be mapped: not enough memory or address space";
    return -errno;
  }
  base = static_cast<uint8_t*>(at);
  // Of a peer's, only what is looked at needs to be resident.
  if (isOwn) makeResident();
  return 0;
}

// A page fault in the middle of the kernel's copy would open a window in which a kill could fall.
void Journal::makeResident() {
  locked = true;
  for (const Layout::Part& part : layout.residentParts()) {
    locked = mlock(base + part.offset, part.bytes) == 0 && locked;
    // Where locking is not allowed it did not populate either. Before Linux 5.14 pages then come as they are used.
    if (locked) continue;
    // Pages may be larger than what parts are aligned to.
    const uint64_t start = part.offset & ~(static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) - 1);
    madvise(base + start, part.bytes + (part.offset - start), MADV_POPULATE_WRITE);
  }
}

// What must not be missing later is taken now.
int Journal::reserve() {
  if (ftruncate(fd, static_cast<off_t>(layout.totalBytes)) != 0) return errno;
  for (const Layout::Part& part : layout.residentParts()) {
    if (fallocate(fd, 0, static_cast<off_t>(part.offset), static_cast<off_t>(part.bytes)) != 0) return errno;
  }
  return 0;
}

int Journal::create(uint32_t version, uint32_t slots, uint32_t batch, uint32_t transmit, uint32_t extraBytes) {
  if (!versionKnown(version)) {
    problem = "the layout's version is not known here";
    return -EPROTONOSUPPORT;
  }
  if (!countsInRange(version, slots, batch, transmit, extraBytes)) {
    problem = "slots, batch, transmit or extra bytes are out of range";
    return -EINVAL;
  }
  layout = Layout::of(version, slots, batch, transmit, extraBytes);
  uint64_t id = 0;
  while (id == 0) {
    if (getrandom(&id, sizeof id, 0) != static_cast<ssize_t>(sizeof id)) {
      problem = "the kernel gave no random bytes";
      return -EIO;
    }
  }
  int created = memfd_create("node-reuseport-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (created < 0) {
    problem = "memfd_create failed";
    return -errno;
  }
  fd = created;
  int failed = reserve();
  if (failed != 0) {
    problem = "no memory for the journal: fewer slots, or raise the memory limit";
  } else if (fcntl(fd, F_ADD_SEALS, kSeals) != 0) {
    failed = errno;
    problem = "the journal cannot be sealed";
  } else {
    failed = -map(true);
  }
  if (failed != 0) {
    ::close(fd);
    fd = -1;
    return -failed;
  }
  writeHeader(header(), layout, id);
  for (uint32_t i = 0; i < batch; i++) receiveIndex()[i] = kUnset;
  for (uint32_t i = 0; i < transmit; i++) transmitRecords()[i].slot = kUnset;
  header()->heartbeatNs = static_cast<uint64_t>(bootTimeNs());
  // Last, so that whoever sees the magic sees a complete header.
  __atomic_store_n(&header()->magic, kJournalMagic, __ATOMIC_RELEASE);
  return 0;
}

int Journal::open(int from) {
  int seals = fcntl(from, F_GET_SEALS);
  if (seals < 0) {
    problem = errno == EBADF ? "the file descriptor is not open" : "the file descriptor is not a sealable memfd";
    return errno == EBADF ? -EBADF : -EINVAL;
  }
  if ((seals & kSeals) != kSeals) {
    problem = "the journal is not sealed against shrinking, growing and unsealing, so it is not safe to map";
    return -EPERM;
  }
  struct stat status;
  if (fstat(from, &status) != 0) {
    problem = "fstat failed";
    return -errno;
  }
  Header head;
  if (status.st_size < static_cast<off_t>(kHeaderBytes) ||
      pread(from, &head, sizeof head, 0) != static_cast<ssize_t>(sizeof head)) {
    problem = "the file is too short for a journal";
    return -EINVAL;
  }
  if (head.magic != kJournalMagic) {
    problem = "the magic is wrong: not a journal";
    return -EINVAL;
  }
  if (!versionKnown(head.version)) {
    problem = "the layout's version is not known here";
    return -EPROTONOSUPPORT;
  }
  const uint64_t extraBytes = head.version >= 2 ? head.extraBytes : 0;
  if (!countsInRange(head.version, head.slots, head.batch, head.transmit, extraBytes) || head.id == 0) {
    problem = "the header's counts are out of range";
    return -EINVAL;
  }
  layout = Layout::of(head.version, head.slots, head.batch, head.transmit, static_cast<uint32_t>(extraBytes));
  if (!offsetsMatch(head, layout)) {
    problem = "the header's offsets do not fit its counts";
    return -EINVAL;
  }
  if (static_cast<uint64_t>(status.st_size) != layout.totalBytes) {
    problem = "the file's size does not fit the header";
    return -EINVAL;
  }
  fd = fcntl(from, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) {
    problem = "the file descriptor cannot be duplicated";
    return -errno;
  }
  int result = map(false);
  if (result != 0) {
    ::close(fd);
    fd = -1;
  }
  return result;
}

void Journal::release() {
  if (base == nullptr) return;
  for (JournalThread& thread : journalThreads) {
    if (thread.dyingWord != &header()->stop) continue;
    thread.dyingWord = nullptr;
    thread.id = 0;
  }
  munmap(base, layout.totalBytes);
  base = nullptr;
  ::close(fd);
  fd = -1;
}

}  // namespace reuseport
