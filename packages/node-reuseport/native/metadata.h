// Between kernel address structures and a slot's metadata words.
// Invariant: addresses in words are 16 bytes in network order, IPv4 as IPv4-mapped; ports are in host order.
// Knows nothing of sockets or slots' states.
#pragma once

#include "layout.h"

namespace reuseport {

struct Address {
  uint8_t bytes[16] = {};
  uint16_t port = 0;
  uint8_t family = 0;  // 4, 6, 0 unknown
};

Address addressOf(const sockaddr_storage& from);
// Length of the structure written for a socket of `socketFamily`; 0 if the address does not fit that family.
socklen_t toSockaddr(const uint8_t* bytes16, uint16_t port, int socketFamily, sockaddr_in6* into);

struct Datagram {
  uint32_t length;
  uint32_t nameBytes;
  uint64_t controlBytes;
  bool truncated;
  uint32_t listener;
  double receivedAtMs;
};
// Fills the metadata of a slot whose name, control and payload the kernel has filled.
void describeDatagram(uint8_t* slot, const Datagram& datagram, const Address& bound);

// Control data that makes `address` the source of an answer; returns its length.
size_t writeSourceControl(uint8_t* control, const uint8_t* address, int socketFamily);
// Control data that cuts a message into datagrams of so many bytes; returns its length.
size_t writeSegmentControl(uint8_t* control, uint16_t segmentBytes);
constexpr size_t kSegmentControlBytes = CMSG_SPACE(sizeof(uint16_t));

}  // namespace reuseport
