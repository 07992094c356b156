// See metadata.h.
#include "metadata.h"

#include <linux/in6.h>
#include <linux/udp.h>
#include <netinet/in.h>

#include <cstring>

namespace reuseport {

namespace {

constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

void mapFour(uint8_t* into, const void* four) {
  memcpy(into, kMappedPrefix, sizeof kMappedPrefix);
  memcpy(into + 12, four, 4);
}

bool isMapped(const uint8_t* bytes) { return memcmp(bytes, kMappedPrefix, sizeof kMappedPrefix) == 0; }

struct Walk {
  uint8_t* server;
  uint32_t* meta;
  bool haveOriginal;
};

void takeControl(const cmsghdr& head, const uint8_t* data, size_t bytes, Walk& walk) {
  if (head.cmsg_level == IPPROTO_IP) {
    if (head.cmsg_type == IP_PKTINFO && bytes >= sizeof(in_pktinfo)) {
      in_pktinfo info;
      memcpy(&info, data, sizeof info);
      walk.meta[kInterface] = static_cast<uint32_t>(info.ipi_ifindex);
      if (!walk.haveOriginal) mapFour(walk.server, &info.ipi_addr);
    } else if (head.cmsg_type == IP_ORIGDSTADDR && bytes >= sizeof(sockaddr_in)) {
      sockaddr_in original;
      memcpy(&original, data, sizeof original);
      mapFour(walk.server, &original.sin_addr);
      walk.meta[kServerPort] = ntohs(original.sin_port);
      walk.haveOriginal = true;
    }
  } else if (head.cmsg_level == IPPROTO_IPV6) {
    if (head.cmsg_type == IPV6_PKTINFO && bytes >= sizeof(in6_pktinfo)) {
      in6_pktinfo info;
      memcpy(&info, data, sizeof info);
      walk.meta[kInterface] = info.ipi6_ifindex;
      if (!walk.haveOriginal) memcpy(walk.server, &info.ipi6_addr, 16);
    } else if (head.cmsg_type == IPV6_ORIGDSTADDR && bytes >= sizeof(sockaddr_in6)) {
      sockaddr_in6 original;
      memcpy(&original, data, sizeof original);
      memcpy(walk.server, &original.sin6_addr, 16);
      walk.meta[kServerPort] = ntohs(original.sin6_port);
      walk.haveOriginal = true;
    }
  } else if (head.cmsg_level == SOL_SOCKET && head.cmsg_type == SO_MARK && bytes >= sizeof(uint32_t)) {
    memcpy(&walk.meta[kMark], data, sizeof(uint32_t));
  }
}

}  // namespace

Address addressOf(const sockaddr_storage& from) {
  Address a;
  if (from.ss_family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(from);
    mapFour(a.bytes, &four.sin_addr);
    a.port = ntohs(four.sin_port);
    a.family = 4;
  } else if (from.ss_family == AF_INET6) {
    const auto& six = reinterpret_cast<const sockaddr_in6&>(from);
    memcpy(a.bytes, &six.sin6_addr, 16);
    a.port = ntohs(six.sin6_port);
    a.family = isMapped(a.bytes) ? 4 : 6;
  }
  return a;
}

socklen_t toSockaddr(const uint8_t* bytes16, uint16_t port, int socketFamily, sockaddr_in6* into) {
  if (socketFamily == AF_INET) {
    if (!isMapped(bytes16)) return 0;
    auto* four = reinterpret_cast<sockaddr_in*>(into);
    memset(four, 0, sizeof *four);
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    memcpy(&four->sin_addr, bytes16 + 12, 4);
    return sizeof *four;
  }
  memset(into, 0, sizeof *into);
  into->sin6_family = AF_INET6;
  into->sin6_port = htons(port);
  memcpy(&into->sin6_addr, bytes16, 16);
  return sizeof *into;
}

void describeDatagram(uint8_t* slot, const Datagram& datagram, const Address& bound) {
  auto* meta = reinterpret_cast<uint32_t*>(slot);
  memset(meta, 0, kMetaWords * sizeof(uint32_t));
  meta[kLength] = datagram.length < kPayloadBytes ? datagram.length : kPayloadBytes;
  meta[kFlags] = datagram.truncated ? kFlagTruncated : 0;
  meta[kListener] = datagram.listener;
  memcpy(&meta[kReceivedAtMs], &datagram.receivedAtMs, sizeof(double));

  const uint8_t* name = slot + kNameOffset;
  sa_family_t family;
  memcpy(&family, name, sizeof family);
  if (family == AF_INET && datagram.nameBytes >= sizeof(sockaddr_in)) {
    sockaddr_in four;
    memcpy(&four, name, sizeof four);
    meta[kClientFamily] = 4;
    mapFour(reinterpret_cast<uint8_t*>(&meta[kClientAddress]), &four.sin_addr);
    meta[kClientPort] = ntohs(four.sin_port);
  } else if (family == AF_INET6 && datagram.nameBytes >= sizeof(sockaddr_in6)) {
    sockaddr_in6 six;
    memcpy(&six, name, sizeof six);
    memcpy(&meta[kClientAddress], &six.sin6_addr, 16);
    meta[kClientFamily] = isMapped(reinterpret_cast<uint8_t*>(&meta[kClientAddress])) ? 4 : 6;
    meta[kClientPort] = ntohs(six.sin6_port);
  }

  Walk walk{reinterpret_cast<uint8_t*>(&meta[kServerAddress]), meta, false};
  memcpy(walk.server, bound.bytes, sizeof bound.bytes);
  meta[kServerPort] = bound.port;
  const uint8_t* at = slot + kControlOffset;
  size_t left = datagram.controlBytes < kControlBytes ? datagram.controlBytes : kControlBytes;
  while (left >= sizeof(cmsghdr)) {
    cmsghdr head;
    memcpy(&head, at, sizeof head);
    if (head.cmsg_len < CMSG_LEN(0) || head.cmsg_len > left) break;
    takeControl(head, at + CMSG_LEN(0), head.cmsg_len - CMSG_LEN(0), walk);
    size_t space = CMSG_ALIGN(head.cmsg_len);
    if (space >= left) break;
    at += space;
    left -= space;
  }
}

size_t writeSourceControl(uint8_t* control, const uint8_t* address, int socketFamily) {
  cmsghdr head = {};
  if (socketFamily == AF_INET) {
    in_pktinfo info = {};
    memcpy(&info.ipi_spec_dst, address + 12, 4);
    head.cmsg_level = IPPROTO_IP;
    head.cmsg_type = IP_PKTINFO;
    head.cmsg_len = CMSG_LEN(sizeof info);
    memcpy(control + CMSG_LEN(0), &info, sizeof info);
    memcpy(control, &head, sizeof head);
    return CMSG_SPACE(sizeof info);
  }
  in6_pktinfo info = {};
  memcpy(&info.ipi6_addr, address, 16);
  head.cmsg_level = IPPROTO_IPV6;
  head.cmsg_type = IPV6_PKTINFO;
  head.cmsg_len = CMSG_LEN(sizeof info);
  memcpy(control + CMSG_LEN(0), &info, sizeof info);
  memcpy(control, &head, sizeof head);
  return CMSG_SPACE(sizeof info);
}

size_t writeSegmentControl(uint8_t* control, uint16_t segmentBytes) {
  cmsghdr head = {};
  head.cmsg_level = IPPROTO_UDP;
  head.cmsg_type = UDP_SEGMENT;
  head.cmsg_len = CMSG_LEN(sizeof segmentBytes);
  memcpy(control + CMSG_LEN(0), &segmentBytes, sizeof segmentBytes);
  memcpy(control, &head, sizeof head);
  return kSegmentControlBytes;
}

}  // namespace reuseport
