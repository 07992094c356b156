#include "conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace reuseport {

namespace {

constexpr uint32_t kMappedPrefix = 0xffff;

template <typename Number>
Number numberIn(const uint8_t* value, size_t length) {
  Number number = 0;
  if (length >= sizeof number) memcpy(&number, value, sizeof number);
  return number;
}
uint32_t word(const uint8_t* value, size_t length) { return ntohl(numberIn<uint32_t>(value, length)); }
uint32_t octet(const uint8_t* value, size_t length) { return numberIn<uint8_t>(value, length); }
uint32_t half(const uint8_t* value, size_t length) { return ntohs(numberIn<uint16_t>(value, length)); }

// Calls `visit(type, value, length)` for each attribute.
template <typename Visit>
void eachAttribute(const uint8_t* bytes, size_t length, Visit visit) {
  while (length >= sizeof(nlattr)) {
    nlattr attribute;
    memcpy(&attribute, bytes, sizeof attribute);
    if (attribute.nla_len < sizeof attribute || attribute.nla_len > length) return;
    visit(attribute.nla_type & NLA_TYPE_MASK, bytes + sizeof attribute, attribute.nla_len - sizeof attribute);
    const size_t step = std::min<size_t>(NLA_ALIGN(attribute.nla_len), length);
    bytes += step;
    length -= step;
  }
}

void putAddress(uint32_t* row, const uint8_t* value, size_t length) {
  if (length == sizeof(in_addr)) {
    row[2] = kMappedPrefix;
    row[3] = word(value, length);
  } else if (length == sizeof(in6_addr)) {
    for (size_t i = 0; i < 4; i++) row[i] = word(value + i * 4, 4);
  }
}

struct Tuple {
  uint32_t source, destination, ports, icmpShift;
};
constexpr Tuple kOriginal = {kOriginalSource, kOriginalDestination, kOriginalPorts, 16};
constexpr Tuple kReply = {kReplySource, kReplyDestination, kReplyPorts, 0};

void readTuple(const uint8_t* bytes, size_t length, const Tuple& tuple, uint32_t* row) {
  eachAttribute(bytes, length, [&](int part, const uint8_t* value, size_t size) {
    if (part == CTA_TUPLE_IP) {
      eachAttribute(value, size, [&](int type, const uint8_t* address, size_t bytesLong) {
        const bool isSource = type == CTA_IP_V4_SRC || type == CTA_IP_V6_SRC;
        putAddress(row + (isSource ? tuple.source : tuple.destination), address, bytesLong);
      });
    } else if (part == CTA_TUPLE_PROTO) {
      eachAttribute(value, size, [&](int type, const uint8_t* field, size_t bytesLong) {
        switch (type) {
          case CTA_PROTO_NUM: row[kProtocol] = octet(field, bytesLong); break;
          case CTA_PROTO_SRC_PORT: case CTA_PROTO_ICMP_ID: case CTA_PROTO_ICMPV6_ID:
            row[tuple.ports] |= half(field, bytesLong) << 16; break;
          case CTA_PROTO_DST_PORT: row[tuple.ports] |= half(field, bytesLong); break;
          case CTA_PROTO_ICMP_TYPE: case CTA_PROTO_ICMPV6_TYPE:
            row[kIcmp] |= octet(field, bytesLong) << tuple.icmpShift << 8; break;
          case CTA_PROTO_ICMP_CODE: case CTA_PROTO_ICMPV6_CODE:
            row[kIcmp] |= octet(field, bytesLong) << tuple.icmpShift; break;
        }
      });
    }
  });
}

// Appends one message; attributes nest by remembering where they began.
class Writer {
 public:
  Writer(uint16_t type, uint16_t flags, uint32_t sequence, uint8_t family, std::vector<uint8_t>* into)
      : into_(*into), start_(into->size()) {
    nlmsghdr header = {};
    header.nlmsg_type = static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
    header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    header.nlmsg_seq = sequence;
    append(&header, sizeof header);
    const nfgenmsg generic = {family, NFNETLINK_V0, 0};
    append(&generic, sizeof generic);
  }
  ~Writer() {
    const uint32_t length = static_cast<uint32_t>(into_.size() - start_);
    memcpy(into_.data() + start_, &length, sizeof length);
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  size_t open(uint16_t type) {
    const size_t at = into_.size();
    const nlattr attribute = {0, static_cast<uint16_t>(type | NLA_F_NESTED)};
    append(&attribute, sizeof attribute);
    return at;
  }
  void close(size_t at) {
    const uint16_t length = static_cast<uint16_t>(into_.size() - at);
    memcpy(into_.data() + at, &length, sizeof length);
  }
  void put(uint16_t type, const void* value, size_t length) {
    const nlattr attribute = {static_cast<uint16_t>(sizeof(nlattr) + length), type};
    append(&attribute, sizeof attribute);
    append(value, length);
    into_.resize((into_.size() + 3) & ~size_t{3});
  }
  void put32(uint16_t type, uint32_t value) {
    value = htonl(value);
    put(type, &value, sizeof value);
  }
  void put16(uint16_t type, uint32_t value) {
    const uint16_t ordered = htons(static_cast<uint16_t>(value));
    put(type, &ordered, sizeof ordered);
  }
  void put8(uint16_t type, uint32_t value) {
    const uint8_t byte = static_cast<uint8_t>(value);
    put(type, &byte, sizeof byte);
  }

 private:
  void append(const void* value, size_t length) {
    const auto* bytes = static_cast<const uint8_t*>(value);
    into_.insert(into_.end(), bytes, bytes + length);
  }
  std::vector<uint8_t>& into_;
  size_t start_;
};

bool isV4(const uint32_t* row) { return row[0] == 0 && row[1] == 0 && row[2] == kMappedPrefix; }

void putAddress(Writer* writer, const uint32_t* address, bool v4, uint16_t type) {
  if (v4) return writer->put32(type, address[3]);
  uint32_t ordered[4];
  for (size_t i = 0; i < 4; i++) ordered[i] = htonl(address[i]);
  writer->put(type, ordered, sizeof ordered);
}

}  // namespace

bool ConnectionTable::take(const nlmsghdr* message) {
  constexpr size_t kHead = NLMSG_LENGTH(sizeof(nfgenmsg));
  if (message->nlmsg_len < kHead) return true;
  if (rows.size() / kConnectionWords >= connectionsMax_) return false;
  rows.resize(rows.size() + kConnectionWords);
  uint32_t* row = rows.data() + rows.size() - kConnectionWords;
  eachAttribute(reinterpret_cast<const uint8_t*>(message) + kHead, message->nlmsg_len - kHead,
                [row](int type, const uint8_t* value, size_t length) {
                  switch (type) {
                    case CTA_TUPLE_ORIG: readTuple(value, length, kOriginal, row); break;
                    case CTA_TUPLE_REPLY: readTuple(value, length, kReply, row); break;
                    case CTA_STATUS: row[kStatus] = word(value, length); break;
                    case CTA_MARK: row[kConnectionMark] = word(value, length); break;
                    case CTA_ID: row[kConnectionId] = word(value, length); break;
                    case CTA_ZONE: row[kZone] = half(value, length); break;
                  }
                });
  return true;
}

std::vector<uint8_t> dumpRequest(uint32_t mark, uint32_t mask) {
  std::vector<uint8_t> request;
  Writer writer(IPCTNL_MSG_CT_GET, NLM_F_DUMP, 1, AF_UNSPEC, &request);
  writer.put32(CTA_MARK, mark);
  writer.put32(CTA_MARK_MASK, mask);
  return request;
}

void appendChange(const uint32_t* row, const ConnectionChange& change, uint32_t sequence, std::vector<uint8_t>* into) {
  const bool v4 = isV4(row + kOriginalSource) && isV4(row + kOriginalDestination);
  const bool icmp = row[kProtocol] == (v4 ? uint32_t{IPPROTO_ICMP} : uint32_t{IPPROTO_ICMPV6});
  Writer writer(change.deletes ? IPCTNL_MSG_CT_DELETE : IPCTNL_MSG_CT_NEW, NLM_F_ACK, sequence, v4 ? AF_INET : AF_INET6, into);
  const size_t tuple = writer.open(CTA_TUPLE_ORIG);
  const size_t addresses = writer.open(CTA_TUPLE_IP);
  putAddress(&writer, row + kOriginalSource, v4, v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC);
  putAddress(&writer, row + kOriginalDestination, v4, v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST);
  writer.close(addresses);
  const size_t protocol = writer.open(CTA_TUPLE_PROTO);
  writer.put8(CTA_PROTO_NUM, row[kProtocol]);
  if (icmp) {
    writer.put16(v4 ? CTA_PROTO_ICMP_ID : CTA_PROTO_ICMPV6_ID, row[kOriginalPorts] >> 16);
    writer.put8(v4 ? CTA_PROTO_ICMP_TYPE : CTA_PROTO_ICMPV6_TYPE, row[kIcmp] >> 24);
    writer.put8(v4 ? CTA_PROTO_ICMP_CODE : CTA_PROTO_ICMPV6_CODE, row[kIcmp] >> 16);
  } else {
    writer.put16(CTA_PROTO_SRC_PORT, row[kOriginalPorts] >> 16);
    writer.put16(CTA_PROTO_DST_PORT, row[kOriginalPorts]);
  }
  writer.close(protocol);
  writer.close(tuple);
  if (row[kZone] != 0) writer.put16(CTA_ZONE, row[kZone]);
  if (change.deletes) {
    // Another connection may have the same addresses and ports by now.
    writer.put32(CTA_ID, row[kConnectionId]);
  } else {
    writer.put32(CTA_MARK, change.mark);
    writer.put32(CTA_MARK_MASK, change.mask);
  }
}

}  // namespace reuseport
