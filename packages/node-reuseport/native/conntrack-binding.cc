// The calls of the connection table; all work on a thread of libuv's pool.
#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "bindings.h"
#include "conntrack.h"
#include "pool-task.h"

namespace reuseport {

namespace {

// Changes that go to the kernel at once: their acknowledgements wait in the socket together.
constexpr size_t kChangesPerSend = 512;
constexpr size_t kChangeBytesMax = 160;

// Has the socket, made in the thread that asked: a thread may have a network namespace of its own.
class TableTask : public PoolTask {
 public:
  TableTask(int fd, int64_t deadlineMs) : fd_(fd), deadlineNs_(netlinkDeadline(deadlineMs)) {}
  ~TableTask() override { close(fd_); }

  void tell(PoolResult* result) override {
    result->set("errno", outcome_.error);
    result->set("message", outcome_.words);
  }

 protected:
  int fd_;
  int64_t deadlineNs_;
  NetlinkOutcome outcome_;
};

class DumpTask : public TableTask {
 public:
  DumpTask(int fd, int64_t deadlineMs, uint32_t mark, uint32_t mask, size_t connectionsMax)
      : TableTask(fd, deadlineMs), mark_(mark), mask_(mask), table_(connectionsMax) {}

  void run() override {
    std::unique_ptr<uint8_t[]> buffer(new uint8_t[kNetlinkBufferBytes]);
    NetlinkExchange exchange(fd_, buffer.get(), &table_, true);
    const std::vector<uint8_t> request = dumpRequest(mark_, mask_);
    exchange.run(request.data(), request.size(), 1, deadlineNs_);
    outcome_ = std::move(exchange.outcome);
  }

  void tell(PoolResult* result) override {
    TableTask::tell(result);
    result->set("rows", std::move(table_.rows));
  }

 private:
  uint32_t mark_;
  uint32_t mask_;
  ConnectionTable table_;
};

class ChangeTask : public TableTask {
 public:
  ChangeTask(int fd, int64_t deadlineMs, std::vector<uint32_t> rows, const ConnectionChange& change)
      : TableTask(fd, deadlineMs), rows_(std::move(rows)), change_(change) {}

  void run() override {
    std::unique_ptr<uint8_t[]> buffer(new uint8_t[kNetlinkBufferBytes]);
    NetlinkExchange exchange(fd_, buffer.get(), nullptr, true);
    exchange.tolerate(ENOENT);
    std::vector<uint8_t> request;
    const size_t count = rows_.size() / kConnectionWords;
    for (size_t start = 0; start < count && exchange.outcome.error == 0;) {
      const size_t end = std::min(count, start + kChangesPerSend);
      request.clear();
      for (size_t i = start; i < end; i++) {
        appendChange(rows_.data() + i * kConnectionWords, change_, static_cast<uint32_t>(i + 1), &request);
      }
      exchange.run(request.data(), request.size(), static_cast<uint32_t>(end - start), deadlineNs_);
      start = end;
    }
    absent_ = exchange.tolerated;
    changed_ = exchange.agreed;
    outcome_ = std::move(exchange.outcome);
  }

  void tell(PoolResult* result) override {
    TableTask::tell(result);
    result->set("changed", changed_);
    result->set("absent", absent_);
  }

 private:
  std::vector<uint32_t> rows_;
  ConnectionChange change_;
  uint32_t changed_ = 0;
  uint32_t absent_ = 0;
};

// (mark, mask, deadlineMs, connectionsMax) → Promise, or −errno
Napi::Value dumpConnections(const Napi::CallbackInfo& info) {
  const int fd = openNetlinkSocket(NETLINK_NETFILTER, receiveBytesFor(1), 0);
  if (fd < 0) return Napi::Number::New(info.Env(), fd);
  return runOnPool(info.Env(), "conntrack",
                   std::make_unique<DumpTask>(fd, intArgument(info, 2), wordArgument(info, 0), wordArgument(info, 1),
                                              wordArgument(info, 3)));
}

Napi::Value changeConnections(const Napi::CallbackInfo& info, const ConnectionChange& change) {
  auto given = info[0].As<Napi::Uint32Array>();
  const int fd = openNetlinkSocket(NETLINK_NETFILTER, receiveBytesFor(kChangesPerSend), kChangesPerSend * kChangeBytesMax * 2);
  if (fd < 0) return Napi::Number::New(info.Env(), fd);
  std::vector<uint32_t> rows(given.Data(), given.Data() + given.ElementLength());
  return runOnPool(info.Env(), "conntrack", std::make_unique<ChangeTask>(fd, intArgument(info, 1), std::move(rows), change));
}

// (rows Uint32Array, deadlineMs) → Promise, or −errno
Napi::Value deleteConnections(const Napi::CallbackInfo& info) { return changeConnections(info, {}); }

// (rows Uint32Array, deadlineMs, mark, mask) → Promise, or −errno
Napi::Value markConnections(const Napi::CallbackInfo& info) {
  return changeConnections(info, {false, wordArgument(info, 2), wordArgument(info, 3)});
}

}  // namespace

void exportConntrack(Napi::Env env, Napi::Object exports) {
  exports.Set("dumpConnections", Napi::Function::New(env, dumpConnections));
  exports.Set("deleteConnections", Napi::Function::New(env, deleteConnections));
  exports.Set("markConnections", Napi::Function::New(env, markConnections));
}

}  // namespace reuseport
