// The calls of the connection table; both work on a thread of libuv's pool.
#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "bindings.h"
#include "conntrack.h"

namespace reuseport {

namespace {

// Deletions that go to the kernel at once: their acknowledgements wait in the socket together.
constexpr size_t kDeletesPerSend = 512;
constexpr size_t kDeleteBytesMax = 160;

class TableWorker : public Napi::AsyncWorker {
 public:
  TableWorker(Napi::Env env, int fd, int64_t deadlineMs)
      : Napi::AsyncWorker(env, "conntrack"),
        deferred(Napi::Promise::Deferred::New(env)),
        fd_(fd),
        deadlineNs_(netlinkDeadline(deadlineMs)) {}
  ~TableWorker() override { close(fd_); }

  Napi::Promise::Deferred deferred;

 protected:
  Napi::Object outcomeObject() {
    Napi::Object o = Napi::Object::New(Env());
    o.Set("errno", Napi::Number::New(Env(), outcome_.error));
    o.Set("message", Napi::String::New(Env(), outcome_.words));
    return o;
  }

  int fd_;
  int64_t deadlineNs_;
  NetlinkOutcome outcome_;
};

class DumpWorker : public TableWorker {
 public:
  DumpWorker(Napi::Env env, int fd, int64_t deadlineMs, uint32_t mark, uint32_t mask, size_t connectionsMax)
      : TableWorker(env, fd, deadlineMs), mark_(mark), mask_(mask), table_(connectionsMax) {}

 protected:
  void Execute() override {
    std::unique_ptr<uint8_t[]> buffer(new uint8_t[kNetlinkBufferBytes]);
    NetlinkExchange exchange(fd_, buffer.get(), &table_, true);
    const std::vector<uint8_t> request = dumpRequest(mark_, mask_);
    exchange.run(request.data(), request.size(), 1, deadlineNs_);
    outcome_ = std::move(exchange.outcome);
  }

  void OnOK() override {
    Napi::Object o = outcomeObject();
    auto* rows = new std::vector<uint32_t>(std::move(table_.rows));
    auto buffer = Napi::ArrayBuffer::New(
        Env(), rows->data(), rows->size() * sizeof(uint32_t),
        [](Napi::Env, void*, std::vector<uint32_t>* kept) { delete kept; }, rows);
    o.Set("rows", Napi::Uint32Array::New(Env(), buffer.ByteLength() / sizeof(uint32_t), buffer, 0));
    deferred.Resolve(o);
  }

 private:
  uint32_t mark_;
  uint32_t mask_;
  ConnectionTable table_;
};

class DeleteWorker : public TableWorker {
 public:
  DeleteWorker(Napi::Env env, int fd, int64_t deadlineMs, std::vector<uint32_t> rows)
      : TableWorker(env, fd, deadlineMs), rows_(std::move(rows)) {}

 protected:
  void Execute() override {
    std::unique_ptr<uint8_t[]> buffer(new uint8_t[kNetlinkBufferBytes]);
    NetlinkExchange exchange(fd_, buffer.get(), nullptr, true);
    exchange.tolerate(ENOENT);
    std::vector<uint8_t> request;
    const size_t count = rows_.size() / kConnectionWords;
    for (size_t start = 0; start < count && exchange.outcome.error == 0;) {
      const size_t end = std::min(count, start + kDeletesPerSend);
      request.clear();
      for (size_t i = start; i < end; i++) {
        appendDelete(rows_.data() + i * kConnectionWords, static_cast<uint32_t>(i + 1), &request);
      }
      exchange.run(request.data(), request.size(), static_cast<uint32_t>(end - start), deadlineNs_);
      start = end;
    }
    absent_ = exchange.tolerated;
    deleted_ = exchange.agreed;
    outcome_ = std::move(exchange.outcome);
  }

  void OnOK() override {
    Napi::Object o = outcomeObject();
    o.Set("deleted", Napi::Number::New(Env(), deleted_));
    o.Set("absent", Napi::Number::New(Env(), absent_));
    deferred.Resolve(o);
  }

 private:
  std::vector<uint32_t> rows_;
  uint32_t deleted_ = 0;
  uint32_t absent_ = 0;
};

Napi::Value queue(TableWorker* worker) {
  Napi::Promise promise = worker->deferred.Promise();
  worker->Queue();
  return promise;
}

// (mark, mask, deadlineMs, connectionsMax) → Promise, or −errno
Napi::Value dumpConnections(const Napi::CallbackInfo& info) {
  const int fd = openNetlinkSocket(NETLINK_NETFILTER, receiveBytesFor(1), 0);
  if (fd < 0) return Napi::Number::New(info.Env(), fd);
  return queue(new DumpWorker(info.Env(), fd, intArgument(info, 2), wordArgument(info, 0), wordArgument(info, 1),
                              wordArgument(info, 3)));
}

// (rows Uint32Array, deadlineMs) → Promise, or −errno
Napi::Value deleteConnections(const Napi::CallbackInfo& info) {
  auto given = info[0].As<Napi::Uint32Array>();
  const int fd = openNetlinkSocket(NETLINK_NETFILTER, receiveBytesFor(kDeletesPerSend), kDeletesPerSend * kDeleteBytesMax * 2);
  if (fd < 0) return Napi::Number::New(info.Env(), fd);
  std::vector<uint32_t> rows(given.Data(), given.Data() + given.ElementLength());
  return queue(new DeleteWorker(info.Env(), fd, intArgument(info, 1), std::move(rows)));
}

}  // namespace

void exportConntrack(Napi::Env env, Napi::Object exports) {
  exports.Set("dumpConnections", Napi::Function::New(env, dumpConnections));
  exports.Set("deleteConnections", Napi::Function::New(env, deleteConnections));
}

}  // namespace reuseport
