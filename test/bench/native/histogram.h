// Latencies in buckets of 1 µs up to 100 ms, then of 1 ms: bounded, and exact enough for percentiles.
#ifndef TANDEM_TEST_BENCH_NATIVE_HISTOGRAM_H_
#define TANDEM_TEST_BENCH_NATIVE_HISTOGRAM_H_

#include <algorithm>
#include <cstdint>
#include <vector>

namespace bench {

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

}  // namespace bench

#endif  // TANDEM_TEST_BENCH_NATIVE_HISTOGRAM_H_
