// Netlink sockets, and one request with everything that the kernel answers to it.
// Invariant: only what the kernel itself sent is read; a request's outcome is the first refusal among its answers.
// The kernel works on a request inside send(), so but for the parts of a dump its answers wait when that returns.
// Knows nothing of what the messages mean.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <string>
#include <vector>

namespace reuseport {

// The kernel makes a part of a dump as long as the buffer that reads it, 32 KiB at most; other answers may be longer.
constexpr size_t kNetlinkBufferBytes = 128 << 10;

// Non-blocking, close-on-exec, bound, with extended acknowledgements; the fd or −errno. 0 bytes: the kernel's default.
int openNetlinkSocket(int protocol, size_t receiveBytes, size_t sendBytes);

// Receive buffer that holds the acknowledgements of so many messages.
size_t receiveBytesFor(size_t awaited);

// One datagram from the kernel; bytes, or −errno: −EAGAIN, −EMSGSIZE when it was cut.
int64_t receiveFromKernel(int fd, uint8_t* into, size_t length);

// One request to the kernel; 0, or −errno. What it answers waits at the socket when this returns.
int sendToKernel(int fd, const uint8_t* request, size_t length);

// What a request consists of.
struct NetlinkParts {
  // Ends of the parts that are sent one after another: a socket has room for one dump at a time.
  struct Part {
    size_t end;
    uint32_t awaited;
  };
  std::vector<Part> parts;
  uint32_t messages = 0;
  uint32_t awaited = 0;
};

// False: lengths that don't fit, or a part in which no message asks for an answer.
bool divideRequest(const uint8_t* request, size_t length, NetlinkParts* into);

// The next message in a buffer, or nullptr at its end.
inline const nlmsghdr* messageAt(const uint8_t* bytes, size_t length, size_t offset) {
  if (offset > length || length - offset < sizeof(nlmsghdr)) return nullptr;
  auto* message = reinterpret_cast<const nlmsghdr*>(bytes + offset);
  return message->nlmsg_len < sizeof(nlmsghdr) || message->nlmsg_len > length - offset ? nullptr : message;
}

// Takes what is neither an acknowledgement nor the end of a dump. False: no room, the exchange ends with EMSGSIZE.
class NetlinkSink {
 public:
  virtual bool take(const nlmsghdr* message) = 0;

 protected:
  ~NetlinkSink() = default;
};

struct NetlinkOutcome {
  int error = 0;  // errno of the first refusal
  uint32_t sequence = 0;
  std::string words;
};

class NetlinkExchange {
 public:
  // `sink` may be null: such messages are dropped. `buffer` has kNetlinkBufferBytes.
  NetlinkExchange(int fd, uint8_t* buffer, NetlinkSink* sink, bool keepWords)
      : fd_(fd), buffer_(buffer), sink_(sink), keepWords_(keepWords) {}

  // Sends one part and reads until `awaited` answers are there, or one refuses and no more wait. Answers whose sequence
  // is not one of the `sequences` from `firstSequence` on are another request's (0: all are this one's).
  void run(const uint8_t* part, size_t length, uint32_t awaited, int64_t deadlineNs);
  void expect(uint32_t firstSequence, uint32_t sequences) {
    firstSequence_ = firstSequence;
    sequences_ = sequences;
  }

  // A refusal that is no failure; counted.
  void tolerate(int error) { tolerable_ = error; }

  NetlinkOutcome outcome;
  uint32_t agreed = 0;
  uint32_t tolerated = 0;

 private:
  void refuse(int error, uint32_t sequence, const char* words);
  uint32_t readDatagram(size_t length);
  void readVerdict(const nlmsghdr* message);

  int fd_;
  uint8_t* buffer_;
  NetlinkSink* sink_;
  bool keepWords_;
  uint32_t firstSequence_ = 0;
  uint32_t sequences_ = 0;
  int tolerable_ = 0;
  // The last datagram read was part of a dump.
  bool isPart_ = false;
};

int64_t netlinkDeadline(int64_t afterMs);

}  // namespace reuseport
