// DNS load over UDP or TCP: keeps --window queries open over --clients sockets until --count queries are sent or --seconds
// are over, checks every answer, and prints one JSON object. A query without an answer within --timeout-ms is lost.
// Names are hK.SUFFIX, and hK.DENIED, which must be refused, each asked for A and AAAA, shuffled by --seed.
//
// With --rate the loop is open: query n is due n / rate after the start, whatever became of those before it, and its latency
// counts from then, also when it could not be sent at that time. What was due and is not sent at the end counts as
// unsent, with the wait that it had by then.
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common.h"
#include "histogram.h"
#include "questions.h"

namespace {

using bench::Batch;
using bench::kBatch;
using bench::kHeaderBytes;
using bench::Verdict;

constexpr int64_t kWaitNsMax = 20000000;
// Looking for lost queries walks all that are open, so it is done seldom.
constexpr int64_t kSweepNs = 200000000;
constexpr size_t kEventsMax = 256;
constexpr size_t kStreamBytes = 65536;

struct Open {
  int64_t sentNs = 0;  // 0: not in flight
  int64_t dueNs = 0;
  uint32_t query = 0;
  uint16_t id = 0;
};

struct Client {
  std::string source;
  int fd = -1;
  uint16_t nextId = 0;
  int open = 0;
  int64_t backlog = 0;  // queries that it may send now
  std::vector<Open> byId;  // by the low bits of the ID
  std::vector<uint8_t> in, out;  // TCP: bytes of an unfinished answer, bytes that the socket did not take
  Open& at(uint16_t id) { return byId[id & (byId.size() - 1)]; }
};

struct Totals {
  int64_t sent = 0, answered = 0, inTime = 0, lost = 0, wrong = 0, denied = 0, refused = 0, failed = 0, unexpected = 0, unsent = 0, closed = 0;
};

struct Limits {
  int64_t window, count, seconds, rate;
};

class Generator {
 public:
  Generator(std::vector<bench::Query> queries, const bench::Address& server, bool overTcp, int64_t timeoutMs)
      : queries_(std::move(queries)), server_(server), overTcp_(overTcp), timeoutNs_(timeoutMs * 1000000), epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

  void addClient(const std::string& source, uint16_t firstId) {
    Client client;
    client.source = source;
    client.nextId = firstId;
    clients_.push_back(std::move(client));
  }

  void run(const Limits& limits) {
    const auto clients = static_cast<int64_t>(clients_.size());
    const int64_t share = (limits.window + clients - 1) / clients;
    size_t slots = 64;
    while (slots < static_cast<size_t>(share) * 4 && slots < 65536) slots *= 2;
    for (size_t i = 0; i < clients_.size(); i++) {
      clients_[i].byId.resize(slots);
      clients_[i].backlog = (limits.window - static_cast<int64_t>(i) + clients - 1) / clients;
      connectClient(i);
    }
    startNs_ = bench::nowNs();
    limit_ = limits.count;
    endNs_ = limits.seconds == 0 ? INT64_MAX : startNs_ + limits.seconds * 1000000000;
    rate_ = limits.rate;
    int64_t sweepNs = startNs_;
    sendAll();
    while (open_ > 0 || !finished()) {
      waitAndReceive();
      const int64_t now = bench::nowNs();
      if (now - sweepNs > kSweepNs) {
        for (Client& client : clients_) sweep(client, now);
        sweepNs = now;
        if (rate_ == 0) sendAll();
      }
      if (rate_ > 0) sendDue();
    }
    const int64_t over = bench::nowNs();
    countUnsent(std::min(over, endNs_));
    seconds_ = static_cast<double>((lastAnswerNs_ > 0 ? lastAnswerNs_ : over) - startNs_) / 1e9;
    // Stragglers of a timed run would stretch it: what counts is what was answered while load was on.
    qps_ = endNs_ == INT64_MAX || over < endNs_ ? static_cast<double>(totals_.answered) / seconds_ : static_cast<double>(totals_.inTime) / static_cast<double>(limits.seconds);
  }

  void print() const {
    printf("{\"sent\":%ld,\"answered\":%ld,\"lost\":%ld,\"wrong\":%ld,\"denied\":%ld,\"refused\":%ld,\"failed\":%ld,\"unexpected\":%ld,"
           "\"unsent\":%ld,\"closed\":%ld,\"seconds\":%.6f,\"qps\":%.0f,\"p50Us\":%ld,\"p90Us\":%ld,\"p99Us\":%ld,\"p999Us\":%ld,\"maxUs\":%ld}\n",
           totals_.sent, totals_.answered, totals_.lost, totals_.wrong, totals_.denied, totals_.refused, totals_.failed, totals_.unexpected,
           totals_.unsent, totals_.closed, seconds_, qps_, latency_.percentileUs(50), latency_.percentileUs(90), latency_.percentileUs(99),
           latency_.percentileUs(99.9), latency_.maxUs());
  }

 private:
  bool finished() const { return totals_.sent >= limit_ || bench::nowNs() >= endNs_; }

  int64_t dueNsOf(int64_t n) const { return startNs_ + static_cast<int64_t>(static_cast<double>(n) * 1e9 / static_cast<double>(rate_)); }

  // How many may be sent now, by count, time and rate.
  int64_t allowance(int64_t now) const {
    if (now >= endNs_) return 0;
    int64_t left = limit_ - totals_.sent;
    if (rate_ > 0) {
      const auto due = static_cast<int64_t>(static_cast<double>(now - startNs_) * static_cast<double>(rate_) / 1e9) + 1;
      left = std::min(left, due - totals_.sent);
    }
    return std::max<int64_t>(0, left);
  }

  void countUnsent(int64_t now) {
    if (rate_ == 0) return;
    for (int64_t n = totals_.sent; n < limit_ && dueNsOf(n) < now; n++) {
      latency_.add(now - dueNsOf(n));
      totals_.unsent++;
    }
  }

  void waitAndReceive() {
    int64_t waitNs = kWaitNsMax;
    if (rate_ > 0 && totals_.sent < limit_) waitNs = std::clamp<int64_t>(dueNsOf(totals_.sent) - bench::nowNs(), 0, kWaitNsMax);
    // Due and not sent: every client waits for answers.
    if (waitNs == 0 && !canSend_) waitNs = kWaitNsMax;
    const timespec wait{0, waitNs};
    epoll_event events[kEventsMax];
    const int ready = epoll_pwait2(epoll_, events, kEventsMax, &wait, nullptr);
    if (ready < 0 && errno != EINTR) bench::die("epoll_pwait2");
    for (int i = 0; i < ready; i++) {
      const size_t index = events[i].data.u32;
      Client& client = clients_[index];
      if ((events[i].events & EPOLLOUT) != 0) flush(index);
      if ((events[i].events & ~static_cast<uint32_t>(EPOLLOUT)) != 0) {
        if (overTcp_) receiveStream(index);
        else receiveDatagrams(client);
      }
      if (rate_ == 0) send(index, INT64_MAX);
    }
  }

  void sendAll() {
    if (rate_ > 0) return sendDue();
    for (size_t i = 0; i < clients_.size(); i++) send(i, INT64_MAX);
  }

  // At a rate every client has its turn, one query each: the first ones would send all otherwise, and a few ports are
  // no fair sample of a group of sockets that the kernel chooses from by port.
  void sendDue() {
    size_t idle = 0;
    for (; idle < clients_.size() && allowance(bench::nowNs()) > 0; turn_++) {
      const int64_t before = totals_.sent;
      send(turn_ % clients_.size(), 1);
      idle = totals_.sent == before ? idle + 1 : 0;
    }
    canSend_ = idle < clients_.size();
  }

  // `most`: of one call, at least 1.
  void send(size_t index, int64_t most) {
    Client& client = clients_[index];
    for (int64_t left = most; client.backlog > 0 && left > 0 && client.out.empty();) {
      const int64_t now = bench::nowNs();
      const int n = static_cast<int>(std::min<int64_t>({client.backlog, kBatch, left, allowance(now)}));
      if (n == 0) return;
      for (int i = 0; i < n; i++) {
        do client.nextId++;
        while (client.at(client.nextId).sentNs != 0);
        const uint32_t query = next_++ % static_cast<uint32_t>(queries_.size());
        client.at(client.nextId) = {now, rate_ > 0 ? dueNsOf(totals_.sent) : now, query, client.nextId};
        totals_.sent++;
        put(client, i, queries_[query].bytes);
      }
      open_ += n;
      client.open += n;
      client.backlog -= n;
      left -= n;
      if (overTcp_) flush(index);
      else bench::sendGrouped(client.fd, out_.headers, n);
    }
  }

  void put(Client& client, int i, const std::vector<uint8_t>& bytes) {
    if (overTcp_) {
      const uint8_t length[2] = {static_cast<uint8_t>(bytes.size() >> 8), static_cast<uint8_t>(bytes.size())};
      client.out.insert(client.out.end(), length, length + 2);
      client.out.insert(client.out.end(), bytes.begin(), bytes.end());
      bench::store16(&client.out[client.out.size() - bytes.size()], client.nextId);
      return;
    }
    memcpy(out_.bytes[i], bytes.data(), bytes.size());
    bench::store16(out_.bytes[i], client.nextId);
    out_.vectors[i] = {out_.bytes[i], bytes.size()};
    out_.headers[i].msg_hdr = {};
    out_.headers[i].msg_hdr.msg_iov = &out_.vectors[i];
    out_.headers[i].msg_hdr.msg_iovlen = 1;
  }

  void receiveDatagrams(Client& client) {
    in_.armForReceive(false);
    const int count = recvmmsg(client.fd, in_.headers, kBatch, MSG_DONTWAIT, nullptr);
    const int64_t now = bench::nowNs();
    for (int i = 0; i < count; i++) take(client, in_.bytes[i], in_.headers[i].msg_len, now);
  }

  void receiveStream(size_t index) {
    Client& client = clients_[index];
    const size_t before = client.in.size();
    client.in.resize(before + kStreamBytes);
    const ssize_t length = recv(client.fd, client.in.data() + before, kStreamBytes, MSG_DONTWAIT);
    client.in.resize(before + static_cast<size_t>(std::max<ssize_t>(0, length)));
    if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR)) return reconnect(index);
    const int64_t now = bench::nowNs();
    size_t at = 0;
    while (client.in.size() - at >= 2 && client.in.size() - at - 2 >= bench::load16(&client.in[at])) {
      const size_t size = bench::load16(&client.in[at]);
      take(client, &client.in[at + 2], size, now);
      at += 2 + size;
    }
    client.in.erase(client.in.begin(), client.in.begin() + static_cast<long>(at));
  }

  void take(Client& client, const uint8_t* bytes, size_t length, int64_t now) {
    if (length < kHeaderBytes || client.at(bench::load16(bytes)).sentNs == 0 || client.at(bench::load16(bytes)).id != bench::load16(bytes)) {
      totals_.unexpected++;
      return;
    }
    Open& open = client.at(bench::load16(bytes));
    latency_.add(now - open.dueNs);
    lastAnswerNs_ = now;
    open.sentNs = 0;
    client.open--;
    client.backlog++;
    open_--;
    canSend_ = true;
    totals_.answered++;
    totals_.inTime += now < endNs_ ? 1 : 0;
    switch (bench::judge(queries_[open.query], bytes, length)) {
      case Verdict::right: break;
      case Verdict::denied: totals_.denied++; break;
      case Verdict::refused: totals_.refused++; break;
      case Verdict::failed: totals_.failed++; break;
      case Verdict::wrong: totals_.wrong++; break;
    }
  }

  void sweep(Client& client, int64_t now) {
    if (client.open == 0) return;
    for (Open& open : client.byId) {
      if (open.sentNs != 0 && now - open.sentNs >= timeoutNs_) lose(client, open);
    }
  }

  void lose(Client& client, Open& open) {
    open.sentNs = 0;
    client.open--;
    client.backlog++;
    open_--;
    canSend_ = true;
    totals_.lost++;
  }

  void connectClient(size_t index) {
    Client& client = clients_[index];
    client.fd = overTcp_ ? socket(server_.family(), SOCK_STREAM | SOCK_CLOEXEC, 0) : bench::udpSocket(server_.family());
    if (client.fd < 0) bench::die("socket");
    if (!client.source.empty()) bench::bindTo(client.fd, client.source);
    if (connect(client.fd, server_.name(), server_.length) != 0) bench::die("connect");
    const int on = 1;
    if (overTcp_) setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = static_cast<uint32_t>(index);
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, client.fd, &event) != 0) bench::die("epoll_ctl");
  }

  // TCP: writes what waits; EPOLLOUT says when the socket takes more.
  void flush(size_t index) {
    Client& client = clients_[index];
    const bool waited = isBlocked_.size() > index && isBlocked_[index];
    const ssize_t sent = ::send(client.fd, client.out.data(), client.out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) client.out.erase(client.out.begin(), client.out.begin() + sent);
    if (waited == !client.out.empty()) return;
    isBlocked_.resize(clients_.size());
    isBlocked_[index] = !waited;
    epoll_event event{};
    event.events = waited ? EPOLLIN : EPOLLIN | EPOLLOUT;
    event.data.u32 = static_cast<uint32_t>(index);
    epoll_ctl(epoll_, EPOLL_CTL_MOD, client.fd, &event);
  }

  // The server has ended the connection: what was open on it is lost.
  void reconnect(size_t index) {
    Client& client = clients_[index];
    totals_.closed++;
    for (Open& open : client.byId) {
      if (open.sentNs != 0) lose(client, open);
    }
    client.in.clear();
    client.out.clear();
    if (isBlocked_.size() > index) isBlocked_[index] = false;
    close(client.fd);
    connectClient(index);
  }

  const std::vector<bench::Query> queries_;
  const bench::Address server_;
  const bool overTcp_;
  const int64_t timeoutNs_;
  const int epoll_;
  std::vector<Client> clients_;
  std::vector<bool> isBlocked_;
  Totals totals_;
  bench::Histogram latency_;
  Batch in_, out_;
  bool canSend_ = true;
  uint32_t next_ = 0;
  int64_t startNs_ = 0, endNs_ = 0, limit_ = 0, rate_ = 0, lastAnswerNs_ = 0, open_ = 0;
  size_t turn_ = 0;
  double seconds_ = 0, qps_ = 0;
};

// Comma-separated.
std::vector<std::string> listOf(std::string rest) {
  std::vector<std::string> parts;
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    parts.push_back(rest.substr(0, comma));
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
  }
  return parts;
}

std::string withAnyPort(const std::string& host) { return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":0"; }

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options(argc, argv,
                               {{"server", ""}, {"protocol", "udp"}, {"window", "256"}, {"clients", "8"}, {"count", "0"}, {"seconds", "0"}, {"rate", "0"},
                                {"names", "10000"}, {"prefix", "h"}, {"suffix", "bench.test"}, {"denied", ""}, {"bind", ""}, {"seed", "1"},
                                {"timeout-ms", "5000"}, {"pin", "-1"}});
  const long clients = options.number("clients", 1, 4096);
  const long window = options.number("window", 1, clients * 16384);
  const std::string& protocol = options.text("protocol");
  if (protocol != "udp" && protocol != "tcp") {
    fprintf(stderr, "--protocol must be udp or tcp\n");
    return 64;
  }
  long count = options.number("count", 0, 1000000000);
  const long seconds = options.number("seconds", 0, 3600);
  if (count == 0 && seconds == 0) count = 1;
  bench::pinTo(options.number("pin", -1, 1023));
  // The default lets a wait at a rate end 50 µs late.
  prctl(PR_SET_TIMERSLACK, 1UL);

  std::vector<bench::Query> queries;
  const long names = options.number("names", 1, 1000000);
  for (const std::string& suffix : listOf(options.text("suffix"))) bench::addQueries(queries, names, options.text("prefix"), suffix, false);
  for (const std::string& suffix : listOf(options.text("denied"))) bench::addQueries(queries, names, options.text("prefix"), suffix, true);
  if (queries.empty()) {
    fprintf(stderr, "--suffix or --denied must name a suffix\n");
    return 64;
  }
  const auto seed = static_cast<uint64_t>(options.number("seed", 0, 1L << 62));
  std::mt19937_64 random(seed);
  std::shuffle(queries.begin(), queries.end(), random);

  // --bind 127.0.1.1,127.0.1.2: the clients take turns.
  const std::vector<std::string> sources = listOf(options.text("bind"));
  auto* generator = new Generator(std::move(queries), bench::parseAddress(options.text("server")), protocol == "tcp", options.number("timeout-ms", 1, 600000));
  for (long i = 0; i < clients; i++) {
    const std::string source = sources.empty() ? "" : withAnyPort(sources[static_cast<size_t>(i) % sources.size()]);
    generator->addClient(source, static_cast<uint16_t>(random()));
  }
  generator->run({window, count == 0 ? INT64_MAX : count, seconds, options.number("rate", 0, 10000000)});
  generator->print();
  return 0;
}
