// What the generator asks, and whether an answer is the right one.
#ifndef TANDEM_TEST_BENCH_NATIVE_QUESTIONS_H_
#define TANDEM_TEST_BENCH_NATIVE_QUESTIONS_H_

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "common.h"

namespace bench {

constexpr uint16_t kTypeA = 1;
constexpr uint16_t kTypeAaaa = 28;

struct Query {
  std::vector<uint8_t> bytes;
  uint16_t type;
  bool mustBeRefused;
};

enum class Verdict { right, denied, refused, failed, wrong };

// Names are PREFIXk.SUFFIX for k below `names`, each asked for A and AAAA.
inline void addQueries(std::vector<Query>& queries, long names, const std::string& prefix, const std::string& suffix, bool mustBeRefused) {
  for (long k = 0; k < names; k++) {
    std::vector<uint8_t> bytes(kHeaderBytes, 0);
    bytes[2] = 0x01;  // recursion desired
    bytes[5] = 1;
    std::string rest = prefix + std::to_string(k) + "." + suffix + ".";
    while (!rest.empty()) {
      const size_t dot = rest.find('.');
      if (dot == 0 || dot > 63) die("a label of " + suffix + " is not 1 to 63 bytes long");
      bytes.push_back(static_cast<uint8_t>(dot));
      bytes.insert(bytes.end(), rest.begin(), rest.begin() + static_cast<long>(dot));
      rest.erase(0, dot + 1);
    }
    bytes.push_back(0);
    for (const uint16_t type : {kTypeA, kTypeAaaa}) {
      Query query{bytes, type, mustBeRefused};
      query.bytes.insert(query.bytes.end(), {0, static_cast<uint8_t>(type), 0, 1});
      queries.push_back(query);
    }
  }
}

// One record after the question, owner compressed to it, with the address that `upstream` gives.
inline bool rightAddress(const Query& query, const uint8_t* bytes, size_t length) {
  static const uint8_t four[4] = {192, 0, 2, 1};
  static const uint8_t six[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  const size_t dataBytes = query.type == kTypeA ? 4 : 16;
  const uint8_t* record = bytes + query.bytes.size();
  return load16(bytes + 6) == 1 && length >= query.bytes.size() + 12 + dataBytes && load16(record) == 0xc00c &&
         load16(record + 2) == query.type && load16(record + 10) == dataBytes &&
         memcmp(record + 12, query.type == kTypeA ? four : six, dataBytes) == 0;
}

inline Verdict judge(const Query& query, const uint8_t* bytes, size_t length) {
  constexpr uint8_t kRcodeRefused = 5;
  const uint8_t rcode = bytes[3] & 0x0f;
  const bool asAsked = (bytes[2] & 0x80) != 0 && questionEnd(bytes, length) == query.bytes.size() &&
                       memcmp(bytes + kHeaderBytes, query.bytes.data() + kHeaderBytes, query.bytes.size() - kHeaderBytes) == 0;
  if (!asAsked) return Verdict::wrong;
  if (query.mustBeRefused) return rcode == kRcodeRefused ? Verdict::denied : Verdict::wrong;
  if (rcode == kRcodeRefused) return Verdict::refused;
  if (rcode != 0) return Verdict::failed;
  return rightAddress(query, bytes, length) ? Verdict::right : Verdict::wrong;
}

}  // namespace bench

#endif  // TANDEM_TEST_BENCH_NATIVE_QUESTIONS_H_
