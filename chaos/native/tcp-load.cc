// DNS load over TCP: --rate new connections a second, each used once, none tried again. In turn a connection sends one
// query in one write; one query in three writes with pauses; four queries in one write; four queries cut in the middle
// of a message. A query is lost when its connection ends before the answer, or after --timeout-ms.
#include <sys/epoll.h>
#include <unistd.h>

#include <deque>
#include <unordered_map>

#include "load.h"

namespace {

constexpr int kShapes = 4;
constexpr int kPipelined = 4;
constexpr int64_t kPauseNs = 3000000;
constexpr int kBurst = 16;
constexpr size_t kConnectionsMax = 8192;

struct Asked {
  uint16_t id;
  uint32_t query;
  int64_t sentNs;
  bool isAnswered;
};

struct Connection {
  int fd;
  int port;
  // What is still to be written, in the pieces that are written one at a time.
  std::deque<std::vector<uint8_t>> pieces;
  int64_t nextWriteNs = 0;
  bool isConnected = false;
  int64_t startNs;
  std::vector<Asked> asked;
  std::vector<uint8_t> in;
};

class Generator {
 public:
  Generator(std::vector<load::Query> queries, int64_t seconds, int64_t timeoutMs, bench::Address server, std::vector<std::string> sources)
      : queries_(std::move(queries)), account_(seconds, timeoutMs), timeoutNs_(timeoutMs * 1000000), seconds_(seconds), server_(server), sources_(std::move(sources)) {}

  void run(int64_t rate) {
    poller_ = epoll_create1(EPOLL_CLOEXEC);
    if (poller_ < 0) bench::die("epoll_create1");
    account_.start();
    const int64_t endNs = account_.startNs() + seconds_ * 1000000000;
    epoll_event events[64];
    int64_t opened = 0;
    for (;;) {
      const int64_t now = bench::nowNs();
      const bool isSending = now < endNs && load::isToldToStop == 0;
      if (isSending) {
        const auto due = static_cast<int64_t>(static_cast<double>(now - account_.startNs()) * static_cast<double>(rate) / 1e9);
        for (int64_t left = std::min<int64_t>(kBurst, due - opened); left > 0 && connections_.size() < kConnectionsMax; left--, opened++) open();
      }
      writeDue(now);
      expire(now);
      if (!isSending && connections_.empty()) break;
      account_.progress(now);
      const int ready = epoll_wait(poller_, events, 64, 1);
      for (int i = 0; i < ready; i++) onReady(events[i].data.u64, events[i].events);
    }
    account_.print();
  }

 private:
  void open() {
    const int fd = socket(server_.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) bench::die("socket");
    const int on = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    // Ends without TIME_WAIT: at this rate the ports would run out.
    const linger hard{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    if (!sources_.empty()) bench::bindTo(fd, sources_[static_cast<size_t>(count_) % sources_.size()] + ":0");
    const uint64_t who = ++count_;
    Connection& connection = connections_[who];
    connection.fd = fd;
    connection.startNs = bench::nowNs();
    shape(connection, static_cast<int>(who % kShapes));
    const bool isRefused = connect(fd, server_.name(), server_.length) != 0 && errno != EINPROGRESS;
    connection.port = bench::portOf(fd);
    if (isRefused) {
      end(who, "refused");
      return;
    }
    epoll_event event{EPOLLIN | EPOLLOUT, {.u64 = who}};
    if (epoll_ctl(poller_, EPOLL_CTL_ADD, fd, &event) != 0) bench::die("epoll_ctl");
    byAge_.push_back(who);
  }

  void shape(Connection& connection, int shape) {
    std::vector<uint8_t> all;
    const int count = shape >= 2 ? kPipelined : 1;
    for (int i = 0; i < count; i++) {
      const uint32_t index = next_++ % static_cast<uint32_t>(queries_.size());
      const load::Query& query = queries_[index];
      const uint16_t id = ++id_;
      all.push_back(static_cast<uint8_t>(query.bytes.size() >> 8));
      all.push_back(static_cast<uint8_t>(query.bytes.size()));
      const size_t at = all.size();
      all.insert(all.end(), query.bytes.begin(), query.bytes.end());
      bench::store16(&all[at], id);
      connection.asked.push_back({id, index, connection.startNs, false});
      account_.sent(connection.startNs);
    }
    if (shape == 1) {
      cut(connection, all, {1, 2 + bench::kHeaderBytes + 3});
    } else if (shape == 3) {
      cut(connection, all, {all.size() / 2 + 5, all.size() - 4});
    } else {
      connection.pieces.push_back(std::move(all));
    }
  }

  static void cut(Connection& connection, const std::vector<uint8_t>& all, const std::vector<size_t>& places) {
    size_t from = 0;
    for (const size_t place : places) {
      connection.pieces.emplace_back(all.begin() + static_cast<long>(from), all.begin() + static_cast<long>(place));
      from = place;
    }
    connection.pieces.emplace_back(all.begin() + static_cast<long>(from), all.end());
  }

  void onReady(uint64_t who, uint32_t events) {
    const auto found = connections_.find(who);
    if (found == connections_.end()) return;
    Connection& connection = found->second;
    if (!connection.isConnected && (events & EPOLLOUT) != 0 && (events & (EPOLLERR | EPOLLHUP)) == 0) {
      connection.isConnected = true;
      epoll_event event{EPOLLIN, {.u64 = who}};
      epoll_ctl(poller_, EPOLL_CTL_MOD, connection.fd, &event);
      connection.nextWriteNs = bench::nowNs();
      writers_.push_back(who);
    }
    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) read(who, connection);
  }

  // Each piece has its time: a pause lies between two.
  void writeDue(int64_t now) {
    for (size_t left = writers_.size(); left > 0; left--) {
      const uint64_t who = writers_.front();
      writers_.pop_front();
      const auto found = connections_.find(who);
      if (found == connections_.end()) continue;
      Connection& connection = found->second;
      if (connection.nextWriteNs <= now) {
        const std::vector<uint8_t>& piece = connection.pieces.front();
        const ssize_t sent = send(connection.fd, piece.data(), piece.size(), MSG_NOSIGNAL);
        if (sent != static_cast<ssize_t>(piece.size())) {
          end(who, sent < 0 ? strerror(errno) : "short write");
          continue;
        }
        connection.pieces.pop_front();
        connection.nextWriteNs = now + kPauseNs;
      }
      if (!connection.pieces.empty()) writers_.push_back(who);
    }
  }

  void read(uint64_t who, Connection& connection) {
    uint8_t bytes[16384];
    const ssize_t length = recv(connection.fd, bytes, sizeof(bytes), 0);
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0) {
      if (length < 0) account_.reset();
      end(who, length == 0 ? "closed" : strerror(errno));
      return;
    }
    std::vector<uint8_t>& in = connection.in;
    in.insert(in.end(), bytes, bytes + length);
    size_t at = 0;
    while (in.size() - at >= 2 && in.size() - at >= 2u + bench::load16(&in[at])) {
      take(connection, &in[at + 2], bench::load16(&in[at]));
      at += 2u + bench::load16(&in[at]);
    }
    in.erase(in.begin(), in.begin() + static_cast<long>(at));
    if (std::all_of(connection.asked.begin(), connection.asked.end(), [](const Asked& one) { return one.isAnswered; })) finish(who, connection);
  }

  void take(Connection& connection, const uint8_t* bytes, size_t length) {
    if (length >= bench::kHeaderBytes) {
      for (Asked& one : connection.asked) {
        if (one.id != bench::load16(bytes)) continue;
        if (one.isAnswered) account_.twice();
        else account_.judge(queries_[one.query], bytes, length, one.sentNs, bench::nowNs());
        one.isAnswered = true;
        return;
      }
    }
    account_.unexpected();
  }

  // What was sent beyond the answers (a second answer) is read before the end.
  void finish(uint64_t who, Connection& connection) {
    if (!connection.in.empty()) account_.unexpected();
    close(connection.fd);
    connections_.erase(who);
  }

  void end(uint64_t who, const char* why) {
    Connection& connection = connections_[who];
    for (const Asked& one : connection.asked) {
      if (!one.isAnswered) account_.lost(one.sentNs, connection.port, queries_[one.query], why);
    }
    close(connection.fd);
    connections_.erase(who);
  }

  void expire(int64_t now) {
    while (!byAge_.empty()) {
      const auto found = connections_.find(byAge_.front());
      if (found != connections_.end()) {
        if (now - found->second.startNs < timeoutNs_) return;
        end(byAge_.front(), "no answer");
      }
      byAge_.pop_front();
    }
  }

  const std::vector<load::Query> queries_;
  load::Account account_;
  const int64_t timeoutNs_, seconds_;
  const bench::Address server_;
  const std::vector<std::string> sources_;
  int poller_ = -1;
  std::unordered_map<uint64_t, Connection> connections_;
  // By age, and those with something to write.
  std::deque<uint64_t> byAge_, writers_;
  uint64_t count_ = 0;
  uint32_t next_ = 0;
  uint16_t id_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options(argc, argv, {{"server", ""}, {"bind", ""}, {"rate", "400"}, {"seconds", "10"}, {"names", "2000"},
                                            {"prefix", "h"}, {"suffix", "bench.test"}, {"seed", "1"}, {"timeout-ms", "5000"}});
  load::stopOnSignal();
  Generator generator(load::makeQueries(options.number("names", 1, 1000000), options.text("prefix"), options.text("suffix"), options.number("seed", 0, 1L << 62)),
                      options.number("seconds", 1, 3600), options.number("timeout-ms", 1, 600000), bench::parseAddress(options.text("server")),
                      load::listOf(options.text("bind")));
  generator.run(options.number("rate", 1, 100000));
  return 0;
}
