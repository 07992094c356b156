#include "netlink-writer.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstring>

namespace reuseport {

namespace {

// The kernel answers a request before send() returns; an answer that isn't there by then never comes.
constexpr int64_t kAnswerMsMax = 1000;

}  // namespace

NetlinkWriter::NetlinkWriter(uint32_t capacity, uint32_t bytesMax)
    : capacity_(capacity),
      bytesMax_(bytesMax),
      slots_(capacity),
      order_(capacity),
      memory_(new uint8_t[size_t{capacity} * bytesMax]),
      copy_(new uint8_t[bytesMax]),
      buffer_(new uint8_t[kNetlinkBufferBytes]) {
  sem_init(&waiting_, 0, 0);
  free_.reserve(capacity);
  for (uint32_t slot = capacity; slot > 0; slot--) free_.push_back(slot - 1);
}

int NetlinkWriter::start(int protocol) {
  socket_ = openNetlinkSocket(protocol, receiveBytesFor(bytesMax_ / sizeof(nlmsghdr)), size_t{bytesMax_} * 2);
  if (socket_ < 0) return socket_;
  eventFd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (eventFd_ < 0) {
    const int failed = -errno;
    ::close(socket_);
    return failed;
  }
  // Signals are for the threads that were there before.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int failed = pthread_create(
      &thread_, nullptr,
      [](void* self) -> void* {
        static_cast<NetlinkWriter*>(self)->work();
        return nullptr;
      },
      this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (failed != 0) {
    ::close(socket_);
    ::close(eventFd_);
    eventFd_ = -1;
    return -failed;
  }
  pthread_setname_np(thread_, "netlink-writer");
  return 0;
}

int NetlinkWriter::submit(const uint8_t* request, size_t length, int32_t ticket) {
  if (closed()) return -EBADF;
  if (length > bytesMax_) return -EMSGSIZE;
  // What has completed and was not collected holds its slot, so completions need no room of their own.
  if (free_.empty()) return 0;
  const uint32_t number = free_.back();
  Slot& slot = slots_[number];
  slot.messages = slot.awaited = 0;
  for (size_t offset = 0; offset < length;) {
    const nlmsghdr* message = messageAt(request, length, offset);
    if (message == nullptr || (message->nlmsg_len % NLMSG_ALIGNTO) != 0) return -EINVAL;
    slot.messages++;
    if ((message->nlmsg_flags & NLM_F_ACK) != 0) slot.awaited++;
    offset += message->nlmsg_len;
  }
  if (slot.awaited == 0) return -EINVAL;
  slot.length = static_cast<uint32_t>(length);
  slot.ticket = ticket;
  memcpy(requestOf(number), request, length);
  free_.pop_back();
  const uint64_t index = submitted_.load(std::memory_order_relaxed);
  order_[index % capacity_] = number;
  submitted_.store(index + 1, std::memory_order_release);
  sem_post(&waiting_);
  return 1;
}

uint32_t NetlinkWriter::completions(int32_t* into, size_t words) {
  if (closed()) return 0;
  uint64_t done = done_.load(std::memory_order_acquire);
  uint32_t count = 0;
  bool cleared = false;
  for (;;) {
    for (; collected_ < done && (count + 1) * kCompletionWords <= words; count++, collected_++) {
      const uint32_t number = order_[collected_ % capacity_];
      const Slot& slot = slots_[number];
      free_.push_back(number);
      into[count * kCompletionWords] = slot.ticket;
      into[count * kCompletionWords + 1] = slot.error;
      into[count * kCompletionWords + 2] = static_cast<int32_t>(slot.sequence);
    }
    if (collected_ < done) break;
    // Cleared first and looked again, so that none is left behind unannounced.
    if (!cleared) {
      uint64_t value;
      cleared = true;
      if (read(eventFd_, &value, sizeof value) < 0 && errno != EAGAIN) break;
    }
    done = done_.load(std::memory_order_acquire);
    if (collected_ == done) return count;
  }
  if (cleared) {
    const uint64_t one = 1;
    if (write(eventFd_, &one, sizeof one) < 0) return count;
  }
  return count;
}

void NetlinkWriter::close() {
  if (closed()) return;
  stop_.store(true, std::memory_order_release);
  sem_post(&waiting_);
  pthread_join(thread_, nullptr);
  sem_destroy(&waiting_);
  ::close(socket_);
  ::close(eventFd_);
  eventFd_ = -1;
}

void NetlinkWriter::work() {
  for (uint64_t index = 0;; index++) {
    while (sem_wait(&waiting_) != 0) {
    }
    if (stop_.load(std::memory_order_acquire)) return;
    const uint32_t number = order_[index % capacity_];
    pass(slots_[number], requestOf(number));
    done_.store(index + 1, std::memory_order_release);
    const uint64_t one = 1;
    if (write(eventFd_, &one, sizeof one) < 0) continue;  // it counts no further, so it is readable
  }
}

void NetlinkWriter::pass(Slot& slot, const uint8_t* request) {
  memcpy(copy_.get(), request, slot.length);
  uint32_t next = sequence_;
  for (size_t offset = 0; offset < slot.length;) {
    auto* message = reinterpret_cast<nlmsghdr*>(copy_.get() + offset);
    message->nlmsg_seq = next++;
    offset += message->nlmsg_len;
  }
  NetlinkExchange exchange(socket_, buffer_.get(), nullptr, false);
  exchange.expect(sequence_, slot.messages);
  exchange.run(copy_.get(), slot.length, slot.awaited, netlinkDeadline(kAnswerMsMax));
  slot.error = exchange.outcome.error;
  slot.sequence = 0;
  // Back to the number that the submitter knows.
  size_t offset = 0;
  for (uint32_t i = sequence_; slot.error != 0 && i != next; i++) {
    auto* message = reinterpret_cast<const nlmsghdr*>(request + offset);
    if (i == exchange.outcome.sequence) slot.sequence = message->nlmsg_seq;
    offset += message->nlmsg_len;
  }
  sequence_ = next;
}

}  // namespace reuseport
