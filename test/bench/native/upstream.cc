// A DNS server fast enough not to be the limit: A is 192.0.2.1, AAAA is 2001:db8::1, any other type has no records.
// With --delay-ms each answer waits that long. TCP is served by a thread of its own, so that it costs UDP nothing.
// Prints `ready PORT` when it can be asked.
#include <poll.h>
#include <unistd.h>

#include <deque>
#include <thread>
#include <vector>

#include "common.h"

namespace {

using bench::Batch;
using bench::kBatch;
using bench::kDatagramBytes;

constexpr uint16_t kTypeA = 1;
constexpr uint16_t kTypeAaaa = 28;
constexpr uint32_t kTtlSeconds = 300;
// Answers that may wait; beyond it questions are dropped, like by a server that is short of memory.
constexpr size_t kWaitingMax = 65536;

// TCP connections at most; a further one is closed.
constexpr size_t kConnectionsMax = 1024;
// What a connection that does not read its answers may leave unsent; then it is closed.
constexpr size_t kUnsentMax = 1 << 20;

struct Waiting {
  int64_t dueNs;
  sockaddr_storage name;
  socklen_t nameLength;
  std::vector<uint8_t> bytes;
};

// Turns the query into its answer in place; returns the new length, 0 for what is no query with one question.
size_t answerInPlace(uint8_t* bytes, size_t length) {
  const size_t end = bench::questionEnd(bytes, length);
  if (end == 0 || (bytes[2] & 0x80) != 0) return 0;
  const uint16_t type = bench::load16(bytes + end - 4);
  bytes[2] = static_cast<uint8_t>(0x84 | (bytes[2] & 0x01));
  bytes[3] = 0x80;
  memset(bytes + 6, 0, 6);
  if (type != kTypeA && type != kTypeAaaa) return end;
  const uint16_t dataBytes = type == kTypeA ? 4 : 16;
  if (end + 12 + dataBytes > kDatagramBytes) return 0;
  bytes[7] = 1;
  uint8_t* at = bytes + end;
  bench::store16(at, 0xc00c);
  bench::store16(at + 2, type);
  bench::store16(at + 4, 1);
  bench::store16(at + 6, static_cast<uint16_t>(kTtlSeconds >> 16));
  bench::store16(at + 8, static_cast<uint16_t>(kTtlSeconds));
  bench::store16(at + 10, dataBytes);
  static const uint8_t four[4] = {192, 0, 2, 1};
  static const uint8_t six[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  memcpy(at + 12, type == kTypeA ? four : six, dataBytes);
  return end + 12 + dataBytes;
}

void sendDue(int fd, std::deque<Waiting>& waiting) {
  const int64_t now = bench::nowNs();
  while (!waiting.empty() && waiting.front().dueNs <= now) {
    Waiting& first = waiting.front();
    sendto(fd, first.bytes.data(), first.bytes.size(), 0, reinterpret_cast<sockaddr*>(&first.name), first.nameLength);
    waiting.pop_front();
  }
}

int waitMs(const std::deque<Waiting>& waiting) {
  if (waiting.empty()) return -1;
  const int64_t left = waiting.front().dueNs - bench::nowNs();
  return left <= 0 ? 0 : static_cast<int>((left + 999999) / 1000000);
}

struct Delayed {
  int64_t dueNs;
  size_t bytes;
};

struct Connection {
  int fd;
  std::vector<uint8_t> in, out;
  // Answers in `out` that wait for their time, after `ready` bytes that may go.
  std::deque<Delayed> delayed;
  size_t ready = 0;
};

void makeReady(Connection& connection) {
  const int64_t now = bench::nowNs();
  while (!connection.delayed.empty() && connection.delayed.front().dueNs <= now) {
    connection.ready += connection.delayed.front().bytes;
    connection.delayed.pop_front();
  }
}

int waitMs(const std::vector<Connection>& connections) {
  int64_t due = INT64_MAX;
  for (const Connection& one : connections) {
    if (!one.delayed.empty() && one.delayed.front().dueNs < due) due = one.delayed.front().dueNs;
  }
  if (due == INT64_MAX) return -1;
  const int64_t left = due - bench::nowNs();
  return left <= 0 ? 0 : static_cast<int>((left + 999999) / 1000000);
}

// Answers every whole query in `in`. False: close the connection.
bool answerFrames(Connection& connection, int64_t delayNs) {
  std::vector<uint8_t>& in = connection.in;
  size_t at = 0;
  while (in.size() - at >= 2) {
    const size_t length = bench::load16(&in[at]);
    if (in.size() - at < 2 + length) break;
    uint8_t bytes[kDatagramBytes];
    if (length > sizeof(bytes)) return false;
    memcpy(bytes, &in[at + 2], length);
    const size_t answered = answerInPlace(bytes, length);
    if (answered == 0) return false;
    connection.out.push_back(static_cast<uint8_t>(answered >> 8));
    connection.out.push_back(static_cast<uint8_t>(answered));
    connection.out.insert(connection.out.end(), bytes, bytes + answered);
    connection.delayed.push_back({bench::nowNs() + delayNs, 2 + answered});
    at += 2 + length;
  }
  in.erase(in.begin(), in.begin() + static_cast<long>(at));
  return connection.out.size() <= kUnsentMax;
}

// False: the connection is over.
bool serveConnection(Connection& connection, int64_t delayNs) {
  uint8_t bytes[16384];
  const ssize_t length = recv(connection.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
  if (length == 0 || (length < 0 && errno != EAGAIN)) return false;
  if (length > 0) connection.in.insert(connection.in.end(), bytes, bytes + length);
  if (!answerFrames(connection, delayNs)) return false;
  makeReady(connection);
  if (connection.ready == 0) return true;
  const ssize_t sent = send(connection.fd, connection.out.data(), connection.ready, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return false;
  if (sent > 0) {
    connection.out.erase(connection.out.begin(), connection.out.begin() + sent);
    connection.ready -= static_cast<size_t>(sent);
  }
  return true;
}

void serveTcp(int listener, int64_t delayNs) {
  std::vector<Connection> connections;
  for (;;) {
    std::vector<pollfd> polled = {{listener, POLLIN, 0}};
    for (const Connection& one : connections) polled.push_back({one.fd, static_cast<short>(one.ready == 0 ? POLLIN : POLLIN | POLLOUT), 0});
    if (poll(polled.data(), polled.size(), waitMs(connections)) < 0) continue;
    for (size_t i = connections.size(); i-- > 0;) {
      const bool isDue = !connections[i].delayed.empty() && connections[i].delayed.front().dueNs <= bench::nowNs();
      if ((polled[i + 1].revents == 0 && !isDue) || serveConnection(connections[i], delayNs)) continue;
      close(connections[i].fd);
      connections.erase(connections.begin() + static_cast<long>(i));
    }
    if (polled[0].revents == 0) continue;
    const int fd = accept(listener, nullptr, nullptr);
    if (fd < 0) continue;
    if (connections.size() < kConnectionsMax) connections.push_back({fd, {}, {}, {}});
    else close(fd);
  }
}

// Listens on the port that UDP has.
int listenTcp(const bench::Address& address) {
  const int fd = socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (fd < 0) bench::die("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd, address.name(), address.length) != 0 || listen(fd, 512) != 0) bench::die("TCP on the port of UDP");
  return fd;
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options(argc, argv, {{"listen", "127.0.0.1:0"}, {"delay-ms", "0"}, {"pin", "-1"}});
  const int64_t delayNs = options.number("delay-ms", 0, 60000) * 1000000;
  bench::pinTo(options.number("pin", -1, 1023));
  const int fd = bench::udpSocket(bench::parseAddress(options.text("listen")).family());
  bench::bindTo(fd, options.text("listen"));
  const int port = bench::portOf(fd);
  const std::string host = options.text("listen").substr(0, options.text("listen").rfind(':'));
  std::thread(serveTcp, listenTcp(bench::parseAddress(host + ":" + std::to_string(port))), delayNs).detach();
  printf("ready %d\n", port);
  fflush(stdout);

  static Batch batch;
  std::deque<Waiting> waiting;
  for (;;) {
    pollfd readable{fd, POLLIN, 0};
    if (poll(&readable, 1, waitMs(waiting)) < 0 && errno != EINTR) bench::die("poll");
    sendDue(fd, waiting);
    batch.armForReceive(true);
    const int count = recvmmsg(fd, batch.headers, kBatch, MSG_DONTWAIT, nullptr);
    int answers = 0;
    for (int i = 0; i < count; i++) {
      const size_t length = answerInPlace(batch.bytes[i], batch.headers[i].msg_len);
      if (length == 0) continue;
      if (delayNs > 0) {
        if (waiting.size() >= kWaitingMax) continue;
        waiting.push_back({bench::nowNs() + delayNs, batch.names[i], batch.headers[i].msg_hdr.msg_namelen,
                           std::vector<uint8_t>(batch.bytes[i], batch.bytes[i] + length)});
        continue;
      }
      batch.vectors[i].iov_len = length;
      batch.headers[answers++] = batch.headers[i];
    }
    if (answers > 0) bench::sendGrouped(fd, batch.headers, answers);
  }
}
