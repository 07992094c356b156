// Receiving: datagrams of listeners into armed slots, answers of upstreams into answer buffers.
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <time.h>

#include <algorithm>
#include <cstring>

#include "reactor.h"

namespace reuseport {

// Steps in a row that were full of answers: more is no burst.
constexpr uint32_t kAnswersFullStepsMax = 32;

// Arms entries downwards from first_, so that what is armed stays one run up to the batch's end.
void Reactor::arm() {
  while (first_ > 0 && free_.size() > reserve_) {
    armEntry(first_ - 1, static_cast<uint32_t>(popSlot()));
    first_--;
  }
}

void Reactor::armEntry(uint32_t entry, uint32_t slot) {
  uint8_t* at = journal_.slot(slot);
  mmsghdr& header = journal_.receiveHeaders()[entry];
  iovec& vector = journal_.receiveVectors()[entry];
  vector.iov_base = at + kPayloadOffset;
  vector.iov_len = kPayloadBytes;
  header.msg_hdr.msg_name = at + kNameOffset;
  header.msg_hdr.msg_namelen = kNameBytes;
  header.msg_hdr.msg_iov = &vector;
  header.msg_hdr.msg_iovlen = 1;
  header.msg_hdr.msg_control = at + kControlOffset;
  header.msg_hdr.msg_controllen = kControlBytes;
  header.msg_hdr.msg_flags = 0;
  // The order is the protocol with a thief, which reads index, then state, then msg_len: unset length first,
  // index next, ARMED last.
  expected_[slot] = nextGeneration(expected_[slot], kArmed);
  if (!kJournaled) {
    journal_.receiveIndex()[entry] = slot;
    return;
  }
  __atomic_store_n(&header.msg_len, kUnset, __ATOMIC_RELEASE);
  storeWord(&journal_.receiveIndex()[entry], slot);
  journal_.note(slot)->sourceJournal = 0;
  storeWord(&journal_.states()[slot], expected_[slot]);
}

// Without an armed entry a readable socket would make epoll_wait return at once, again and again: the
// listeners leave the interest set, and the sockets' queues hold. One that epoll refuses (its watches have a
// limit per user) is tried again at every step: it would else be silent for ever.
void Reactor::pollListeners() {
  const bool pause = first_ == journal_.layout.batch;
  if (pause == listenersPaused_ && !pollRefused_) return;
  if (pause && !listenersPaused_) count(kPauses);
  listenersPaused_ = pause;
  pollRefused_ = false;
  views_.control[kPaused] = pause ? 1 : 0;
  for (uint32_t i = 0; i < listeners_.size(); i++) {
    if (listeners_[i].fd < 0 || !listeners_[i].receiving) continue;
    int result = setReceiving(i, true);
    if (result != 0) {
      pollRefused_ = true;
      views_.control[kLastErrno] = -result;
      count(kReceiveErrors);
    }
  }
}

// Each query brings an answer: with as many of either in a step, answers that have once piled up (behind a pause, or a takeover) would
// stay piled up, and be read too late. So while they do, fewer queries are received.
void Reactor::receiveReady() {
  const uint32_t batch = journal_.layout.batch;
  readyUpstreams_.serve([&] { return batch - answerCount_; },
                        [&](uint32_t upstream, uint32_t share) { return answersFrom(upstream, share); });
  answersFullSteps_ = answerCount_ == batch ? answersFullSteps_ + 1 : 0;
  const uint32_t most = answersFullSteps_ > kAnswersFullStepsMax ? batch / 2 : batch;
  readyListeners_.serve([&] { return receivedCount_ < most ? std::min(batch - first_, most - receivedCount_) : 0; },
                        [&](uint32_t listener, uint32_t share) { return receiveFrom(listener, share); });
}

// Up to `share` datagrams; true if there may be more.
bool Reactor::receiveFrom(uint32_t listener, uint32_t share) {
  const uint32_t room = journal_.layout.batch - first_;
  if (listener >= listeners_.size() || !listeners_[listener].receiving || room == 0) return false;
  const uint32_t length = share < room ? share : room;
  uint32_t* owners = journal_.receiveListener();
  for (uint32_t entry = first_; entry < first_ + length; entry++) owners[entry] = listener;
  points_.hit(Point::BeforeReceive);
  int count = recvmmsg(listeners_[listener].fd, journal_.receiveHeaders() + first_, length, MSG_DONTWAIT, nullptr);
  if (count <= 0) {
    if (count < 0 && errno != EAGAIN && errno != EINTR) {
      views_.control[kLastErrno] = errno;
      this->count(kReceiveErrors);
    }
    noteQueue(&listeners_[listener], false);
    return false;
  }
  points_.hit(Point::AfterReceive);
  const bool isMore = static_cast<uint32_t>(count) == length;
  noteQueue(&listeners_[listener], isMore);
  for (int i = 0; i < count; i++) {
    if (i == count / 2) points_.hit(Point::MidBatch);
    acceptEntry(first_ + static_cast<uint32_t>(i), listener);
  }
  first_ += static_cast<uint32_t>(count);
  points_.hit(Point::AfterTake);
  return isMore;
}

// How long what was received last lay in the socket is asked where there may be more, so a socket whose queue ends in every turn costs
// no call and no time stamps. The kernel keeps them from the first call on, by the clock that may be set: what it says counts no longer
// than there has been a backlog, which is to say that no step was without a full batch.
void Reactor::noteQueue(Listener* listener, bool isMore) {
  Listener& l = *listener;
  l.queuedMs = 0;
  if (!isMore) {
    l.fullStep = 0;
    return;
  }
  if (l.fullStep + 1 < steps_) l.backlogSinceMs = nowMs_;
  l.fullStep = steps_;
  timespec stamp;
  timespec now;
  if (ioctl(l.fd, SIOCGSTAMPNS, &stamp) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0) return;
  const double ms = static_cast<double>(now.tv_sec - stamp.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec - stamp.tv_nsec) / 1e6;
  l.queuedMs = std::max(0.0, std::min(ms, nowMs_ - l.backlogSinceMs));
}

double Reactor::queuedMs(uint32_t index) const {
  return index < listeners_.size() && listeners_[index].fullStep + 1 >= steps_ ? listeners_[index].queuedMs : 0;
}

void Reactor::acceptEntry(uint32_t entry, uint32_t listener) {
  const uint32_t slot = journal_.receiveIndex()[entry];
  const mmsghdr& header = journal_.receiveHeaders()[entry];
  Datagram datagram;
  datagram.length = header.msg_len;
  datagram.nameBytes = header.msg_hdr.msg_namelen;
  datagram.controlBytes = header.msg_hdr.msg_controllen;
  datagram.truncated = (header.msg_hdr.msg_flags & MSG_TRUNC) != 0;
  datagram.listener = listener;
  datagram.receivedAtMs = nowMs_ - listeners_[listener].queuedMs;
  describeDatagram(journal_.slot(slot), datagram, listeners_[listener].bound);
  if (datagram.truncated) count(kTruncated);
  if (advance(slot, kWork)) {
    views_.received[receivedCount_++] = slot;
  } else {
    releaseStolen(slot, false);
  }
  if (kJournaled) storeWord(&journal_.receiveIndex()[entry], kUnset);
}

void Reactor::prepareAnswerHeaders() {
  const uint32_t batch = journal_.layout.batch;
  answerHeaders_.resize(batch);
  answerVectors_.resize(batch);
  answerNames_.resize(batch);
  for (uint32_t i = 0; i < batch; i++) {
    answerVectors_[i].iov_base = journal_.base + journal_.layout.answerOffset + uint64_t{i} * kAnswerStrideBytes;
    answerVectors_[i].iov_len = kAnswerBytes;
    msghdr& header = answerHeaders_[i].msg_hdr;
    memset(&header, 0, sizeof header);
    header.msg_iov = &answerVectors_[i];
    header.msg_iovlen = 1;
  }
}

// Whoever is connected need not be told by the kernel who sent, datagram by datagram.
void Reactor::setAnswerNames(bool wanted) {
  if (wanted == answersNamed_) return;
  answersNamed_ = wanted;
  for (uint32_t i = 0; i < answerHeaders_.size(); i++) {
    answerHeaders_[i].msg_hdr.msg_name = wanted ? &answerNames_[i] : nullptr;
    answerHeaders_[i].msg_hdr.msg_namelen = wanted ? sizeof(sockaddr_storage) : 0;
  }
}

bool Reactor::answersFrom(uint32_t upstream, uint32_t share) {
  const uint32_t room = journal_.layout.batch - answerCount_;
  if (upstream >= upstreams_.size() || upstreams_[upstream].fd < 0 || room == 0) return false;
  const Upstream& u = upstreams_[upstream];
  const uint32_t length = share < room ? share : room;
  mmsghdr* headers = answerHeaders_.data() + answerCount_;
  setAnswerNames(!u.connected);
  int count = recvmmsg(u.fd, headers, length, MSG_DONTWAIT, nullptr);
  if (count <= 0) {
    if (count < 0 && errno != EAGAIN && errno != EINTR) {
      views_.control[kLastErrno] = errno;
      this->count(kUpstreamErrors);
    }
    return false;
  }
  for (int i = 0; i < count; i++, answerCount_++) {
    mmsghdr& header = headers[i];
    const Address from = u.connected ? u.remote : addressOf(answerNames_[answerCount_]);
    uint32_t* row = views_.answers + answerCount_ * kAnswerWords;
    row[0] = static_cast<uint32_t>(static_cast<uint8_t*>(answerVectors_[answerCount_].iov_base) - journal_.base);
    row[1] = header.msg_len;
    row[2] = upstream;
    row[3] = from.port;
    memcpy(row + 4, from.bytes, sizeof from.bytes);
    row[8] = (header.msg_hdr.msg_flags & MSG_TRUNC) != 0 ? kFlagTruncated : 0;
    row[9] = from.family;
    if (!u.connected) header.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    header.msg_hdr.msg_flags = 0;
  }
  return static_cast<uint32_t>(count) == length;
}

}  // namespace reuseport
