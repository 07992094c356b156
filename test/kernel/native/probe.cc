// Holds a network namespace, asks and answers in it. A line of input is a command, a line of output what came of one.
//
//   listen tcp|udp ADDRESS PORT      accepts, or echoes; "listening" once it does
//   tcp|udp ID SOURCE DESTINATION PORT   a connection, or a datagram and its echo
//   sctp|icmp|icmpv6 ID SOURCE DESTINATION PORT   one packet (PORT is a type with ICMP); whoever receives it says "arrived ID"
//   tagged|provider-tagged ID SOURCE DESTINATION MAC   the same of SCTP over IPv4, behind two VLAN tags of number 0
//
// Answers: "ID ok", "ID refused ERRNO", "ID timeout" (never for what is one packet). Ends with its input.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <iostream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr int kTimeoutMs = 700;
const std::string kMagic = "tandem-probe:";

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  int family() const { return storage.ss_family; }
  sockaddr *get() { return reinterpret_cast<sockaddr *>(&storage); }
};

Address address_of(const std::string &text, int port) {
  Address a;
  if (text.find(':') == std::string::npos) {
    auto *v4 = reinterpret_cast<sockaddr_in *>(&a.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    inet_pton(AF_INET, text.c_str(), &v4->sin_addr);
    a.length = sizeof *v4;
  } else {
    auto *v6 = reinterpret_cast<sockaddr_in6 *>(&a.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr);
    a.length = sizeof *v6;
  }
  return a;
}

long now_ms() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000L + t.tv_nsec / 1000000;
}

enum class Kind { Accept, Echo, Connect, Datagram, Packet, Raw };
struct Open {
  int fd;
  Kind kind;
  std::string id;
  long until;
};
std::vector<Open> open_sockets;
std::set<std::string> listening;

void say(const std::string &line) { std::cout << line << std::endl; }
std::string refused(const std::string &id) { return id + " refused " + std::to_string(errno); }

int socket_for(int family, int type, int protocol) {
  int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd < 0) return fd;
  int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (family == AF_INET) {
    setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof one);
    setsockopt(fd, IPPROTO_IP, IP_RECVERR, &one, sizeof one);
  } else {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &one, sizeof one);
    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &one, sizeof one);
  }
  return fd;
}

void listen_at(const std::string &protocol, const std::string &text, int port) {
  std::string key = protocol + " " + text + " " + std::to_string(port);
  if (listening.insert(key).second) {
    Address a = address_of(text, port);
    bool tcp = protocol == "tcp";
    int fd = socket_for(a.family(), tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
    if (fd < 0 || bind(fd, a.get(), a.length) < 0 || (tcp && listen(fd, 16) < 0)) {
      say("failed to listen at " + key + ": " + strerror(errno));
      return;
    }
    open_sockets.push_back({fd, tcp ? Kind::Accept : Kind::Echo, "", 0});
  }
  say("listening");
}

uint16_t checksum(const std::vector<uint8_t> &bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 2) sum += bytes[i] << 8 | (i + 1 < bytes.size() ? bytes[i + 1] : 0);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum;
}

std::vector<uint8_t> packet_of(const std::string &protocol, const std::string &id, int port) {
  std::string text = kMagic + id + ";";
  std::vector<uint8_t> bytes;
  if (protocol == "sctp") {
    // Ports 40000 and PORT, no tag, no checksum; an INIT chunk with the text in it.
    bytes = {0x9c, 0x40, uint8_t(port >> 8), uint8_t(port), 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, uint8_t(20 + text.size())};
    bytes.resize(bytes.size() + 16);
  } else {
    bytes = {uint8_t(port), 0, 0, 0, 0, 1, 0, 1};
  }
  bytes.insert(bytes.end(), text.begin(), text.end());
  if (protocol == "icmp") {
    uint16_t sum = checksum(bytes);
    bytes[2] = sum >> 8;
    bytes[3] = sum & 0xff;
  }
  return bytes;
}

void ask(const std::string &protocol, const std::string &id, const std::string &source, const std::string &destination, int port) {
  bool tcp = protocol == "tcp", udp = protocol == "udp";
  Address from = address_of(source, 0), to = address_of(destination, tcp || udp ? port : 0);
  int number = protocol == "sctp" ? int(IPPROTO_SCTP) : protocol == "icmp" ? int(IPPROTO_ICMP) : int(IPPROTO_ICMPV6);
  int fd = tcp ? socket_for(to.family(), SOCK_STREAM, 0) : udp ? socket_for(to.family(), SOCK_DGRAM, 0) : socket_for(to.family(), SOCK_RAW, number);
  bool failed = fd < 0 || bind(fd, from.get(), from.length) < 0 || (connect(fd, to.get(), to.length) < 0 && errno != EINPROGRESS);
  if (!failed && udp) failed = send(fd, "?", 1, 0) < 0;
  if (!failed && !tcp && !udp) {
    auto bytes = packet_of(protocol, id, port);
    failed = send(fd, bytes.data(), bytes.size(), 0) < 0;
  }
  if (failed) {
    say(refused(id));
    if (fd >= 0) close(fd);
    return;
  }
  open_sockets.push_back({fd, tcp ? Kind::Connect : udp ? Kind::Datagram : Kind::Packet, id, now_ms() + kTimeoutMs});
}

// SCTP over IPv4 in an Ethernet frame with two tags of number 0, of which the first says that it is a provider's where PROVIDER.
void send_tagged(const std::string &id, const std::string &source, const std::string &destination, const std::string &mac, bool provider) {
  std::vector<uint8_t> payload = packet_of("sctp", id, 53);
  std::vector<uint8_t> header = {0x45, 0, 0, uint8_t(20 + payload.size()), 0, 1, 0, 0, 64, IPPROTO_SCTP, 0, 0};
  for (const std::string &text : {source, destination}) {
    in_addr address;
    inet_pton(AF_INET, text.c_str(), &address);
    auto *bytes = reinterpret_cast<uint8_t *>(&address);
    header.insert(header.end(), bytes, bytes + 4);
  }
  uint16_t sum = checksum(header);
  header[10] = sum >> 8;
  header[11] = sum & 0xff;
  std::vector<uint8_t> frame(12);
  sscanf(mac.c_str(), "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &frame[0], &frame[1], &frame[2], &frame[3], &frame[4], &frame[5]);
  sockaddr_ll at{};
  at.sll_family = AF_PACKET;
  at.sll_ifindex = int(if_nametoindex("eth0"));
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  ifreq own{};
  strcpy(own.ifr_name, "eth0");
  ioctl(fd, SIOCGIFHWADDR, &own);
  memcpy(&frame[6], own.ifr_hwaddr.sa_data, 6);
  for (int byte : {provider ? 0x88 : 0x81, provider ? 0xa8 : 0, 0, 0, 0x81, 0, 0, 0, 8, 0}) frame.push_back(uint8_t(byte));
  frame.insert(frame.end(), header.begin(), header.end());
  frame.insert(frame.end(), payload.begin(), payload.end());
  if (bind(fd, reinterpret_cast<sockaddr *>(&at), sizeof at) < 0 || send(fd, frame.data(), frame.size(), 0) < 0) say(refused(id));
  close(fd);
}

// What arrives with our text in it was sent by a probe. An ICMP error quotes what it is about: there it stands further behind.
constexpr size_t kTextAtMost = 52;
void told_of(const char *bytes, size_t length) {
  std::string text(bytes, length);
  size_t at = text.find(kMagic);
  if (at == std::string::npos || at > kTextAtMost) return;
  at += kMagic.size();
  say("arrived " + text.substr(at, text.find(';', at) - at));
}

// True when the socket is done with.
bool handle(Open &one, short events) {
  char bytes[2048];
  switch (one.kind) {
    case Kind::Accept: {
      int fd = accept(one.fd, nullptr, nullptr);
      if (fd >= 0) close(fd);
      return false;
    }
    case Kind::Echo: {
      Address peer;
      peer.length = sizeof peer.storage;
      ssize_t n = recvfrom(one.fd, bytes, sizeof bytes, 0, peer.get(), &peer.length);
      if (n >= 0 && sendto(one.fd, bytes, n, 0, peer.get(), peer.length) < 0) std::cerr << "no echo: " << strerror(errno) << std::endl;
      return false;
    }
    case Kind::Connect: {
      socklen_t length = sizeof errno;
      int error = 0;
      getsockopt(one.fd, SOL_SOCKET, SO_ERROR, &error, &length);
      errno = error;
      say(error == 0 ? one.id + " ok" : refused(one.id));
      return true;
    }
    case Kind::Datagram: {
      ssize_t n = recv(one.fd, bytes, sizeof bytes, 0);
      if (n < 0 && errno == EAGAIN) return false;
      say(n >= 0 ? one.id + " ok" : refused(one.id));
      return true;
    }
    case Kind::Packet: {
      ssize_t n = recv(one.fd, bytes, sizeof bytes, 0);
      if (n >= 0 || errno == EAGAIN || !(events & POLLERR)) return false;
      say(refused(one.id));
      return true;
    }
    case Kind::Raw: {
      ssize_t n = recv(one.fd, bytes, sizeof bytes, 0);
      if (n > 0) told_of(bytes, n);
      return false;
    }
  }
  return true;
}

void command(const std::string &line) {
  std::istringstream words(line);
  std::string verb, id, source, destination;
  int port = 0;
  words >> verb;
  if (verb == "listen") {
    words >> id >> source >> port;
    listen_at(id, source, port);
  } else if (verb == "tagged" || verb == "provider-tagged") {
    std::string mac;
    words >> id >> source >> destination >> mac;
    send_tagged(id, source, destination, mac, verb == "provider-tagged");
  } else {
    words >> id >> source >> destination >> port;
    ask(verb, id, source, destination, port);
  }
}

}  // namespace

int main() {
  for (auto [family, protocol] : std::vector<std::pair<int, int>>{{AF_INET, IPPROTO_ICMP}, {AF_INET, IPPROTO_SCTP}, {AF_INET6, IPPROTO_ICMPV6}, {AF_INET6, IPPROTO_SCTP}}) {
    int fd = socket_for(family, SOCK_RAW, protocol);
    if (fd < 0) {
      std::cerr << "no raw socket: " << strerror(errno) << std::endl;
      return 1;
    }
    open_sockets.push_back({fd, Kind::Raw, "", 0});
  }
  say("ready");
  std::string input;
  for (;;) {
    std::vector<pollfd> fds{{0, POLLIN, 0}};
    for (auto &one : open_sockets) fds.push_back({one.fd, short(one.kind == Kind::Connect ? POLLOUT : POLLIN), 0});
    poll(fds.data(), fds.size(), 20);
    std::vector<Open> left;
    size_t known = open_sockets.size();
    for (size_t i = 0; i < known; i++) {
      Open &one = open_sockets[i];
      bool done = fds[i + 1].revents != 0 && handle(one, fds[i + 1].revents);
      if (!done && one.until != 0 && now_ms() > one.until) {
        if (one.kind != Kind::Packet) say(one.id + " timeout");
        done = true;
      }
      if (done) close(one.fd);
      else left.push_back(one);
    }
    open_sockets = left;
    if (fds[0].revents == 0) continue;
    char bytes[4096];
    ssize_t n = read(0, bytes, sizeof bytes);
    if (n <= 0) return 0;
    input.append(bytes, n);
    for (size_t end; (end = input.find('\n')) != std::string::npos; input.erase(0, end + 1)) command(input.substr(0, end));
  }
}
