// Open-loop DNS load over UDP: --rate queries a second over --clients source ports, each sent once and never again,
// whatever becomes of it. What has no answer within --timeout-ms is lost; a second answer to one query is counted.
#include <sys/epoll.h>

#include <deque>

#include "load.h"

namespace {

using bench::kBatch;

// At most so many are sent before answers are read again: a generator that was not scheduled catches up in steps.
constexpr int kBurst = 64;
// So long is waited for a second answer to what was answered last.
constexpr int64_t kLingerNs = 100000000;

enum class State : uint8_t { Never, Open, Answered, Lost };

struct Entry {
  int64_t sentNs;
  uint32_t query;
  State state;
};

struct Client {
  int fd;
  int port;
  uint16_t nextId;
  // Indexed by ID; zeroed pages that are never touched cost nothing.
  Entry* byId;
};

struct Waiting {
  int64_t sentNs;
  uint32_t client;
  uint16_t id;
};

class Generator {
 public:
  Generator(std::vector<load::Query> queries, int64_t seconds, int64_t timeoutMs)
      : queries_(std::move(queries)), account_(seconds, timeoutMs), timeoutNs_(timeoutMs * 1000000), seconds_(seconds) {}

  void addClient(int fd, uint16_t firstId) {
    auto* entries = static_cast<Entry*>(calloc(65536, sizeof(Entry)));
    if (entries == nullptr) bench::die("calloc");
    const int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) != 0) bench::die("SO_TIMESTAMPNS");
    clients_.push_back({fd, bench::portOf(fd), firstId, entries});
  }

  void run(int64_t rate) {
    const int poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0) bench::die("epoll_create1");
    for (uint32_t i = 0; i < clients_.size(); i++) {
      epoll_event event{EPOLLIN, {.u32 = i}};
      if (epoll_ctl(poller, EPOLL_CTL_ADD, clients_[i].fd, &event) != 0) bench::die("epoll_ctl");
    }
    account_.start();
    const int64_t endNs = account_.startNs() + seconds_ * 1000000000;
    epoll_event events[kBatch];
    int64_t restNs = account_.startNs();
    for (;;) {
      const int64_t now = bench::nowNs();
      const bool isSending = now < endNs && load::isToldToStop == 0;
      if (isSending) {
        const auto due = static_cast<int64_t>(static_cast<double>(now - account_.startNs()) * static_cast<double>(rate) / 1e9);
        for (int64_t left = std::min<int64_t>(kBurst, due - account_.sentCount()); left > 0; left--) sendOne();
      }
      expire(bench::nowNs());
      if (isSending || open_ > 0) restNs = now;
      else if (now - restNs >= kLingerNs) break;
      account_.progress(now);
      const int ready = epoll_wait(poller, events, kBatch, 1);
      for (int i = 0; i < ready; i++) receive(clients_[events[i].data.u32]);
    }
    account_.print();
  }

 private:
  void sendOne() {
    const uint32_t index = turn_++ % static_cast<uint32_t>(clients_.size());
    Client& client = clients_[index];
    const uint32_t queryIndex = next_++ % static_cast<uint32_t>(queries_.size());
    const load::Query& query = queries_[queryIndex];
    do client.nextId++;
    while (client.byId[client.nextId].state == State::Open);
    uint8_t bytes[bench::kDatagramBytes];
    memcpy(bytes, query.bytes.data(), query.bytes.size());
    bench::store16(bytes, client.nextId);
    const int64_t now = bench::nowNs();
    client.byId[client.nextId] = {now, queryIndex, State::Open};
    waiting_.push_back({now, index, client.nextId});
    open_++;
    account_.sent(now);
    // A refusal that an earlier query of this socket met is told to this one, which then has not been sent.
    for (int attempt = 0; attempt < 3; attempt++) {
      if (send(client.fd, bytes, query.bytes.size(), 0) >= 0) return;
      if (errno != ECONNREFUSED && errno != EAGAIN && errno != ENOBUFS && errno != EINTR) return;
    }
  }

  void receive(Client& client) {
    in_.armForReceive(false);
    for (int i = 0; i < kBatch; i++) {
      in_.headers[i].msg_hdr.msg_control = control_[i];
      in_.headers[i].msg_hdr.msg_controllen = sizeof(control_[i]);
    }
    const int count = recvmmsg(client.fd, in_.headers, kBatch, MSG_DONTWAIT, nullptr);
    const int64_t readNs = bench::nowNs();
    timespec readAt{};
    clock_gettime(CLOCK_REALTIME, &readAt);
    for (int i = 0; i < count; i++) {
      const uint8_t* bytes = in_.bytes[i];
      const size_t length = in_.headers[i].msg_len;
      const int64_t now = readNs - waitedNs(in_.headers[i].msg_hdr, readAt);
      if (length < bench::kHeaderBytes) {
        account_.unexpected();
        continue;
      }
      Entry& entry = client.byId[bench::load16(bytes)];
      switch (entry.state) {
        case State::Open:
          entry.state = State::Answered;
          open_--;
          account_.judge(queries_[entry.query], bytes, length, entry.sentNs, now);
          break;
        case State::Answered:
          account_.twice(entry.sentNs, client.port, queries_[entry.query], bytes, now - entry.sentNs);
          break;
        case State::Lost:
          account_.late();
          break;
        case State::Never:
          account_.unexpected();
          break;
      }
    }
  }

  // How long the datagram lay in the socket: that this program was not scheduled is nobody's delay.
  static int64_t waitedNs(msghdr& header, const timespec& readAt) {
    for (cmsghdr* each = CMSG_FIRSTHDR(&header); each != nullptr; each = CMSG_NXTHDR(&header, each)) {
      if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_TIMESTAMPNS) continue;
      timespec came{};
      memcpy(&came, CMSG_DATA(each), sizeof(came));
      return std::max<int64_t>(0, (readAt.tv_sec - came.tv_sec) * 1000000000 + readAt.tv_nsec - came.tv_nsec);
    }
    return 0;
  }

  void expire(int64_t now) {
    while (!waiting_.empty() && now - waiting_.front().sentNs >= timeoutNs_) {
      const Waiting& first = waiting_.front();
      Entry& entry = clients_[first.client].byId[first.id];
      if (entry.state == State::Open && entry.sentNs == first.sentNs) {
        entry.state = State::Lost;
        open_--;
        account_.lost(first.sentNs, clients_[first.client].port, queries_[entry.query], "no answer");
      }
      waiting_.pop_front();
    }
  }

  const std::vector<load::Query> queries_;
  load::Account account_;
  const int64_t timeoutNs_, seconds_;
  std::vector<Client> clients_;
  std::deque<Waiting> waiting_;
  bench::Batch in_;
  alignas(cmsghdr) char control_[kBatch][CMSG_SPACE(sizeof(timespec))];
  uint32_t turn_ = 0, next_ = 0;
  int64_t open_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options(argc, argv, {{"server", ""}, {"bind", ""}, {"clients", "200"}, {"rate", "5000"}, {"seconds", "10"},
                                            {"names", "2000"}, {"prefix", "h"}, {"suffix", "bench.test"}, {"seed", "1"}, {"timeout-ms", "5000"}});
  load::stopOnSignal();
  const bench::Address server = bench::parseAddress(options.text("server"));
  const long clients = options.number("clients", 1, 4096);
  const long seed = options.number("seed", 0, 1L << 62);
  const std::vector<std::string> sources = load::listOf(options.text("bind"));
  auto* generator = new Generator(load::makeQueries(options.number("names", 1, 1000000), options.text("prefix"), options.text("suffix"), seed),
                                  options.number("seconds", 1, 3600), options.number("timeout-ms", 1, 600000));
  std::mt19937 random(static_cast<uint32_t>(seed));
  for (long i = 0; i < clients; i++) {
    const int fd = bench::udpSocket(server.family());
    if (!sources.empty()) bench::bindTo(fd, sources[static_cast<size_t>(i) % sources.size()] + ":0");
    if (connect(fd, server.name(), server.length) != 0) bench::die("connect");
    generator->addClient(fd, static_cast<uint16_t>(random()));
  }
  generator->run(options.number("rate", 1, 1000000));
  return 0;
}
