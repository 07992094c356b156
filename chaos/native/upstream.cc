// A DNS server whose faults can be switched on while it runs. A is 192.0.2.1, AAAA is 2001:db8::1, TXT a record of
// --text-bytes (over UDP: cut short), any other type has no records. Prints `ready PORT CONTROL_PORT`.
//
// A datagram `NAME NUMBER` to the control port sets delay-ms, silent or lies; each is answered with one JSON object of
// counts. lies: each answer over UDP is preceded by forged ones (another port, another ID, another question) and carries
// an address of a name that was not asked for.
#include <sys/epoll.h>
#include <unistd.h>

#include <memory>
#include <queue>
#include <unordered_map>
#include <vector>

#include "common.h"

namespace {

constexpr uint16_t kTypeA = 1;
constexpr uint16_t kTypeTxt = 16;
constexpr uint16_t kTypeAaaa = 28;
constexpr uint32_t kTtlSeconds = 300;
// Answers that may wait; beyond it questions are dropped, as by a server that is short of memory.
constexpr size_t kWaitingMax = 262144;
// TCP connections at most; a further one is closed.
constexpr size_t kConnectionsMax = 4096;
constexpr size_t kMessageMax = 65535;
constexpr uint64_t kUdp = 0, kListener = 1, kControl = 2, kFirstConnection = 3;

struct Waiting {
  int64_t dueNs;
  uint64_t order;
  uint64_t connection;  // 0: UDP
  sockaddr_storage name;
  socklen_t nameLength;
  std::vector<uint8_t> bytes;
};

struct Later {
  bool operator()(const Waiting& a, const Waiting& b) const { return a.dueNs != b.dueNs ? a.dueNs > b.dueNs : a.order > b.order; }
};

struct Connection {
  int fd;
  std::vector<uint8_t> in, out;
};

void append16(std::vector<uint8_t>& out, uint16_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}

void appendRecord(std::vector<uint8_t>& out, uint16_t type, const std::vector<uint8_t>& data) {
  append16(out, 0xc00c);
  append16(out, type);
  append16(out, 1);
  append16(out, static_cast<uint16_t>(kTtlSeconds >> 16));
  append16(out, static_cast<uint16_t>(kTtlSeconds));
  append16(out, static_cast<uint16_t>(data.size()));
  out.insert(out.end(), data.begin(), data.end());
}

std::vector<uint8_t> textData(size_t bytes) {
  std::vector<uint8_t> data;
  while (data.size() < bytes) {
    const size_t length = std::min<size_t>(255, bytes - data.size());
    data.push_back(static_cast<uint8_t>(length));
    data.insert(data.end(), length, 'x');
  }
  return data;
}

class Upstream {
 public:
  Upstream(const std::string& listen, int64_t delayMs, size_t textBytes) : delayNs_(delayMs * 1000000), text_(textData(textBytes)) {
    const bench::Address address = bench::parseAddress(listen);
    udp_ = bench::udpSocket(address.family());
    bench::bindTo(udp_, listen);
    const std::string host = listen.substr(0, listen.rfind(':'));
    const int port = bench::portOf(udp_);
    control_ = bench::udpSocket(address.family());
    bench::bindTo(control_, host + ":0");
    liar_ = bench::udpSocket(address.family());
    bench::bindTo(liar_, host + ":0");
    listener_ = socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;
    if (listener_ < 0) bench::die("socket");
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    const bench::Address same = bench::parseAddress(host + ":" + std::to_string(port));
    if (bind(listener_, same.name(), same.length) != 0 || ::listen(listener_, 1024) != 0) bench::die("TCP on the port of UDP");
    poller_ = epoll_create1(EPOLL_CLOEXEC);
    watch(udp_, kUdp, EPOLLIN);
    watch(listener_, kListener, EPOLLIN);
    watch(control_, kControl, EPOLLIN);
    printf("ready %d %d\n", port, bench::portOf(control_));
    fflush(stdout);
  }

  [[noreturn]] void run() {
    epoll_event events[64];
    for (;;) {
      const int count = epoll_wait(poller_, events, 64, waitMs());
      for (int i = 0; i < count; i++) {
        const uint64_t who = events[i].data.u64;
        if (who == kUdp) receive();
        else if (who == kListener) accept();
        else if (who == kControl) command();
        else serve(who, events[i].events);
      }
      sendDue();
    }
  }

 private:
  void watch(int fd, uint64_t who, uint32_t events, int operation = EPOLL_CTL_ADD) {
    epoll_event event{events, {.u64 = who}};
    if (epoll_ctl(poller_, operation, fd, &event) != 0) bench::die("epoll_ctl");
  }

  int waitMs() const {
    if (waiting_.empty()) return -1;
    const int64_t left = waiting_.top().dueNs - bench::nowNs();
    return left <= 0 ? 0 : static_cast<int>((left + 999999) / 1000000);
  }

  // Empty for what is no query with one question.
  std::vector<uint8_t> answerTo(const uint8_t* query, size_t length, bool isTcp) const {
    const size_t end = bench::questionEnd(query, length);
    if (end == 0 || (query[2] & 0x80) != 0) return {};
    std::vector<uint8_t> out(query, query + end);
    const uint16_t type = bench::load16(query + end - 4);
    out[2] = static_cast<uint8_t>(0x84 | (query[2] & 0x01));
    out[3] = 0x80;
    memset(out.data() + 6, 0, 6);
    if (type == kTypeTxt && !isTcp) {
      out[2] |= 0x02;
      return out;
    }
    if (type != kTypeA && type != kTypeAaaa && type != kTypeTxt) return out;
    out[7] = 1;
    static const std::vector<uint8_t> four = {192, 0, 2, 1};
    static const std::vector<uint8_t> six = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    appendRecord(out, type, type == kTypeTxt ? text_ : type == kTypeA ? four : six);
    return out;
  }

  void receive() {
    batch_.armForReceive(true);
    const int count = recvmmsg(udp_, batch_.headers, bench::kBatch, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < count; i++) {
      asked_++;
      if (isSilent_) continue;
      std::vector<uint8_t> answer = answerTo(batch_.bytes[i], batch_.headers[i].msg_len, false);
      if (answer.empty()) continue;
      if (isLying_) lie(answer, batch_.names[i], batch_.headers[i].msg_hdr.msg_namelen);
      later(0, std::move(answer), batch_.names[i], batch_.headers[i].msg_hdr.msg_namelen);
    }
  }

  // Forgeries go out at once; what is appended is an address that belongs to another name (evil.bench.test).
  void lie(std::vector<uint8_t>& answer, const sockaddr_storage& to, socklen_t length) {
    std::vector<uint8_t> forged = answer;
    // 198.51.100.66 or ...:bad: what nobody may ever learn or hand out.
    forged[forged.size() - 1] = 66;
    if (forged.size() >= 4) forged[forged.size() - 4] = 198;
    const auto* name = reinterpret_cast<const sockaddr*>(&to);
    sendto(liar_, forged.data(), forged.size(), 0, name, length);
    std::vector<uint8_t> otherId = forged;
    otherId[0] ^= 0x55;
    sendto(udp_, otherId.data(), otherId.size(), 0, name, length);
    std::vector<uint8_t> otherName = forged;
    otherName[bench::kHeaderBytes + 1] ^= 0x01;
    sendto(udp_, otherName.data(), otherName.size(), 0, name, length);
    static const uint8_t evil[] = {4, 'e', 'v', 'i', 'l', 5, 'b', 'e', 'n', 'c', 'h', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 198, 51, 100, 66};
    answer.insert(answer.end(), evil, evil + sizeof(evil));
    answer[7]++;
    lies_ += 4;
  }

  void later(uint64_t connection, std::vector<uint8_t> bytes, const sockaddr_storage& name, socklen_t length) {
    if (waiting_.size() >= kWaitingMax) return;
    waiting_.push({bench::nowNs() + delayNs_, order_++, connection, name, length, std::move(bytes)});
  }

  void sendDue() {
    while (!waiting_.empty() && waiting_.top().dueNs <= bench::nowNs()) {
      const Waiting& first = waiting_.top();
      if (first.connection == 0) {
        sendto(udp_, first.bytes.data(), first.bytes.size(), 0, reinterpret_cast<const sockaddr*>(&first.name), first.nameLength);
      } else if (const auto found = connections_.find(first.connection); found != connections_.end()) {
        append16(found->second.out, static_cast<uint16_t>(first.bytes.size()));
        found->second.out.insert(found->second.out.end(), first.bytes.begin(), first.bytes.end());
        flush(first.connection);
      }
      waiting_.pop();
    }
  }

  void accept() {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd < 0) return;
      if (connections_.size() >= kConnectionsMax) {
        close(fd);
        continue;
      }
      const uint64_t who = nextConnection_++;
      connections_[who] = {fd, {}, {}};
      watch(fd, who, EPOLLIN);
    }
  }

  void end(uint64_t who) {
    close(connections_[who].fd);
    connections_.erase(who);
  }

  void serve(uint64_t who, uint32_t events) {
    const auto found = connections_.find(who);
    if (found == connections_.end()) return;
    if ((events & EPOLLOUT) != 0 && !flush(who)) return;
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
    uint8_t bytes[16384];
    const ssize_t length = recv(found->second.fd, bytes, sizeof(bytes), 0);
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0) {
      end(who);
      return;
    }
    std::vector<uint8_t>& in = found->second.in;
    in.insert(in.end(), bytes, bytes + length);
    size_t at = 0;
    while (in.size() - at >= 2 && in.size() - at >= 2u + bench::load16(&in[at])) {
      const size_t size = bench::load16(&in[at]);
      asked_++;
      std::vector<uint8_t> answer = isSilent_ ? std::vector<uint8_t>() : answerTo(&in[at + 2], size, true);
      if (!answer.empty() && answer.size() <= kMessageMax) later(who, std::move(answer), {}, 0);
      at += 2 + size;
    }
    in.erase(in.begin(), in.begin() + static_cast<long>(at));
  }

  // False: the connection is over.
  bool flush(uint64_t who) {
    Connection& connection = connections_[who];
    if (!connection.out.empty()) {
      const ssize_t sent = send(connection.fd, connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN) {
        end(who);
        return false;
      }
      if (sent > 0) connection.out.erase(connection.out.begin(), connection.out.begin() + sent);
    }
    watch(connection.fd, who, connection.out.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    return true;
  }

  void command() {
    char text[128];
    sockaddr_storage from{};
    socklen_t length = sizeof(from);
    const ssize_t bytes = recvfrom(control_, text, sizeof(text) - 1, 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (bytes < 0) return;
    text[bytes] = '\0';
    char name[32] = "";
    long number = 0;
    if (sscanf(text, "%31s %ld", name, &number) == 2) {
      if (strcmp(name, "delay-ms") == 0) delayNs_ = number * 1000000;
      else if (strcmp(name, "silent") == 0) isSilent_ = number != 0;
      else if (strcmp(name, "lies") == 0) isLying_ = number != 0;
    }
    char reply[128];
    const int size = snprintf(reply, sizeof(reply), "{\"asked\":%ld,\"lies\":%ld}", asked_, lies_);
    sendto(control_, reply, static_cast<size_t>(size), 0, reinterpret_cast<sockaddr*>(&from), length);
  }

  int udp_, listener_, control_, liar_, poller_;
  int64_t delayNs_;
  const std::vector<uint8_t> text_;
  bool isSilent_ = false, isLying_ = false;
  long asked_ = 0, lies_ = 0;
  uint64_t order_ = 0, nextConnection_ = kFirstConnection;
  std::priority_queue<Waiting, std::vector<Waiting>, Later> waiting_;
  std::unordered_map<uint64_t, Connection> connections_;
  bench::Batch batch_;
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options(argc, argv, {{"listen", "127.0.0.1:0"}, {"delay-ms", "5"}, {"text-bytes", "30000"}});
  // On the heap: it holds a batch of buffers.
  const auto upstream = std::make_unique<Upstream>(options.text("listen"), options.number("delay-ms", 0, 60000),
                                                   static_cast<size_t>(options.number("text-bytes", 1, 60000)));
  upstream->run();
}
