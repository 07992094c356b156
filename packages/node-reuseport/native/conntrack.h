// The kernel's connection table as rows of words: read by mark, and connections deleted or marked by row.
// Knows nothing of whose the connections are.
#pragma once

#include <cstdint>
#include <vector>

#include "netlink.h"

namespace reuseport {

// Words of a row. Addresses are four words, most significant first, IPv4 as IPv4-mapped; numbers in host order.
enum ConnectionWord : uint32_t {
  kOriginalSource = 0,
  kOriginalDestination = 4,
  kReplySource = 8,
  kReplyDestination = 12,
  kProtocol = 16,
  kOriginalPorts = 17,  // source << 16 | destination; ICMP: identifier << 16
  kReplyPorts = 18,
  kIcmp = 19,  // original type << 24, code << 16, reply type << 8, code
  kConnectionMark = 20,
  kConnectionId = 21,
  kZone = 22,
  kStatus = 23,
  kConnectionWords = 24,
};

class ConnectionTable : public NetlinkSink {
 public:
  explicit ConnectionTable(size_t connectionsMax) : connectionsMax_(connectionsMax) {}
  bool take(const nlmsghdr* message) override;
  std::vector<uint32_t> rows;

 private:
  size_t connectionsMax_;
};

std::vector<uint8_t> dumpRequest(uint32_t mark, uint32_t mask);

// What becomes of a connection.
struct ConnectionChange {
  bool deletes = true;
  // Else: these bits of its mark (`mask`) become those of `mark`.
  uint32_t mark = 0;
  uint32_t mask = 0;
};

// One message that changes the row's connection. It is deleted only if it is still that one; marked is whichever has its addresses and ports.
void appendChange(const uint32_t* row, const ConnectionChange& change, uint32_t sequence, std::vector<uint8_t>* into);

}  // namespace reuseport
