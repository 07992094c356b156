// What the bench programs share: options, addresses, sockets, time. A program ends by itself, on SIGTERM, or with the
// process that started it.
#ifndef TANDEM_TEST_BENCH_NATIVE_COMMON_H_
#define TANDEM_TEST_BENCH_NATIVE_COMMON_H_

#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

namespace bench {

constexpr int kBatch = 64;
constexpr size_t kDatagramBytes = 2048;
constexpr size_t kHeaderBytes = 12;
// Room for a burst: the kernel's default holds about 256 datagrams.
constexpr int kReceiveBufferBytes = 4 << 20;

[[noreturn]] inline void die(const std::string& what) {
  const std::string why = errno == 0 ? "" : std::string(": ") + strerror(errno);
  fprintf(stderr, "%s%s\n", what.c_str(), why.c_str());
  exit(69);
}

// --name value pairs; an unknown name or a missing value ends the program with exit code 64.
class Options {
 public:
  Options(int argc, char** argv, std::map<std::string, std::string> defaults) : values_(std::move(defaults)) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    for (int i = 1; i < argc; i += 2) {
      const std::string name = argv[i];
      if (name.rfind("--", 0) != 0 || values_.count(name.substr(2)) == 0 || i + 1 >= argc) {
        fprintf(stderr, "unknown option or missing value: %s\n", argv[i]);
        exit(64);
      }
      values_[name.substr(2)] = argv[i + 1];
    }
  }
  const std::string& text(const std::string& name) const { return values_.at(name); }
  long number(const std::string& name, long least, long most) const {
    char* end = nullptr;
    const std::string& value = values_.at(name);
    const long parsed = strtol(value.c_str(), &end, 10);
    if (value.empty() || *end != '\0' || parsed < least || parsed > most) {
      fprintf(stderr, "--%s must be a number from %ld to %ld\n", name.c_str(), least, most);
      exit(64);
    }
    return parsed;
  }

 private:
  std::map<std::string, std::string> values_;
};

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* name() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

// `192.0.2.1:53` or `[2001:db8::1]:53`.
inline Address parseAddress(const std::string& text) {
  Address out;
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) die("no port in " + text);
  std::string host = text.substr(0, colon);
  const int port = atoi(text.c_str() + colon + 1);
  if (!host.empty() && host.front() == '[') host = host.substr(1, host.size() - 2);
  auto* four = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* six = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (inet_pton(AF_INET, host.c_str(), &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(static_cast<uint16_t>(port));
    out.length = sizeof(*four);
  } else if (inet_pton(AF_INET6, host.c_str(), &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(static_cast<uint16_t>(port));
    out.length = sizeof(*six);
  } else {
    errno = 0;
    die("no address in " + text);
  }
  return out;
}

inline int portOf(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) die("getsockname");
  return ntohs(storage.ss_family == AF_INET ? reinterpret_cast<sockaddr_in*>(&storage)->sin_port
                                            : reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port);
}

inline int udpSocket(int family) {
  const int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  const int bytes = kReceiveBufferBytes;
  // The forced form needs a privilege; the plain one is capped by the system's limit.
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
  }
  return fd;
}

inline void bindTo(int fd, const std::string& text) {
  const Address address = parseAddress(text);
  if (bind(fd, address.name(), address.length) != 0) die("bind " + text);
}

inline void pinTo(long cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<int>(cpu), &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) die("sched_setaffinity");
}

inline int64_t nowNs() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<int64_t>(t.tv_sec) * 1000000000 + t.tv_nsec;
}

inline uint16_t load16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }

inline void store16(uint8_t* at, uint16_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

// Offset after the only question, or 0 if the bytes hold none.
inline size_t questionEnd(const uint8_t* bytes, size_t length) {
  if (length < kHeaderBytes || load16(bytes + 4) != 1) return 0;
  size_t at = kHeaderBytes;
  while (at < length && bytes[at] != 0) {
    if (bytes[at] > 63) return 0;
    at += bytes[at] + 1u;
  }
  at += 5;
  return at <= length ? at : 0;
}

// A batch of datagrams with a peer address each, for recvmmsg and sendmmsg.
struct Batch {
  mmsghdr headers[kBatch];
  iovec vectors[kBatch];
  sockaddr_storage names[kBatch];
  uint8_t bytes[kBatch][kDatagramBytes];

  // withNames: keep who sent each datagram (unconnected sockets).
  void armForReceive(bool withNames) {
    for (int i = 0; i < kBatch; i++) {
      vectors[i] = {bytes[i], kDatagramBytes};
      headers[i].msg_hdr = {};
      headers[i].msg_hdr.msg_iov = &vectors[i];
      headers[i].msg_hdr.msg_iovlen = 1;
      if (withNames) {
        headers[i].msg_hdr.msg_name = &names[i];
        headers[i].msg_hdr.msg_namelen = sizeof(names[i]);
      }
    }
  }
};

// Sends entries 0 to count-1, waiting while the socket's buffer is full; entries that the kernel refuses are left out.
inline void sendAll(int fd, mmsghdr* headers, int count) {
  int done = 0;
  while (done < count) {
    const int sent = sendmmsg(fd, headers + done, static_cast<unsigned>(count - done), 0);
    if (sent > 0) {
      done += sent;
    } else if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
      done++;
    }
  }
}

// As sendAll, but what has one destination and one length leaves as one segmented send, so that the load costs less than what is
// measured. Datagrams of different lengths may change places.
inline void sendGrouped(int fd, mmsghdr* headers, int count) {
  static thread_local mmsghdr groups[kBatch];
  static thread_local iovec vectors[kBatch];
  alignas(cmsghdr) static thread_local uint8_t controls[kBatch][CMSG_SPACE(sizeof(uint16_t))];
  bool isGrouped[kBatch] = {};
  int groupCount = 0, at = 0;
  for (int i = 0; i < count; i++) {
    if (isGrouped[i]) continue;
    const msghdr& first = headers[i].msg_hdr;
    const size_t length = first.msg_iov->iov_len;
    msghdr& group = groups[groupCount].msg_hdr;
    group = first;
    group.msg_iov = &vectors[at];
    group.msg_iovlen = 0;
    for (int j = i; j < count; j++) {
      const msghdr& other = headers[j].msg_hdr;
      if (isGrouped[j] || other.msg_iov->iov_len != length || other.msg_namelen != first.msg_namelen ||
          (first.msg_namelen > 0 && memcmp(other.msg_name, first.msg_name, first.msg_namelen) != 0)) continue;
      isGrouped[j] = true;
      vectors[at++] = *other.msg_iov;
      group.msg_iovlen++;
    }
    if (group.msg_iovlen > 1) {
      group.msg_control = controls[groupCount];
      group.msg_controllen = sizeof(controls[groupCount]);
      cmsghdr* segment = CMSG_FIRSTHDR(&group);
      segment->cmsg_level = SOL_UDP;
      segment->cmsg_type = UDP_SEGMENT;
      segment->cmsg_len = CMSG_LEN(sizeof(uint16_t));
      const auto bytes = static_cast<uint16_t>(length);
      memcpy(CMSG_DATA(segment), &bytes, sizeof(bytes));
    }
    groupCount++;
  }
  sendAll(fd, groups, groupCount);
}

}  // namespace bench

#endif  // TANDEM_TEST_BENCH_NATIVE_COMMON_H_
