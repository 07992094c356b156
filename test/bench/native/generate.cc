// Closed-loop DNS load: keeps --window queries open over --clients sockets until --count queries are sent or --seconds
// are over, checks every answer, and prints one JSON object. A query without an answer within --timeout-ms is lost.
// Names are hK.SUFFIX, each asked for A and AAAA, shuffled by --seed.
#include <poll.h>

#include <algorithm>
#include <random>
#include <vector>

#include "common.h"

namespace {

using bench::Batch;
using bench::kBatch;
using bench::kHeaderBytes;

constexpr uint16_t kTypeA = 1;
constexpr uint16_t kTypeAaaa = 28;
constexpr uint8_t kRcodeOk = 0;
constexpr uint8_t kRcodeRefused = 5;
constexpr int kPollMs = 20;
// Looking for lost queries walks all IDs, so it is done seldom.
constexpr int64_t kSweepNs = 200000000;

struct Query {
  std::vector<uint8_t> bytes;
  uint16_t type;
};

struct Open {
  int64_t sentNs = 0;  // 0: not in flight
  uint32_t query = 0;
};

struct Client {
  int fd;
  uint16_t nextId;
  int open = 0;
  int64_t backlog = 0;  // queries to send now
  std::vector<Open> byId = std::vector<Open>(65536);
};

// Latencies in buckets of 1 µs up to 100 ms, then of 1 ms: bounded, and exact enough for percentiles.
class Histogram {
 public:
  void add(int64_t ns) {
    const int64_t us = std::max<int64_t>(0, ns / 1000);
    const size_t bucket = us < kFine ? static_cast<size_t>(us) : static_cast<size_t>(kFine + std::min<int64_t>(us / 1000, kCoarse - 1));
    counts_[bucket]++;
    total_++;
    maxUs_ = std::max(maxUs_, us);
  }
  int64_t percentileUs(double percent) const {
    const int64_t rank = static_cast<int64_t>(static_cast<double>(total_) * percent / 100.0);
    int64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); i++) {
      seen += counts_[i];
      if (seen > rank) return static_cast<int64_t>(i) < kFine ? static_cast<int64_t>(i) : (static_cast<int64_t>(i) - kFine) * 1000;
    }
    return maxUs_;
  }
  int64_t maxUs() const { return maxUs_; }

 private:
  static constexpr int64_t kFine = 100000;
  static constexpr int64_t kCoarse = 60000;
  std::vector<int64_t> counts_ = std::vector<int64_t>(kFine + kCoarse);
  int64_t total_ = 0;
  int64_t maxUs_ = 0;
};

struct Totals {
  int64_t sent = 0, answered = 0, lost = 0, wrong = 0, refused = 0, failed = 0, unexpected = 0;
};

std::vector<Query> makeQueries(long names, const std::string& prefix, const std::string& suffix, long seed) {
  std::vector<Query> queries;
  for (long k = 0; k < names; k++) {
    std::vector<uint8_t> bytes(kHeaderBytes, 0);
    bytes[2] = 0x01;  // recursion desired
    bytes[5] = 1;
    std::string rest = prefix + std::to_string(k) + "." + suffix + ".";
    while (!rest.empty()) {
      const size_t dot = rest.find('.');
      if (dot == 0 || dot > 63) bench::die("a label of " + suffix + " is not 1 to 63 bytes long");
      bytes.push_back(static_cast<uint8_t>(dot));
      bytes.insert(bytes.end(), rest.begin(), rest.begin() + static_cast<long>(dot));
      rest.erase(0, dot + 1);
    }
    bytes.push_back(0);
    for (const uint16_t type : {kTypeA, kTypeAaaa}) {
      Query query{bytes, type};
      query.bytes.insert(query.bytes.end(), {0, static_cast<uint8_t>(type), 0, 1});
      queries.push_back(query);
    }
  }
  std::mt19937_64 random(static_cast<uint64_t>(seed));
  std::shuffle(queries.begin(), queries.end(), random);
  return queries;
}

class Generator {
 public:
  Generator(std::vector<Query> queries, long timeoutMs) : queries_(std::move(queries)), timeoutNs_(timeoutMs * 1000000) {}

  void addClient(int fd, uint16_t firstId) {
    clients_.push_back(Client{});
    clients_.back().fd = fd;
    clients_.back().nextId = firstId;
  }

  void run(int64_t window, int64_t count, int64_t seconds, int64_t rate) {
    startNs_ = bench::nowNs();
    limit_ = count;
    endNs_ = seconds == 0 ? INT64_MAX : startNs_ + seconds * 1000000000;
    rate_ = rate;
    for (int64_t i = 0; i < window; i++) clients_[static_cast<size_t>(i) % clients_.size()].backlog++;
    std::vector<pollfd> polled;
    for (const Client& client : clients_) polled.push_back({client.fd, POLLIN, 0});
    int64_t sweepNs = startNs_;
    for (;;) {
      if (rate_ > 0) {
        sendInTurn();
      } else {
        for (Client& client : clients_) sendBacklog(client, INT64_MAX);
      }
      int open = 0;
      for (const Client& client : clients_) open += client.open;
      if (open == 0 && finished()) break;
      poll(polled.data(), polled.size(), rate_ > 0 ? 1 : kPollMs);
      for (size_t i = 0; i < clients_.size(); i++) {
        if (polled[i].revents != 0) receive(clients_[i]);
      }
      const int64_t now = bench::nowNs();
      if (now - sweepNs > kSweepNs) {
        for (Client& client : clients_) sweep(client, now);
        sweepNs = now;
      }
    }
    seconds_ = static_cast<double>(lastAnswerNs_ > 0 ? lastAnswerNs_ - startNs_ : bench::nowNs() - startNs_) / 1e9;
  }

  void print() const {
    printf("{\"sent\":%ld,\"answered\":%ld,\"lost\":%ld,\"wrong\":%ld,\"refused\":%ld,\"failed\":%ld,\"unexpected\":%ld,"
           "\"seconds\":%.6f,\"qps\":%.0f,\"p50Us\":%ld,\"p90Us\":%ld,\"p99Us\":%ld,\"p999Us\":%ld,\"maxUs\":%ld}\n",
           totals_.sent, totals_.answered, totals_.lost, totals_.wrong, totals_.refused, totals_.failed, totals_.unexpected, seconds_,
           static_cast<double>(totals_.answered) / seconds_, latency_.percentileUs(50), latency_.percentileUs(90),
           latency_.percentileUs(99), latency_.percentileUs(99.9), latency_.maxUs());
  }

 private:
  bool finished() const { return totals_.sent >= limit_ || bench::nowNs() >= endNs_; }

  // How many may be sent now, by count, time and rate.
  int64_t allowance() const {
    const int64_t now = bench::nowNs();
    if (now >= endNs_) return 0;
    int64_t left = limit_ - totals_.sent;
    if (rate_ > 0) {
      const auto due = static_cast<int64_t>(static_cast<double>(now - startNs_) * static_cast<double>(rate_) / 1e9);
      left = std::min(left, due - totals_.sent);
    }
    return std::max<int64_t>(0, left);
  }

  // At a rate every client has its turn, one query each: the first ones would send all otherwise, and a few ports are
  // no fair sample of a group of sockets that the kernel chooses from by port.
  void sendInTurn() {
    for (size_t idle = 0; idle < clients_.size() && allowance() > 0; turn_++) {
      Client& client = clients_[turn_ % clients_.size()];
      const int64_t before = client.backlog;
      sendBacklog(client, 1);
      idle = client.backlog == before ? idle + 1 : 0;
    }
  }

  // `most`: of one call, at least 1.
  void sendBacklog(Client& client, int64_t most) {
    for (int64_t left = most; client.backlog > 0 && left > 0;) {
      const int n = static_cast<int>(std::min<int64_t>({client.backlog, kBatch, left, allowance()}));
      if (n == 0) return;
      const int64_t now = bench::nowNs();
      for (int i = 0; i < n; i++) {
        do client.nextId++;
        while (client.byId[client.nextId].sentNs != 0);
        const uint32_t index = next_++ % static_cast<uint32_t>(queries_.size());
        const Query& query = queries_[index];
        client.byId[client.nextId] = {now, index};
        memcpy(out_.bytes[i], query.bytes.data(), query.bytes.size());
        bench::store16(out_.bytes[i], client.nextId);
        out_.vectors[i] = {out_.bytes[i], query.bytes.size()};
        out_.headers[i].msg_hdr = {};
        out_.headers[i].msg_hdr.msg_iov = &out_.vectors[i];
        out_.headers[i].msg_hdr.msg_iovlen = 1;
      }
      bench::sendAll(client.fd, out_.headers, n);
      client.open += n;
      client.backlog -= n;
      left -= n;
      totals_.sent += n;
    }
  }

  void receive(Client& client) {
    in_.armForReceive(false);
    const int count = recvmmsg(client.fd, in_.headers, kBatch, MSG_DONTWAIT, nullptr);
    const int64_t now = bench::nowNs();
    for (int i = 0; i < count; i++) judge(client, in_.bytes[i], in_.headers[i].msg_len, now);
  }

  void judge(Client& client, const uint8_t* bytes, size_t length, int64_t now) {
    if (length < kHeaderBytes || client.byId[bench::load16(bytes)].sentNs == 0) {
      totals_.unexpected++;
      return;
    }
    Open& open = client.byId[bench::load16(bytes)];
    const Query& query = queries_[open.query];
    latency_.add(now - open.sentNs);
    lastAnswerNs_ = now;
    open.sentNs = 0;
    client.open--;
    client.backlog++;
    totals_.answered++;
    const uint8_t rcode = bytes[3] & 0x0f;
    const bool asAsked = (bytes[2] & 0x80) != 0 && bench::questionEnd(bytes, length) == query.bytes.size() &&
                         memcmp(bytes + kHeaderBytes, query.bytes.data() + kHeaderBytes, query.bytes.size() - kHeaderBytes) == 0;
    if (!asAsked) totals_.wrong++;
    else if (rcode == kRcodeRefused) totals_.refused++;
    else if (rcode != kRcodeOk) totals_.failed++;
    else if (!rightAddress(query, bytes, length)) totals_.wrong++;
  }

  // One record after the question, owner compressed to it, with the address that `upstream` gives.
  static bool rightAddress(const Query& query, const uint8_t* bytes, size_t length) {
    static const uint8_t four[4] = {192, 0, 2, 1};
    static const uint8_t six[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    const size_t dataBytes = query.type == kTypeA ? 4 : 16;
    const uint8_t* record = bytes + query.bytes.size();
    return bench::load16(bytes + 6) == 1 && length >= query.bytes.size() + 12 + dataBytes && bench::load16(record) == 0xc00c &&
           bench::load16(record + 2) == query.type && bench::load16(record + 10) == dataBytes &&
           memcmp(record + 12, query.type == kTypeA ? four : six, dataBytes) == 0;
  }

  void sweep(Client& client, int64_t now) {
    if (client.open == 0) return;
    for (Open& open : client.byId) {
      if (open.sentNs == 0 || now - open.sentNs < timeoutNs_) continue;
      open.sentNs = 0;
      client.open--;
      client.backlog++;
      totals_.lost++;
    }
  }

  const std::vector<Query> queries_;
  const int64_t timeoutNs_;
  std::vector<Client> clients_;
  Totals totals_;
  Histogram latency_;
  Batch in_, out_;
  uint32_t next_ = 0;
  int64_t startNs_ = 0, endNs_ = 0, limit_ = 0, rate_ = 0, lastAnswerNs_ = 0;
  size_t turn_ = 0;
  double seconds_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options(argc, argv,
                               {{"server", ""}, {"window", "256"}, {"clients", "8"}, {"count", "0"}, {"seconds", "0"}, {"rate", "0"},
                                {"names", "10000"}, {"prefix", "h"}, {"suffix", "bench.test"}, {"bind", ""}, {"seed", "1"},
                                {"timeout-ms", "5000"}, {"pin", "-1"}});
  const long clients = options.number("clients", 1, 4096);
  const long window = options.number("window", 1, clients * 16384);
  long count = options.number("count", 0, 1000000000);
  const long seconds = options.number("seconds", 0, 3600);
  if (count == 0 && seconds == 0) count = 1;
  bench::pinTo(options.number("pin", -1, 1023));
  const bench::Address server = bench::parseAddress(options.text("server"));

  // --bind 127.0.1.1,127.0.1.2: the clients take turns.
  std::vector<std::string> sources;
  for (std::string rest = options.text("bind"); !rest.empty();) {
    const size_t comma = rest.find(',');
    sources.push_back(rest.substr(0, comma));
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
  }
  auto* generator = new Generator(makeQueries(options.number("names", 1, 1000000), options.text("prefix"), options.text("suffix"),
                                              options.number("seed", 0, 1L << 62)),
                                  options.number("timeout-ms", 1, 600000));
  std::mt19937 random(static_cast<uint32_t>(options.number("seed", 0, 1L << 62)));
  for (long i = 0; i < clients; i++) {
    const int fd = bench::udpSocket(server.family());
    if (!sources.empty()) bench::bindTo(fd, sources[static_cast<size_t>(i) % sources.size()] + ":0");
    if (connect(fd, server.name(), server.length) != 0) bench::die("connect");
    generator->addClient(fd, static_cast<uint16_t>(random()));
  }
  generator->run(window, count == 0 ? INT64_MAX : count, seconds, options.number("rate", 0, 10000000));
  generator->print();
  return 0;
}
