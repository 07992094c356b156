// The reactor's life, its registrations, its slots and one step. Receiving, sending and taking have files of
// their own.
#include "reactor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/in6.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

namespace reuseport {

namespace {

// Datagrams looked for between a socket's bind and its connect.
constexpr int kStrayMax = 1024;

enum Kind : uint32_t { kWakeEvent = 0, kListenerEvent = 1, kUpstreamEvent = 2, kWatchEvent = 3 };

uint64_t eventKey(Kind kind, uint32_t index) { return uint64_t{kind} << 32 | index; }

int control(int epollFd, int operation, int fd, uint32_t events, uint64_t key) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = key;
  return epoll_ctl(epollFd, operation, fd, &event) == 0 ? 0 : -errno;
}

int familyOf(int fd, Address* bound) {
  sockaddr_storage name = {};
  socklen_t bytes = sizeof name;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &bytes) != 0) return -errno;
  if (name.ss_family != AF_INET && name.ss_family != AF_INET6) return -EAFNOSUPPORT;
  int type = 0;
  socklen_t typeBytes = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &typeBytes) != 0) return -errno;
  if (type != SOCK_DGRAM) return -EPROTOTYPE;
  *bound = addressOf(name);
  return name.ss_family;
}

}  // namespace

Reactor::Reactor(Journal& journal, CodePoints& points, uint32_t readyCapacity)
    : journal_(journal), points_(points), readyCapacity_(readyCapacity), first_(journal.layout.batch) {}

Reactor::~Reactor() { close(); }

int Reactor::start(const Views& views) {
  views_ = views;
  const Layout& l = journal_.layout;
  epollFd_ = epoll_create1(EPOLL_CLOEXEC);
  if (epollFd_ < 0) return -errno;
  wakeFd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int failed = wakeFd_ < 0 ? -errno : control(epollFd_, EPOLL_CTL_ADD, wakeFd_, EPOLLIN, eventKey(kWakeEvent, 0));
  if (failed != 0) {
    close();
    return failed;
  }
  journal_.users++;
  expected_.resize(l.slots);
  free_.reserve(l.slots);
  for (uint32_t i = l.slots; i-- > 0;) {
    expected_[i] = loadWord(&journal_.states()[i]);
    if ((expected_[i] & kStateMask) == kFree) free_.push_back(i);
  }
  events_.resize(readyCapacity_);
  prepareAnswerHeaders();
  replies_.resize(l.transmit);
  listedIn_.resize(l.slots);
  messages_.resize(l.transmit);
  apart_.resize(l.transmit);
  askHeaders_.resize(l.transmit);
  askVectors_.resize(l.transmit);
  askNames_.resize(l.transmit);
  askUpstreams_.resize(l.transmit);
  beat(bootTimeNs());
  views_.control[kFreeSlots] = static_cast<double>(free_.size());
  return 0;
}

void Reactor::close() {
  if (epollFd_ < 0) return;
  if (wakeFd_ >= 0) ::close(wakeFd_);
  ::close(epollFd_);
  for (const ReplySocket& one : replySockets_) ::close(one.fd);
  replySockets_.clear();
  epollFd_ = wakeFd_ = -1;
  if (expected_.empty()) return;
  journal_.users--;
  if (journal_.released()) return;
  for (uint32_t entry = first_; entry < journal_.layout.batch; entry++) {
    uint32_t slot = journal_.receiveIndex()[entry];
    if (slot < journal_.layout.slots) advance(slot, kFree);
    journal_.receiveIndex()[entry] = kUnset;
  }
}

// ---- registrations

int Reactor::addListener(int fd, uint32_t index, bool replyFromServer) {
  if (index >= kListenersMax) return -EINVAL;
  if (index >= listeners_.size()) listeners_.resize(index + 1);
  Listener& l = listeners_[index];
  if (l.fd >= 0) return -EEXIST;
  Address bound;
  int family = familyOf(fd, &bound);
  if (family < 0) return family;
  l.family = family;
  l.bound = bound;
  int transparent = 0;
  socklen_t bytes = sizeof transparent;
  l.transparent = (family == AF_INET ? getsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &transparent, &bytes)
                                     : getsockopt(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, &transparent, &bytes)) == 0 && transparent != 0;
  l.replyFromServer = replyFromServer || l.transparent;
  l.fd = fd;
  int result = setReceiving(index, true);
  if (result != 0) l = Listener();
  return result;
}

int Reactor::setReceiving(uint32_t index, bool on) {
  if (index >= listeners_.size() || listeners_[index].fd < 0) return -ENOENT;
  Listener& l = listeners_[index];
  bool poll = on && !listenersPaused_;
  if (poll != l.polled) {
    int result = control(epollFd_, poll ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, l.fd, EPOLLIN, eventKey(kListenerEvent, index));
    if (result != 0) return result;
    l.polled = poll;
  }
  l.receiving = on;
  if (!on) readyListeners_.remove(index);
  return 0;
}

int Reactor::removeListener(uint32_t index) {
  int result = setReceiving(index, false);
  if (result == -ENOENT && (index >= listeners_.size() || listeners_[index].fd < 0)) return result;
  readyListeners_.remove(index);
  listeners_[index] = Listener();
  closeReplySockets(index);
  return 0;
}

int Reactor::addUpstream(int fd, uint32_t index, bool connected, bool segment) {
  if (index >= kUpstreamsMax) return -EINVAL;
  if (index >= upstreams_.size()) upstreams_.resize(index + 1);
  Upstream& u = upstreams_[index];
  if (u.fd >= 0) return -EEXIST;
  Address bound;
  int family = familyOf(fd, &bound);
  if (family < 0) return family;
  Address remote;
  if (connected) {
    sockaddr_storage name = {};
    socklen_t nameBytes = sizeof name;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&name), &nameBytes) != 0) return -errno;
    remote = addressOf(name);
    // What came between bind and connect may be anybody's, and nothing was asked yet.
    uint8_t byte;
    for (int left = kStrayMax; left > 0 && (recv(fd, &byte, sizeof byte, MSG_DONTWAIT) >= 0 || errno != EAGAIN); left--) {
    }
  }
  int result = control(epollFd_, EPOLL_CTL_ADD, fd, EPOLLIN, eventKey(kUpstreamEvent, index));
  if (result != 0) return result;
  u.fd = fd;
  u.remote = remote;
  u.family = family;
  u.connected = connected;
  u.segment = segment;
  return 0;
}

int Reactor::removeUpstream(uint32_t index) {
  if (index >= upstreams_.size() || upstreams_[index].fd < 0) return -ENOENT;
  control(epollFd_, EPOLL_CTL_DEL, upstreams_[index].fd, 0, 0);
  readyUpstreams_.remove(index);
  upstreams_[index] = Upstream();
  return 0;
}

int Reactor::watch(int fd, int32_t token, uint32_t events, bool known) {
  uint32_t mask = 0;
  if ((events & 1) != 0) mask |= EPOLLIN;
  if ((events & 2) != 0) mask |= EPOLLOUT;
  return control(epollFd_, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, mask,
                 eventKey(kWatchEvent, static_cast<uint32_t>(token)));
}

int Reactor::unwatch(int fd) { return control(epollFd_, EPOLL_CTL_DEL, fd, 0, 0); }

// ---- slots

int Reactor::popSlot() {
  if (free_.empty()) return -1;
  uint32_t slot = free_.back();
  free_.pop_back();
  return static_cast<int>(slot);
}

void Reactor::pushSlot(uint32_t slot) {
  if (slot == adoptionSlot_) adoptionSlot_ = kUnset;
  free_.push_back(slot);
}

// From the expected word to `state` in the same generation; false if a peer has taken the slot.
bool Reactor::advance(uint32_t slot, uint32_t state) {
  uint32_t desired = withState(expected_[slot], state);
  if (kJournaled && !swapWord(&journal_.states()[slot], expected_[slot], desired)) return false;
  expected_[slot] = desired;
  return true;
}

// The slot was found STOLEN: notes what the thief may still need to know, then takes the slot back.
void Reactor::releaseStolen(uint32_t slot, bool sent) {
  uint32_t stolen = withState(expected_[slot], kStolen);
  Note* note = journal_.note(slot);
  if (sent) storeWord(&note->sentWord, stolen);
  storeWord(&note->stolenWord, stolen);
  count(kLostToPeer);
  journal_.header()->lostToPeer++;
  expected_[slot] = withState(stolen, kFree);
  storeWord(&journal_.states()[slot], expected_[slot]);
  pushSlot(slot);
}

int Reactor::allocateSlot() {
  int slot = popSlot();
  if (slot < 0) return -1;
  auto* meta = journal_.meta(static_cast<uint32_t>(slot));
  for (uint32_t i = 0; i < kMetaWords; i++) meta[i] = 0;
  // No client's address and no listener: a REPLY row for it would else go to the slot's previous client.
  meta[kListener] = kUnset;
  memset(journal_.slot(static_cast<uint32_t>(slot)) + kNameOffset, 0, kNameBytes);
  journal_.note(static_cast<uint32_t>(slot))->sourceJournal = 0;
  expected_[slot] = nextGeneration(expected_[slot], kWork);
  storeWord(&journal_.states()[slot], expected_[slot]);
  views_.control[kFreeSlots] = static_cast<double>(free_.size());
  return slot;
}

int Reactor::freeSlot(uint32_t slot) {
  if (slot >= journal_.layout.slots || (expected_[slot] & kStateMask) != kWork) return -EINVAL;
  if (advance(slot, kFree)) {
    pushSlot(slot);
  } else {
    releaseStolen(slot, false);
  }
  views_.control[kFreeSlots] = static_cast<double>(free_.size());
  return 0;
}

// ---- one step

void Reactor::beat(int64_t nowNs) {
  nowMs_ = static_cast<double>(nowNs) / 1e6;
  views_.control[kNowMs] = nowMs_;
  __atomic_store_n(&journal_.header()->heartbeatNs, static_cast<uint64_t>(nowNs), __ATOMIC_RELEASE);
}

int Reactor::step(uint32_t transmitCount, int timeoutMs) {
  receivedCount_ = answerCount_ = readyCount_ = 0;
  steps_++;
  double woken = 0;
  flush(transmitCount);
  arm();
  pollListeners();
  beat(bootTimeNs());
  int count = epoll_wait(epollFd_, events_.data(), static_cast<int>(events_.size()), timeoutMs < 0 ? -1 : timeoutMs);
  int error = count < 0 ? errno : 0;
  beat(bootTimeNs());
  for (int i = 0; i < count; i++) {
    const uint64_t key = events_[i].data.u64;
    const uint32_t index = static_cast<uint32_t>(key);
    switch (key >> 32) {
      case kWakeEvent: {
        uint64_t value;
        if (read(wakeFd_, &value, sizeof value) > 0) woken = static_cast<double>(value);
        break;
      }
      case kListenerEvent:
        readyListeners_.add(index);
        break;
      case kUpstreamEvent:
        readyUpstreams_.add(index);
        break;
      default: {
        int32_t* row = views_.ready + readyCount_++ * kReadyWords;
        uint32_t events = events_[i].events;
        row[0] = static_cast<int32_t>(index);
        row[1] = ((events & EPOLLIN) != 0 ? 1 : 0) | ((events & EPOLLOUT) != 0 ? 2 : 0) |
                 ((events & EPOLLERR) != 0 ? 4 : 0) | ((events & EPOLLHUP) != 0 ? 8 : 0);
      }
    }
  }
  receiveReady();
  double* c = views_.control;
  c[kReceived] = receivedCount_;
  c[kAnswers] = answerCount_;
  c[kReady] = readyCount_;
  c[kWoken] = woken;
  c[kFreeSlots] = static_cast<double>(free_.size());
  c[kArmedEntries] = journal_.layout.batch - first_;
  c[kReceivedTotal] += receivedCount_;
  c[kAnswersTotal] += answerCount_;
  journal_.header()->received += receivedCount_;
  if (error != 0 && error != EINTR) return -error;
  return static_cast<int>(receivedCount_ + answerCount_ + readyCount_) + (woken > 0 ? 1 : 0);
}

}  // namespace reuseport
