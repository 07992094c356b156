// Which sockets of one kind wait to be read, and whose turn is next.
// Invariant: a socket that epoll has named stays in the set until it was read or removed, and turns go round by
// index; so each is read after at most as many reads as there are sockets, however busy the others are and
// whatever order epoll has.
// Knows nothing of system calls: `read` does them.
#pragma once

#include <cstdint>
#include <vector>

namespace reuseport {

// With few datagrams each, sockets are read by one call each; less than this would only make calls more.
constexpr uint32_t kShareMin = 16;

class ReadySet {
 public:
  void add(uint32_t index) {
    const uint32_t word = index / 64;
    if (word >= words_.size()) words_.resize(word + 1);
    const uint64_t bit = uint64_t{1} << (index % 64);
    if ((words_[word] & bit) == 0) size_++;
    words_[word] |= bit;
  }

  void remove(uint32_t index) {
    const uint32_t word = index / 64;
    const uint64_t bit = uint64_t{1} << (index % 64);
    if (word >= words_.size() || (words_[word] & bit) == 0) return;
    words_[word] &= ~bit;
    size_--;
  }

  // Reads the sockets in turn while `room()` is left, each its share of it; what remains goes to those that have
  // more. `read(index, share)` says whether the socket may have more. One that was read and has more leaves the set
  // all the same: epoll names it again.
  template <typename Room, typename Read>
  void serve(Room room, Read read) {
    again_.clear();
    uint32_t share = shareOf(room(), size_);
    while (size_ > 0 && room() > 0) {
      const uint32_t index = takeNext();
      if (read(index, share)) again_.push_back(index);
    }
    while (!again_.empty() && room() > 0) {
      share = shareOf(room(), static_cast<uint32_t>(again_.size()));
      size_t kept = 0;
      for (size_t i = 0; i < again_.size(); i++) {
        const uint32_t index = again_[i];
        if (room() > 0 && read(index, share)) again_[kept++] = index;
      }
      again_.resize(kept);
    }
  }

 private:
  static uint32_t shareOf(uint32_t room, uint32_t sockets) {
    if (sockets < 2) return room;
    const uint32_t share = (room + sockets - 1) / sockets;
    return share < kShareMin ? kShareMin : share;
  }

  // The first at or after the turn, going round; only when there is one.
  uint32_t takeNext() {
    uint32_t word = turn_ / 64;
    uint64_t bits = 0;
    if (word < words_.size()) bits = words_[word] & (~uint64_t{0} << (turn_ % 64));
    while (bits == 0) {
      word = word + 1 < words_.size() ? word + 1 : 0;
      bits = words_[word];
    }
    const uint32_t index = word * 64 + static_cast<uint32_t>(__builtin_ctzll(bits));
    words_[word] &= ~(uint64_t{1} << (index % 64));
    size_--;
    turn_ = index + 1;
    return index;
  }

  std::vector<uint64_t> words_;
  std::vector<uint32_t> again_;
  uint32_t size_ = 0;
  uint32_t turn_ = 0;
};

}  // namespace reuseport
