// Sending: answers from the journal (a killed sender's peer can tell sent from unsent), questions to upstreams.
// Bound: a send buffer that stays full is waited for kWaitsMax times kWaitMs within one flush; what is unsent
// then is counted as blocked and dropped.
#include <algorithm>
#include <errno.h>
#include <linux/in6.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "reactor.h"

namespace reuseport {

namespace {

constexpr uint32_t kWaitsMax = 3;
constexpr int kWaitMs = 1;
// A thief that was paused may poison a header that is in use again; more often than this it is no accident.
constexpr uint32_t kPoisonRetriesMax = 8;
constexpr uint32_t kAskRow = 0;
constexpr uint32_t kReplyRow = 1;
constexpr int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
// Ports of policies, per family: one more takes the place of the one opened first.
constexpr size_t kReplySocketsMax = 128;
constexpr uint32_t kSegmentsMax = 64;
constexpr uint32_t kSegmentedBytesMax = 65000;

}  // namespace

void Reactor::flush(uint32_t transmitCount) {
  if (transmitCount == 0) return;
  flushReplies(transmitCount);
  flushAsks(transmitCount);
  views_.control[kFreeSlots] = static_cast<double>(free_.size());
}

// True if waiting may help and has been done.
bool Reactor::waitWritable(int fd, int error, uint32_t* waits) {
  if ((error != EAGAIN && error != ENOBUFS) || *waits == kWaitsMax) return false;
  ++*waits;
  pollfd writable = {fd, POLLOUT, 0};
  poll(&writable, 1, kWaitMs);
  return true;
}

// ---- replies

void Reactor::flushReplies(uint32_t count) {
  uint32_t runStart = 0;
  uint32_t entries = 0;
  uint32_t runListener = kUnset;
  uint32_t runPort = 0;
  int runFd = -1;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t* row = views_.transmit + i * kTransmitWords;
    if (row[0] != kReplyRow) {
      if (row[0] != kAskRow) this->count(kInvalidRows);
      continue;
    }
    if (!validReply(row)) {
      this->count(kInvalidRows);
      continue;
    }
    const uint32_t listener = journal_.meta(row[1])[kListener];
    if (listener >= listeners_.size() || listeners_[listener].fd < 0) {
      this->count(kReplyErrors);
      freeSlot(row[1]);
      continue;
    }
    const uint32_t port = journal_.meta(row[1])[kServerPort];
    if (listener != runListener || port != runPort) {
      if (entries > runStart) sendReplies(runFd, runStart, entries);
      runStart = entries;
      runListener = listener;
      runPort = port;
      runFd = replyFd(listener, port);
    }
    if (runFd < 0) {
      views_.control[kLastErrno] = -runFd;
      this->count(kReplyErrors);
      freeSlot(row[1]);
    } else if (prepareReply(entries, row)) {
      entries++;
    }
  }
  if (entries > runStart) sendReplies(runFd, runStart, entries);
}

// The socket that an answer from this port leaves by, or −errno. Bound beside the listener, where nobody sends anything: it is never read.
int Reactor::replyFd(uint32_t listener, uint32_t port) {
  Listener& l = listeners_[listener];
  if (!l.transparent || port == 0) return l.fd;
  if (l.bound.port == 0) {  // a peer's: it was handed over before it was bound
    sockaddr_storage name = {};
    socklen_t nameBytes = sizeof name;
    if (getsockname(l.fd, reinterpret_cast<sockaddr*>(&name), &nameBytes) != 0) return -errno;
    l.bound = addressOf(name);
  }
  if (port == l.bound.port) return l.fd;
  for (const ReplySocket& one : replySockets_) {
    if (one.listener == listener && one.port == port) return one.fd;
  }
  const int fd = socket(l.family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  const int on = 1;
  sockaddr_in6 name;
  const socklen_t bytes = toSockaddr(l.bound.bytes, static_cast<uint16_t>(port), l.family, &name);
  const bool six = l.family == AF_INET6;
  const bool bound = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                     setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
                     setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_TRANSPARENT : IP_TRANSPARENT, &on, sizeof on) == 0 &&
                     (!six || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
                     bind(fd, reinterpret_cast<const sockaddr*>(&name), bytes) == 0;
  if (!bound) {
    const int error = errno;
    ::close(fd);
    return -error;
  }
  if (replySockets_.size() == kReplySocketsMax) {
    ::close(replySockets_.front().fd);
    replySockets_.erase(replySockets_.begin());
  }
  replySockets_.push_back({fd, listener, static_cast<uint16_t>(port)});
  return fd;
}

void Reactor::closeReplySockets(uint32_t listener) {
  for (size_t i = replySockets_.size(); i-- > 0;) {
    if (replySockets_[i].listener != listener) continue;
    ::close(replySockets_[i].fd);
    replySockets_.erase(replySockets_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

bool Reactor::validReply(const uint32_t* row) const {
  return row[1] < journal_.layout.slots && (expected_[row[1]] & kStateMask) == kWork && row[3] <= kAnswerBytes &&
         row[2] >= kHeaderBytes && uint64_t{row[2]} + row[3] <= journal_.layout.totalBytes;
}

// Everything a thief needs is in place before the slot becomes SEND.
bool Reactor::prepareReply(uint32_t entry, const uint32_t* row) {
  const uint32_t slot = row[1];
  TransmitRecord& record = journal_.transmitRecords()[entry];
  record.word = withState(expected_[slot], kSend);
  record.byteOffset = row[2];
  record.length = row[3];
  storeWord(&record.slot, slot);
  fillReplyHeader(entry);
  __atomic_store_n(&journal_.transmitHeaders()[entry].msg_len, kUnset, __ATOMIC_RELEASE);
  if (advance(slot, kSend)) return true;
  storeWord(&record.slot, kUnset);
  releaseStolen(slot, false);
  return false;
}

void Reactor::fillReplyHeader(uint32_t entry) {
  const TransmitRecord& record = journal_.transmitRecords()[entry];
  const uint32_t slot = record.slot;
  uint8_t* at = journal_.slot(slot);
  const Listener& listener = listeners_[journal_.meta(slot)[kListener]];
  iovec& vector = journal_.transmitVectors()[entry];
  vector.iov_base = journal_.base + record.byteOffset;
  vector.iov_len = record.length;
  msghdr& header = journal_.transmitHeaders()[entry].msg_hdr;
  header.msg_name = at + kNameOffset;
  sa_family_t family;
  memcpy(&family, at + kNameOffset, sizeof family);
  header.msg_namelen = family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_flags = 0;
  header.msg_control = nullptr;
  header.msg_controllen = 0;
  if (listener.replyFromServer) {
    uint8_t* control = journal_.transmitControl(entry);
    const auto* server = reinterpret_cast<const uint8_t*>(journal_.meta(slot) + kServerAddress);
    header.msg_controllen = writeSourceControl(control, server, listener.family);
    header.msg_control = control;
  }
}

void Reactor::sendReplies(int fd, uint32_t from, uint32_t to) {
  uint32_t waits = 0;
  uint32_t poisonRetries = 0;
  points_.hit(Point::BeforeSend);
  for (uint32_t next = from; next < to;) {
    const uint32_t length = to - next < kBatchMax ? to - next : kBatchMax;
    int sent = sendmmsg(fd, journal_.transmitHeaders() + next, length, kSendFlags);
    if (sent > 0) {
      next += static_cast<uint32_t>(sent);
      continue;
    }
    const int error = errno;
    if (error == EINTR || waitWritable(fd, error, &waits)) continue;
    if (error == EAGAIN || error == ENOBUFS) {
      views_.control[kRepliesBlocked] += to - next;
      break;
    }
    if (error == EDESTADDRREQ && poisonRetries++ < kPoisonRetriesMax) {
      count(kPoisoned);
      const TransmitRecord& record = journal_.transmitRecords()[next];
      if (loadWord(&journal_.states()[record.slot]) == record.word) {
        fillReplyHeader(next);  // unsent and still ours: the poison was meant for an earlier use
        continue;
      }
    } else {
      views_.control[kLastErrno] = error;
      count(kReplyErrors);
    }
    next++;
  }
  points_.hit(Point::AfterSend);
  for (uint32_t entry = from; entry < to; entry++) settleReply(entry);
}

void Reactor::settleReply(uint32_t entry) {
  TransmitRecord& record = journal_.transmitRecords()[entry];
  const uint32_t slot = record.slot;
  const bool sent = __atomic_load_n(&journal_.transmitHeaders()[entry].msg_len, __ATOMIC_ACQUIRE) != kUnset;
  if (sent) {
    count(kRepliesSent);
    journal_.header()->answered++;
  }
  if (advance(slot, kFree)) {
    pushSlot(slot);
  } else {
    releaseStolen(slot, sent);
  }
  storeWord(&record.slot, kUnset);
}

// ---- questions

void Reactor::flushAsks(uint32_t count) {
  uint32_t entries = 0;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t* row = views_.transmit + i * kTransmitWords;
    if (row[0] == kAskRow && prepareAsk(entries, row)) entries++;
  }
  for (uint32_t start = 0; start < entries;) {
    uint32_t end = start + 1;
    while (end < entries && askUpstreams_[end] == askUpstreams_[start]) end++;
    Upstream& upstream = upstreams_[askUpstreams_[start]];
    if (upstream.segment && end - start > 1) {
      sendSegmented(upstream, start, end);
    } else {
      sendAsks(upstream, start, end);
    }
    start = end;
  }
}

bool Reactor::prepareAsk(uint32_t entry, const uint32_t* row) {
  const uint32_t slot = row[1];
  if (slot >= journal_.layout.slots || (expected_[slot] & kStateMask) != kWork || row[3] > kAnswerBytes ||
      row[2] < kHeaderBytes || uint64_t{row[2]} + row[3] > journal_.layout.totalBytes ||
      row[4] >= upstreams_.size() || upstreams_[row[4]].fd < 0) {
    count(kInvalidRows);
    return false;
  }
  // A slot that a peer has taken needs no question from here.
  if (kJournaled && loadWord(&journal_.states()[slot]) != expected_[slot]) {
    count(kAsksDropped);
    return false;
  }
  const Upstream& upstream = upstreams_[row[4]];
  msghdr& header = askHeaders_[entry].msg_hdr;
  memset(&header, 0, sizeof header);
  if (!upstream.connected) {
    const uint32_t* meta = journal_.meta(slot);
    header.msg_name = &askNames_[entry];
    header.msg_namelen = toSockaddr(reinterpret_cast<const uint8_t*>(meta + kUpstreamAddress),
                                    static_cast<uint16_t>(meta[kUpstreamPort]), upstream.family, &askNames_[entry]);
    if (header.msg_namelen == 0) {
      views_.control[kLastErrno] = EAFNOSUPPORT;
      count(kAskErrors);
      return false;
    }
  }
  askVectors_[entry] = {journal_.base + row[2], row[3]};
  header.msg_iov = &askVectors_[entry];
  header.msg_iovlen = 1;
  askUpstreams_[entry] = row[4];
  return true;
}

void Reactor::sendAsks(const Upstream& upstream, uint32_t from, uint32_t to) {
  uint32_t waits = 0;
  uint32_t refused = to;
  for (uint32_t next = from; next < to;) {
    const uint32_t length = to - next < kBatchMax ? to - next : kBatchMax;
    int sent = sendmmsg(upstream.fd, askHeaders_.data() + next, length, kSendFlags);
    if (sent > 0) {
      views_.control[kAsksSent] += sent;
      next += static_cast<uint32_t>(sent);
      continue;
    }
    const int error = errno;
    if (error == EINTR || waitWritable(upstream.fd, error, &waits)) continue;
    if (error == EAGAIN || error == ENOBUFS) {
      views_.control[kAsksBlocked] += to - next;
      return;
    }
    views_.control[kLastErrno] = error;
    count(kAskErrors);
    // On a connected socket this is the report of an earlier datagram's fate, which reading it has cleared.
    if (error == ECONNREFUSED && refused != next) {
      refused = next;
      continue;
    }
    next++;
  }
}

// Questions of one length to one server go down the stack as a single buffer which the kernel (or the card)
// cuts. Consecutive ones only: the caller has them in the order in which it wants them sent.
namespace {

bool sameDestination(const msghdr& a, const msghdr& b) {
  return a.msg_namelen == b.msg_namelen && (a.msg_namelen == 0 || memcmp(a.msg_name, b.msg_name, a.msg_namelen) == 0);
}

}  // namespace

// Questions of equal length to one destination leave by one send each group; the order of questions means nothing, so
// they are sorted by length first. What stands alone goes by sendmmsg.
void Reactor::sendSegmented(Upstream& upstream, uint32_t from, uint32_t to) {
  mmsghdr* headers = askHeaders_.data();
  std::sort(headers + from, headers + to, [](const mmsghdr& a, const mmsghdr& b) {
    return a.msg_hdr.msg_iov->iov_len < b.msg_hdr.msg_iov->iov_len;
  });
  uint32_t single = from;
  for (uint32_t start = from; start < to;) {
    const msghdr& head = headers[start].msg_hdr;
    const size_t length = head.msg_iov->iov_len;
    uint32_t end = start + 1;
    while (end < to && end - start < kSegmentsMax && headers[end].msg_hdr.msg_iov->iov_len == length &&
           (end - start + 1) * length <= kSegmentedBytesMax && sameDestination(headers[end].msg_hdr, head)) {
      end++;
    }
    if (end - start > 1 && length > 0 && upstream.segment) {
      if (single < start) sendAsks(upstream, single, start);
      if (!sendSegments(upstream, start, end)) sendAsks(upstream, start, end);
      single = end;
    }
    start = end;
  }
  if (single < to) sendAsks(upstream, single, to);
}

// One datagram per entry by UDP_SEGMENT; false when nothing was sent.
bool Reactor::sendSegments(Upstream& upstream, uint32_t from, uint32_t to) {
  iovec vectors[kSegmentsMax];
  for (uint32_t i = from; i < to; i++) vectors[i - from] = *askHeaders_[i].msg_hdr.msg_iov;
  alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(uint16_t))] = {};
  auto* option = reinterpret_cast<cmsghdr*>(control);
  const uint16_t segment = static_cast<uint16_t>(vectors[0].iov_len);
  option->cmsg_level = IPPROTO_UDP;
  option->cmsg_type = UDP_SEGMENT;
  option->cmsg_len = CMSG_LEN(sizeof segment);
  memcpy(CMSG_DATA(option), &segment, sizeof segment);
  msghdr header = askHeaders_[from].msg_hdr;
  header.msg_iov = vectors;
  header.msg_iovlen = to - from;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  if (sendmsg(upstream.fd, &header, kSendFlags) >= 0) {
    views_.control[kAsksSent] += to - from;
    return true;
  }
  // EIO: no checksum offload on that route; EINVAL: too old, or larger than the path's packets.
  if (errno == EIO || errno == EINVAL || errno == EOPNOTSUPP) upstream.segment = false;
  return false;
}

}  // namespace reuseport
