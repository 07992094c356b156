#include "netlink.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace reuseport {

namespace {

constexpr int64_t kNsPerMs = 1000000;

// An acknowledgement is 36 bytes long; the kernel charges the whole of its buffer.
constexpr size_t kChargePerAcknowledgement = 1280;
constexpr size_t kReceiveBytesLeast = 256 << 10;
constexpr size_t kReceiveBytesMost = 32 << 20;

constexpr uint16_t kDumpFlags = NLM_F_ROOT | NLM_F_MATCH;

int64_t monotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

// Beyond the administrator's bound if we may, else up to it.
void setBuffer(int fd, int forced, int plain, size_t bytes) {
  if (bytes == 0) return;
  const int value = static_cast<int>(std::min(bytes, kReceiveBytesMost));
  if (setsockopt(fd, SOL_SOCKET, forced, &value, sizeof value) != 0) {
    setsockopt(fd, SOL_SOCKET, plain, &value, sizeof value);
  }
}

// The kernel's own words in the attributes behind a verdict.
std::string wordsIn(const nlmsghdr* message, size_t offset) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(message);
  while (offset + sizeof(nlattr) <= message->nlmsg_len) {
    nlattr attribute;
    memcpy(&attribute, bytes + offset, sizeof attribute);
    if (attribute.nla_len < sizeof attribute || attribute.nla_len > message->nlmsg_len - offset) break;
    if ((attribute.nla_type & NLA_TYPE_MASK) == NLMSGERR_ATTR_MSG) {
      const auto* text = reinterpret_cast<const char*>(bytes + offset + sizeof attribute);
      return std::string(text, strnlen(text, attribute.nla_len - sizeof attribute));
    }
    offset += NLA_ALIGN(attribute.nla_len);
  }
  return std::string();
}

}  // namespace

int64_t netlinkDeadline(int64_t afterMs) { return monotonicNs() + afterMs * kNsPerMs; }

size_t receiveBytesFor(size_t awaited) {
  return std::min(kReceiveBytesMost, kReceiveBytesLeast + awaited * kChargePerAcknowledgement);
}

int openNetlinkSocket(int protocol, size_t receiveBytes, size_t sendBytes) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd < 0) return -errno;
  const int on = 1;
  setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  if (protocol == NETLINK_ROUTE) setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
  setBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, receiveBytes);
  setBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, sendBytes);
  sockaddr_nl name = {};
  name.nl_family = AF_NETLINK;
  if (bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) != 0) {
    const int failed = -errno;
    close(fd);
    return failed;
  }
  return fd;
}

int sendToKernel(int fd, const uint8_t* request, size_t length) {
  sockaddr_nl kernel = {};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent;
  do {
    sent = sendto(fd, request, length, MSG_DONTWAIT | MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : 0;
}

int64_t receiveFromKernel(int fd, uint8_t* into, size_t length) {
  for (;;) {
    sockaddr_nl from = {};
    iovec vector = {into, length};
    msghdr header = {};
    header.msg_name = &from;
    header.msg_namelen = sizeof from;
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    const ssize_t received = recvmsg(fd, &header, MSG_DONTWAIT);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) return -errno;
    // Another process may send to a socket, too, if it is privileged.
    if (header.msg_namelen != sizeof from || from.nl_pid != 0) continue;
    return (header.msg_flags & MSG_TRUNC) != 0 ? -EMSGSIZE : received;
  }
}

bool divideRequest(const uint8_t* request, size_t length, NetlinkParts* into) {
  uint32_t awaited = 0;
  size_t offset = 0;
  while (offset < length) {
    const nlmsghdr* message = messageAt(request, length, offset);
    if (message == nullptr) return false;
    const bool dumps = (message->nlmsg_flags & kDumpFlags) == kDumpFlags;
    if (dumps || (message->nlmsg_flags & NLM_F_ACK) != 0) awaited++;
    into->messages++;
    offset += std::min<size_t>(NLMSG_ALIGN(message->nlmsg_len), length - offset);
    if (!dumps && offset < length) continue;
    if (awaited == 0) return false;
    into->parts.push_back({offset, awaited});
    into->awaited += awaited;
    awaited = 0;
  }
  return !into->parts.empty();
}

void NetlinkExchange::refuse(int error, uint32_t sequence, const char* words) {
  if (outcome.error != 0) return;
  outcome.error = error;
  outcome.sequence = sequence;
  if (keepWords_) outcome.words = words;
}

void NetlinkExchange::readVerdict(const nlmsghdr* message) {
  int error = 0;
  if (message->nlmsg_len < NLMSG_LENGTH(sizeof error)) return;
  memcpy(&error, NLMSG_DATA(message), sizeof error);
  if (error >= 0) {
    agreed++;
    return;
  }
  if (-error == tolerable_) {
    tolerated++;
    return;
  }
  if (outcome.error != 0) return;
  outcome.error = -error;
  outcome.sequence = message->nlmsg_seq;
  if (!keepWords_ || (message->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return;
  size_t offset = NLMSG_LENGTH(sizeof error);
  if (message->nlmsg_type == NLMSG_ERROR) {
    nlmsgerr verdict;
    if (message->nlmsg_len < NLMSG_LENGTH(sizeof verdict)) return;
    memcpy(&verdict, NLMSG_DATA(message), sizeof verdict);
    offset = NLMSG_LENGTH(sizeof verdict);
    // Unless it is capped, the refused message stands whole before the attributes.
    if ((message->nlmsg_flags & NLM_F_CAPPED) == 0) offset += NLMSG_ALIGN(verdict.msg.nlmsg_len) - sizeof(nlmsghdr);
  }
  outcome.words = wordsIn(message, offset);
}

// Returns how many awaited answers the datagram in the buffer held.
uint32_t NetlinkExchange::readDatagram(size_t length) {
  uint32_t answers = 0;
  size_t offset = 0;
  isPart_ = false;
  while (const nlmsghdr* message = messageAt(buffer_, length, offset)) {
    offset += NLMSG_ALIGN(message->nlmsg_len);
    isPart_ = isPart_ || (message->nlmsg_flags & NLM_F_MULTI) != 0;
    if (sequences_ > 0 && message->nlmsg_seq - firstSequence_ >= sequences_) continue;
    if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0) {
      refuse(EAGAIN, message->nlmsg_seq, "what was dumped changed meanwhile");
    }
    if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
      answers++;
      readVerdict(message);
    } else if (message->nlmsg_type >= NLMSG_MIN_TYPE && sink_ != nullptr && outcome.error == 0 && !sink_->take(message)) {
      refuse(EMSGSIZE, message->nlmsg_seq, "the reply is larger than allowed");
    }
  }
  return answers;
}

void NetlinkExchange::run(const uint8_t* part, size_t length, uint32_t awaited, int64_t deadlineNs) {
  const int refused = sendToKernel(fd_, part, length);
  if (refused != 0) return refuse(-refused, 0, "the kernel did not take the request");
  uint32_t answers = 0;
  for (;;) {
    const int64_t received = receiveFromKernel(fd_, buffer_, kNetlinkBufferBytes);
    if (received >= 0) {
      answers += readDatagram(static_cast<size_t>(received));
      // A reply that is too large is not read to its end; the socket is not used again then.
      if (outcome.error == EMSGSIZE && sink_ != nullptr) return;
      if (answers >= awaited && outcome.error == 0) return;
    } else if (received != -EAGAIN) {
      refuse(static_cast<int>(-received), 0,
             received == -ENOBUFS ? "answers were lost, the receive buffer was full" : "the answer could not be read");
    } else {
      // A batch that is refused as a whole gets one answer, not one for each message.
      if (outcome.error != 0 || answers >= awaited) return;
      const int64_t leftNs = deadlineNs - monotonicNs();
      if (leftNs <= 0) return refuse(ETIMEDOUT, 0, "the kernel did not answer in time");
      pollfd ready = {fd_, POLLIN, 0};
      poll(&ready, 1, static_cast<int>((leftNs + kNsPerMs - 1) / kNsPerMs));
      continue;
    }
    // What is done is told, however late; only a dump may have no end.
    if ((received < 0 || isPart_) && monotonicNs() >= deadlineNs) return refuse(ETIMEDOUT, 0, "the answer was not read to its end in time");
  }
}

}  // namespace reuseport
