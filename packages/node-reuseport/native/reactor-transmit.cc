// Sending, and questions to upstreams (replies: reactor-reply.cc).
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
  alignas(cmsghdr) uint8_t control[kSegmentControlBytes];
  writeSegmentControl(control, static_cast<uint16_t>(vectors[0].iov_len));
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
