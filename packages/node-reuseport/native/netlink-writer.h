// A thread that passes requests to the kernel one after another.
// Invariants: requests are answered in the order in which they were submitted; an entry of `order_`, and the slot that it names, belongs
// to the submitter before `submitted_`, to the thread until `done_`, and to the submitter again; no call of the submitter waits.
#pragma once

#include <pthread.h>
#include <semaphore.h>

#include <atomic>
#include <memory>
#include <vector>

#include "netlink.h"

namespace reuseport {

constexpr uint32_t kCompletionWords = 3;

class NetlinkWriter {
 public:
  NetlinkWriter(uint32_t capacity, uint32_t bytesMax);
  ~NetlinkWriter() { close(); }
  NetlinkWriter(const NetlinkWriter&) = delete;
  NetlinkWriter& operator=(const NetlinkWriter&) = delete;

  int start(int protocol);  // 0 or −errno
  int fd() const { return eventFd_; }
  bool closed() const { return eventFd_ < 0; }

  int submit(const uint8_t* request, size_t length, int32_t ticket);  // 1, 0 when there is no room, or −errno
  uint32_t completions(int32_t* into, size_t words);
  void close();

 private:
  struct Slot {
    uint32_t length;
    uint32_t messages;
    uint32_t awaited;
    int32_t ticket;
    int32_t error;
    uint32_t sequence;
  };
  void work();
  void pass(Slot& slot, const uint8_t* request);
  uint8_t* requestOf(uint32_t slot) const { return memory_.get() + size_t{slot} * bytesMax_; }

  const uint32_t capacity_;
  const uint32_t bytesMax_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> order_;
  std::vector<uint32_t> free_;         // the slot used last comes first: few pages are ever touched
  std::unique_ptr<uint8_t[]> memory_;  // capacity × bytesMax
  std::unique_ptr<uint8_t[]> copy_;    // with sequence numbers of the thread's own
  std::unique_ptr<uint8_t[]> buffer_;
  pthread_t thread_ = {};
  sem_t waiting_;
  int socket_ = -1;
  int eventFd_ = -1;
  uint32_t sequence_ = 1;
  uint64_t collected_ = 0;
  std::atomic<uint64_t> submitted_{0};
  std::atomic<uint64_t> done_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace reuseport
