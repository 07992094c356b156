// Hostile datagrams at a live port: mutated queries, splices, pointer loops and plain noise, reproducible by --seed. After
// every batch an honest query goes out on the same socket and its answer is awaited: so the batch has been read when the
// next one is sent, and a daemon that stopped answering is noticed at once. Prints one JSON object.
#include <poll.h>

#include <random>
#include <vector>

#include "common.h"

namespace {

using Bytes = std::vector<uint8_t>;

constexpr int kSockets = 64;
constexpr size_t kLargest = 4096;
constexpr int64_t kHonestDeadlineNs = 5000000000;

struct Totals {
  long sent = 0, replies = 0, honest = 0, honestLost = 0;
};

Bytes query(const std::string& name, uint16_t type, bool edns) {
  Bytes bytes = {0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, static_cast<uint8_t>(edns ? 1 : 0)};
  for (size_t from = 0; from < name.size();) {
    const size_t dot = name.find('.', from);
    bytes.push_back(static_cast<uint8_t>(dot - from));
    bytes.insert(bytes.end(), name.begin() + static_cast<long>(from), name.begin() + static_cast<long>(dot));
    from = dot + 1;
  }
  bytes.insert(bytes.end(), {0, static_cast<uint8_t>(type >> 8), static_cast<uint8_t>(type), 0, 1});
  // EDNS with one option of four bytes, so that its lengths can be mutated.
  if (edns) bytes.insert(bytes.end(), {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 8, 0, 10, 0, 4, 1, 2, 3, 4});
  return bytes;
}

class Mutator {
 public:
  Mutator(uint64_t seed, std::vector<Bytes> corpus) : random_(seed), corpus_(std::move(corpus)) {}

  Bytes next() {
    Bytes bytes = corpus_[below(corpus_.size())];
    bytes[0] = byte();
    bytes[1] = byte();
    switch (below(8)) {
      case 0:  // a few bits
        for (size_t i = 0, n = 1 + below(8); i < n; i++) bytes[below(bytes.size())] ^= static_cast<uint8_t>(1u << below(8));
        break;
      case 1:  // cut short, down to nothing
        bytes.resize(below(bytes.size()));
        break;
      case 2: {  // the head of one and the tail of another
        const Bytes& other = corpus_[below(corpus_.size())];
        bytes.resize(below(bytes.size()));
        bytes.insert(bytes.end(), other.begin() + static_cast<long>(below(other.size())), other.end());
        break;
      }
      case 3:  // noise
        bytes.resize(below(512));
        for (uint8_t& one : bytes) one = byte();
        break;
      case 4:  // counts that lie
        bytes[4 + below(8)] = byte();
        break;
      case 5: {  // a compression pointer, to itself or anywhere
        const size_t at = 12 + below(bytes.size() - 13);
        bytes[at] = static_cast<uint8_t>(0xc0 | below(64));
        bytes[at + 1] = below(2) == 0 ? static_cast<uint8_t>(at) : byte();
        break;
      }
      case 6:  // a long tail
        bytes.resize(bytes.size() + below(kLargest - bytes.size()), byte());
        break;
      default:  // other operations, answers, flags
        bytes[2] = byte();
        bytes[3] = byte();
    }
    return bytes;
  }

 private:
  size_t below(size_t bound) { return bound == 0 ? 0 : random_() % bound; }
  uint8_t byte() { return static_cast<uint8_t>(random_()); }

  std::mt19937_64 random_;
  const std::vector<Bytes> corpus_;
};

// Whether this is the answer to the honest query: its ID, its question, and a good response code.
bool isHonestAnswer(const uint8_t* bytes, size_t length, const Bytes& asked) {
  return length >= asked.size() && (bytes[2] & 0x80) != 0 && (bytes[3] & 0x0f) == 0 && memcmp(bytes, asked.data(), 2) == 0 &&
         memcmp(bytes + 12, asked.data() + 12, asked.size() - 12) == 0;
}

bool awaitHonest(int fd, const Bytes& asked, Totals& totals) {
  const int64_t deadline = bench::nowNs() + kHonestDeadlineNs;
  static uint8_t bytes[65536];
  for (;;) {
    const ssize_t length = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (length >= 0) {
      if (isHonestAnswer(bytes, static_cast<size_t>(length), asked)) return true;
      totals.replies++;
      continue;
    }
    const int64_t left = deadline - bench::nowNs();
    if (left <= 0) return false;
    pollfd readable{fd, POLLIN, 0};
    poll(&readable, 1, static_cast<int>(left / 1000000) + 1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options(argc, argv, {{"server", ""}, {"bind", "127.0.0.1"}, {"count", "1000000"}, {"seed", "1"},
                                            {"allowed", "www.a.test"}, {"refused", "www.b.test"}});
  const long count = options.number("count", 1, 1000000000);
  const bench::Address server = bench::parseAddress(options.text("server"));
  const std::string allowed = options.text("allowed") + ".";
  const std::string refused = options.text("refused") + ".";
  std::vector<Bytes> corpus;
  for (const std::string& name : {allowed, refused}) {
    for (const uint16_t type : {1, 28, 16, 65, 255}) {
      corpus.push_back(query(name, type, false));
      corpus.push_back(query(name, type, true));
    }
  }
  Mutator mutator(static_cast<uint64_t>(options.number("seed", 0, 1L << 62)), corpus);
  std::vector<int> sockets;
  for (int i = 0; i < kSockets; i++) {
    const int fd = bench::udpSocket(server.family());
    bench::bindTo(fd, options.text("bind") + ":0");
    if (connect(fd, server.name(), server.length) != 0) bench::die("connect");
    sockets.push_back(fd);
  }
  Totals totals;
  const int64_t start = bench::nowNs();
  uint16_t honestId = 0;
  for (int turn = 0; totals.sent < count; turn++) {
    const int fd = sockets[static_cast<size_t>(turn % kSockets)];
    for (int i = 0; i < bench::kBatch && totals.sent < count; i++) {
      const Bytes bytes = mutator.next();
      if (send(fd, bytes.data(), bytes.size(), 0) >= 0) totals.sent++;
    }
    Bytes honest = query("honest-" + allowed, 1, false);
    bench::store16(honest.data(), ++honestId);
    if (send(fd, honest.data(), honest.size(), 0) < 0) bench::die("send");
    totals.honest++;
    if (!awaitHonest(fd, honest, totals)) totals.honestLost++;
  }
  printf("{\"sent\":%ld,\"replies\":%ld,\"honest\":%ld,\"honestLost\":%ld,\"seconds\":%.3f}\n", totals.sent, totals.replies, totals.honest,
         totals.honestLost, static_cast<double>(bench::nowNs() - start) / 1e9);
  return 0;
}
