// Answers to clients, out of the journal: a killed sender's peer can tell sent from unsent.
// Replies of equal length to one client are one message, which the kernel (or the card) cuts into datagrams: all of it is
// sent or nothing. Invariant: an entry's message number and that message's header are in place before the slot is
// SEND; a header says of all its entries whether they were sent, and who steals one of them makes the message unsendable.
#include <algorithm>
#include <errno.h>
#include <linux/in6.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "reactor.h"

namespace reuseport {

namespace {

// A thief that was paused may poison a header that is in use again; more often than this it is no accident.
constexpr uint32_t kPoisonRetriesMax = 8;
// Ports of policies, per family: one more takes the place of the one opened first.
constexpr size_t kReplySocketsMax = 128;
// What every path takes (the least MTU of IPv6, less headers); longer answers are few.
constexpr uint32_t kSegmentBytesMax = 1232;

uint64_t load64(const uint8_t* at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

// Equal for replies that can be one message; rarely so for others.
uint64_t sortKey(const uint8_t* name, uint32_t length) {
  constexpr uint64_t kMix = 0x9e3779b97f4a7c15ull;
  uint64_t key = (load64(name) ^ length) * kMix;
  if (name[0] != AF_INET6) return key;
  key = (key ^ (key >> 29) ^ load64(name + 8)) * kMix;
  return (key ^ (key >> 29) ^ load64(name + 16)) * kMix;
}

socklen_t nameBytesOf(const uint8_t* name) {
  sa_family_t family;
  memcpy(&family, name, sizeof family);
  return family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

// Who an answer could not be sent to as part of a message may still get it alone.
bool refusesSegments(int error) { return error == EIO || error == EINVAL || error == EOPNOTSUPP || error == EMSGSIZE; }

}  // namespace

void Reactor::flushReplies(uint32_t count) {
  entriesUsed_ = messagesUsed_ = 0;
  flushNumber_++;
  uint32_t run = 0;
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
      if (run > 0) sendRun(runFd, runListener, run);
      run = 0;
      runListener = listener;
      runPort = port;
      runFd = replyFd(listener, port);
    }
    if (runFd < 0) {
      views_.control[kLastErrno] = -runFd;
      this->count(kReplyErrors);
      freeSlot(row[1]);
    } else {
      listedIn_[row[1]] = flushNumber_;
      replies_[run++] = {0, row[1], row[2], row[3]};
    }
  }
  if (run > 0) sendRun(runFd, runListener, run);
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

// The first `count` of replies_, all of one listener.
void Reactor::sendRun(int fd, uint32_t listener, uint32_t count) {
  const bool segments = count > 1 && journal_.layout.hasMessages() && listeners_[listener].segment;
  if (segments) {
    for (uint32_t i = 0; i < count; i++) {
      Reply& reply = replies_[i];
      reply.key = sortKey(journal_.slot(reply.slot) + kNameOffset, reply.length);
    }
    std::sort(replies_.begin(), replies_.begin() + count, [](const Reply& a, const Reply& b) { return a.key < b.key; });
  }
  const uint32_t firstMessage = messagesUsed_;
  for (uint32_t start = 0; start < count;) {
    uint32_t end = start + 1;
    if (segments && replies_[start].length <= kSegmentBytesMax) {
      while (end < count && end - start < kSegmentsMax && (end - start + 1) * replies_[start].length <= kSegmentedBytesMax &&
             isSameMessage(replies_[start], replies_[end])) {
        end++;
      }
    }
    prepareMessage(start, end);
    start = end;
  }
  sendMessages(fd, listener, firstMessage, messagesUsed_);
}

bool Reactor::isSameMessage(const Reply& a, const Reply& b) const {
  if (a.key != b.key || a.length != b.length) return false;
  const uint8_t* first = journal_.slot(a.slot);
  const uint8_t* second = journal_.slot(b.slot);
  if (memcmp(first + kNameOffset, second + kNameOffset, nameBytesOf(first + kNameOffset)) != 0) return false;
  return memcmp(journal_.meta(a.slot) + kServerAddress, journal_.meta(b.slot) + kServerAddress, 16) == 0;
}

bool Reactor::validReply(const uint32_t* row) const {
  return row[1] < journal_.layout.slots && (expected_[row[1]] & kStateMask) == kWork && listedIn_[row[1]] != flushNumber_ &&
         row[3] <= kAnswerBytes && row[2] >= kHeaderBytes && uint64_t{row[2]} + row[3] <= journal_.layout.totalBytes;
}

// One message of replies_[start, end). Everything a thief needs is in place before a slot becomes SEND.
void Reactor::prepareMessage(uint32_t start, uint32_t end) {
  const uint32_t message = messagesUsed_;
  const uint32_t from = entriesUsed_;
  const uint32_t to = from + end - start;
  for (uint32_t entry = from; entry < to; entry++) {
    const Reply& reply = replies_[start + entry - from];
    TransmitRecord& record = journal_.transmitRecords()[entry];
    record.word = withState(expected_[reply.slot], kSend);
    record.byteOffset = reply.byteOffset;
    record.length = reply.length;
    journal_.setMessage(entry, message);
    storeWord(&record.slot, reply.slot);
  }
  messages_[message] = {from, to};
  fillMessage(message);
  __atomic_store_n(&journal_.transmitHeaders()[message].msg_len, kUnset, __ATOMIC_RELEASE);
  bool isWhole = true;
  for (uint32_t entry = from; entry < to; entry++) {
    TransmitRecord& record = journal_.transmitRecords()[entry];
    const uint32_t slot = record.slot;
    if (advance(slot, kSend)) continue;
    storeWord(&record.slot, kUnset);
    releaseStolen(slot, false);
    isWhole = false;
  }
  // Before layout 3 a message has the number of its entry.
  entriesUsed_ = to;
  messagesUsed_ = journal_.layout.hasMessages() ? message + 1 : to;
  if (isWhole || refillMessage(message) > 0) return;
  entriesUsed_ = from;
  messagesUsed_ = message;
}

// After some of its entries were taken: the message of the others. A thief that takes one more while it is filled has its poison
// overwritten; so the entries are looked at once more after that, and what is poisoned from there on stays so.
uint32_t Reactor::refillMessage(uint32_t message) {
  for (;;) {
    const uint32_t left = fillMessage(message);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (left == 0 || !dropStolen(message)) return left;
  }
}

uint32_t Reactor::entriesLeft(uint32_t message) const {
  const auto [from, to] = messages_[message];
  uint32_t count = 0;
  for (uint32_t entry = from; entry < to; entry++) {
    if (journal_.transmitRecords()[entry].slot != kUnset) count++;
  }
  return count;
}

// The message of those of its entries that are left; returns how many these are.
uint32_t Reactor::fillMessage(uint32_t message) {
  const auto [from, to] = messages_[message];
  iovec* vectors = journal_.transmitVectors() + from;
  uint32_t count = 0;
  uint32_t slot = kUnset;
  uint32_t length = 0;
  for (uint32_t entry = from; entry < to; entry++) {
    const TransmitRecord& record = journal_.transmitRecords()[entry];
    if (record.slot == kUnset) continue;
    slot = record.slot;
    length = record.length;
    vectors[count++] = {journal_.base + record.byteOffset, length};
  }
  if (count == 0) return 0;
  uint8_t* name = journal_.slot(slot) + kNameOffset;
  msghdr& header = journal_.transmitHeaders()[message].msg_hdr;
  header.msg_name = name;
  header.msg_namelen = nameBytesOf(name);
  header.msg_iov = vectors;
  header.msg_iovlen = count;
  header.msg_flags = 0;
  uint8_t* control = journal_.transmitControl(message);
  size_t bytes = 0;
  const Listener& listener = listeners_[journal_.meta(slot)[kListener]];
  if (listener.replyFromServer) {
    const auto* server = reinterpret_cast<const uint8_t*>(journal_.meta(slot) + kServerAddress);
    bytes = writeSourceControl(control, server, listener.family);
  }
  if (count > 1) bytes += writeSegmentControl(control + bytes, static_cast<uint16_t>(length));
  header.msg_control = bytes == 0 ? nullptr : control;
  header.msg_controllen = bytes;
  return count;
}

// Those of an unsent message's entries that a peer has taken leave it; true if there were any.
bool Reactor::dropStolen(uint32_t message) {
  const auto [from, to] = messages_[message];
  bool dropped = false;
  for (uint32_t entry = from; entry < to; entry++) {
    TransmitRecord& record = journal_.transmitRecords()[entry];
    const uint32_t slot = record.slot;
    if (slot == kUnset || loadWord(&journal_.states()[slot]) == record.word) continue;
    storeWord(&record.slot, kUnset);
    releaseStolen(slot, false);
    dropped = true;
  }
  return dropped;
}

// Messages [from, to), all by one socket.
void Reactor::sendMessages(int fd, uint32_t listener, uint32_t from, uint32_t to) {
  uint32_t waits = 0;
  uint32_t poisonRetries = 0;
  uint32_t apart = 0;
  points_.hit(Point::BeforeSend);
  for (uint32_t next = from; next < to;) {
    const uint32_t length = to - next < kBatchMax ? to - next : kBatchMax;
    int sent = sendmmsg(fd, journal_.transmitHeaders() + next, length, kSendFlags);
    if (sent > 0) {
      next += static_cast<uint32_t>(sent);
      poisonRetries = 0;
      continue;
    }
    const int error = errno;
    if (error == EINTR || waitWritable(fd, error, &waits)) continue;
    if (error == EAGAIN || error == ENOBUFS) {
      views_.control[kRepliesBlocked] += messages_[to - 1].to - messages_[next].from;
      break;
    }
    if (error == EDESTADDRREQ && poisonRetries++ < kPoisonRetriesMax) {
      count(kPoisoned);
      dropStolen(next);
      // Unsent and still ours: the poison was meant for an earlier use, or for others of this message.
      if (refillMessage(next) > 0) continue;
    } else if (journal_.transmitHeaders()[next].msg_hdr.msg_iovlen > 1 && refusesSegments(error)) {
      apart_[apart++] = next;
      // No checksum offload: so will the next ones'. A message that is too long for its path is that path's alone.
      if (error == EIO || error == EOPNOTSUPP) listeners_[listener].segment = false;
    } else {
      views_.control[kLastErrno] = error;
      views_.control[kReplyErrors] += entriesLeft(next);
    }
    next++;
    poisonRetries = 0;
  }
  points_.hit(Point::AfterSend);
  uint32_t kept = 0;
  for (uint32_t message = from; message < to; message++) {
    if (kept < apart && apart_[kept] == message) {
      kept++;
    } else {
      settleMessage(message);
    }
  }
  // The last first: the headers that its replies get alone are no other message's that is still to be sent.
  while (apart > 0) sendApart(fd, listener, apart_[--apart]);
}

// Each reply of an unsent message by itself. The last one first: the first one's new header may be the message's own.
void Reactor::sendApart(int fd, uint32_t listener, uint32_t message) {
  const auto [from, to] = messages_[message];
  for (uint32_t entry = to; entry-- > from;) {
    if (journal_.transmitRecords()[entry].slot == kUnset) continue;
    messages_[entry] = {entry, entry + 1};
    fillMessage(entry);
    __atomic_store_n(&journal_.transmitHeaders()[entry].msg_len, kUnset, __ATOMIC_SEQ_CST);
    journal_.setMessage(entry, entry);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    // Who took it before made the former header unsendable, who does it from here on this one.
    dropStolen(entry);
    if (journal_.transmitRecords()[entry].slot != kUnset) sendMessages(fd, listener, entry, entry + 1);
  }
}

void Reactor::settleMessage(uint32_t message) {
  const auto [from, to] = messages_[message];
  const bool sent = __atomic_load_n(&journal_.transmitHeaders()[message].msg_len, __ATOMIC_ACQUIRE) != kUnset;
  for (uint32_t entry = from; entry < to; entry++) {
    TransmitRecord& record = journal_.transmitRecords()[entry];
    const uint32_t slot = record.slot;
    if (slot == kUnset) continue;
    if (sent) {
      count(kRepliesSent);
      journal_.header()->answered++;
    }
    if (advance(slot, kFree)) {
      pushSlot(slot);
    } else {
      if (sent) count(kCrossed);
      releaseStolen(slot, sent);
    }
    storeWord(&record.slot, kUnset);
  }
}

}  // namespace reuseport
