// What the load programs share: questions, the judgement of an answer, and the account of what became of each query over
// time, printed as one JSON object. A program prints `started NS` (monotonic clock) before the first query and a line
// `progress SENT ANSWERED LOST` now and then; SIGTERM makes it stop sending, wait for what is under way and print.
#ifndef TANDEM_CHAOS_NATIVE_LOAD_H_
#define TANDEM_CHAOS_NATIVE_LOAD_H_

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "common.h"

namespace load {

constexpr uint16_t kTypeA = 1;
constexpr uint16_t kTypeAaaa = 28;
constexpr int64_t kBinNs = 10000000;
constexpr int64_t kProgressNs = 200000000;
// Of those lost, and of those answered wrongly, so many are described; the rest is counted.
constexpr int64_t kShown = 20;

inline volatile sig_atomic_t isToldToStop = 0;

inline void stopOnSignal() {
  struct sigaction action{};
  action.sa_handler = [](int) { isToldToStop = 1; };
  sigaction(SIGTERM, &action, nullptr);
}

struct Query {
  std::vector<uint8_t> bytes;
  uint16_t type;
  std::string name;
};

// PREFIX K.SUFFIX for each K, A and AAAA, shuffled by the seed.
inline std::vector<Query> makeQueries(long names, const std::string& prefix, const std::string& suffix, long seed) {
  std::vector<Query> queries;
  for (long k = 0; k < names; k++) {
    const std::string name = prefix + std::to_string(k) + "." + suffix + ".";
    std::vector<uint8_t> bytes(bench::kHeaderBytes, 0);
    bytes[2] = 0x01;  // recursion desired
    bytes[5] = 1;
    for (std::string rest = name; !rest.empty();) {
      const size_t dot = rest.find('.');
      if (dot == 0 || dot > 63) bench::die("a label of " + suffix + " is not 1 to 63 bytes long");
      bytes.push_back(static_cast<uint8_t>(dot));
      bytes.insert(bytes.end(), rest.begin(), rest.begin() + static_cast<long>(dot));
      rest.erase(0, dot + 1);
    }
    bytes.push_back(0);
    for (const uint16_t type : {kTypeA, kTypeAaaa}) {
      Query query{bytes, type, name};
      query.bytes.insert(query.bytes.end(), {0, static_cast<uint8_t>(type), 0, 1});
      queries.push_back(query);
    }
  }
  std::mt19937_64 random(static_cast<uint64_t>(seed));
  std::shuffle(queries.begin(), queries.end(), random);
  return queries;
}

// The first record after the question, owner compressed to it, with the address that `upstream` gives.
inline bool rightAddress(const Query& query, const uint8_t* bytes, size_t length) {
  static const uint8_t four[4] = {192, 0, 2, 1};
  static const uint8_t six[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  const size_t dataBytes = query.type == kTypeA ? 4 : 16;
  const uint8_t* record = bytes + query.bytes.size();
  return bench::load16(bytes + 6) >= 1 && length >= query.bytes.size() + 12 + dataBytes && bench::load16(record) == 0xc00c &&
         bench::load16(record + 2) == query.type && bench::load16(record + 10) == dataBytes &&
         memcmp(record + 12, query.type == kTypeA ? four : six, dataBytes) == 0;
}

struct Bin {
  int64_t sent = 0, answered = 0, failed = 0, lost = 0, worstUs = 0, sumUs = 0;
};

struct Lost {
  int64_t atMs;
  int port;
  std::string name, why;
};

class Account {
 public:
  // Bins: `seconds` of sending and what may come after.
  Account(int64_t seconds, int64_t timeoutMs) : bins_(static_cast<size_t>((seconds * 1000 + timeoutMs) * 1000000 / kBinNs + 200)) {}

  void start() {
    startNs_ = nextProgressNs_ = bench::nowNs();
    printf("started %ld\n", startNs_);
    fflush(stdout);
  }
  int64_t startNs() const { return startNs_; }

  void sent(int64_t now) {
    sent_++;
    bin(now).sent++;
  }
  void lost(int64_t sentNs, int port, const Query& query, const char* why) {
    lost_++;
    bin(sentNs).lost++;
    if (lost_ <= kShown) show(sentNs, port, query, why);
  }
  void judge(const Query& query, const uint8_t* bytes, size_t length, int64_t sentNs, int64_t now) {
    const int64_t us = std::max<int64_t>(0, (now - sentNs) / 1000);
    answered_++;
    latencies_.push_back(static_cast<uint32_t>(std::min<int64_t>(us, UINT32_MAX)));
    bin(now).answered++;
    Bin& asked = bin(sentNs);
    asked.worstUs = std::max(asked.worstUs, us);
    asked.sumUs += us;
    const uint8_t rcode = bytes[3] & 0x0f;
    const bool isAsAsked = (bytes[2] & 0x80) != 0 && bench::questionEnd(bytes, length) == query.bytes.size() &&
                           memcmp(bytes + bench::kHeaderBytes, query.bytes.data() + bench::kHeaderBytes, query.bytes.size() - bench::kHeaderBytes) == 0;
    // A failure may leave the question out (RFC 1035 4.1.1).
    const bool isBareFailure = (bytes[2] & 0x80) != 0 && rcode != 0 && length == bench::kHeaderBytes && bench::load16(bytes + 4) == 0;
    if (!isAsAsked && !isBareFailure) {
      wrong(sentNs, query, "answered with something else");
    } else if (rcode == 5) {
      refused_++;
    } else if (rcode != 0) {
      failed_++;
      asked.failed++;
    } else if (!rightAddress(query, bytes, length)) {
      wrong(sentNs, query, "answered with another address");
    }
  }
  void twice() { twice_++; }
  void twice(int64_t sentNs, int port, const Query& query, const uint8_t* bytes, int64_t afterNs) {
    twice();
    if (twice_ > kShown) return;
    char why[80];
    snprintf(why, sizeof why, "a second answer, code %d, %.1f ms after the query", bytes[3] & 0x0f, static_cast<double>(afterNs) / 1e6);
    show(sentNs, port, query, why);
  }
  void late() { late_++; }
  void unexpected() { unexpected_++; }
  void reset() { reset_++; }
  int64_t sentCount() const { return sent_; }

  void progress(int64_t now) {
    if (now < nextProgressNs_) return;
    nextProgressNs_ = now + kProgressNs;
    printf("progress %ld %ld %ld\n", sent_, answered_, lost_);
    fflush(stdout);
  }

  void print() {
    std::sort(latencies_.begin(), latencies_.end());
    printf("{\"sent\":%ld,\"answered\":%ld,\"lost\":%ld,\"twice\":%ld,\"wrong\":%ld,\"failed\":%ld,\"refused\":%ld,\"late\":%ld,\"unexpected\":%ld,"
           "\"resets\":%ld,\"p50Us\":%ld,\"p99Us\":%ld,\"p999Us\":%ld,\"worstUs\":%ld,\"startNs\":\"%ld\",\"binMs\":%ld,\"lostShown\":[",
           sent_, answered_, lost_, twice_, wrong_, failed_, refused_, late_, unexpected_, reset_, percentile(50), percentile(99),
           percentile(99.9), percentile(100), startNs_, kBinNs / 1000000);
    for (size_t i = 0; i < shown_.size(); i++) {
      printf("%s{\"atMs\":%ld,\"port\":%d,\"name\":\"%s\",\"why\":\"%s\"}", i == 0 ? "" : ",", shown_[i].atMs, shown_[i].port,
             shown_[i].name.c_str(), shown_[i].why.c_str());
    }
    printf("],\"bins\":[");
    size_t last = bins_.size();
    while (last > 0 && bins_[last - 1].sent == 0 && bins_[last - 1].answered == 0) last--;
    for (size_t i = 0; i < last; i++) {
      const Bin& b = bins_[i];
      printf("%s[%ld,%ld,%ld,%ld,%ld,%ld]", i == 0 ? "" : ",", b.sent, b.answered, b.failed, b.lost, b.worstUs, b.sumUs);
    }
    printf("]}\n");
  }

 private:
  void wrong(int64_t sentNs, const Query& query, const char* why) {
    if (++wrong_ <= kShown) show(sentNs, 0, query, why);
  }
  void show(int64_t sentNs, int port, const Query& query, const char* why) {
    shown_.push_back({(sentNs - startNs_) / 1000000, port, query.name, why});
  }
  Bin& bin(int64_t ns) {
    const auto index = static_cast<size_t>(std::max<int64_t>(0, ns - startNs_) / kBinNs);
    return bins_[std::min(index, bins_.size() - 1)];
  }
  int64_t percentile(double percent) const {
    if (latencies_.empty()) return 0;
    const auto rank = static_cast<size_t>(static_cast<double>(latencies_.size()) * percent / 100.0);
    return latencies_[std::min(rank, latencies_.size() - 1)];
  }

  std::vector<Bin> bins_;
  std::vector<uint32_t> latencies_;
  std::vector<Lost> shown_;
  int64_t startNs_ = 0, nextProgressNs_ = 0;
  int64_t sent_ = 0, answered_ = 0, lost_ = 0, twice_ = 0, wrong_ = 0, failed_ = 0, refused_ = 0, late_ = 0, unexpected_ = 0, reset_ = 0;
};

// `192.0.2.1,192.0.2.2`
inline std::vector<std::string> listOf(std::string text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    out.push_back(text.substr(0, comma));
    text = comma == std::string::npos ? "" : text.substr(comma + 1);
  }
  return out;
}

}  // namespace load

#endif  // TANDEM_CHAOS_NATIVE_LOAD_H_
