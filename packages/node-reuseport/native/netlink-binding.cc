// The calls of netlink: sockets, exchanges on the thread pool, readiness in this thread's loop, the writer.
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <cstring>
#include <memory>
#include <vector>

#include "bindings.h"
#include "netlink-writer.h"
#include "netlink.h"
#include "pool-task.h"

namespace reuseport {

namespace {

Napi::Value number(const Napi::CallbackInfo& info, double value) { return Napi::Number::New(info.Env(), value); }

// (protocol, groups Uint32Array, receiveBufferBytes)
Napi::Value openNetlink(const Napi::CallbackInfo& info) {
  const int fd = openNetlinkSocket(intArgument(info, 0), wordArgument(info, 2), 0);
  if (fd < 0) return number(info, fd);
  auto groups = info[1].As<Napi::Uint32Array>();
  for (size_t i = 0; i < groups.ElementLength(); i++) {
    const uint32_t group = groups[i];
    if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0) continue;
    const int failed = -errno;
    close(fd);
    return number(info, failed);
  }
  return number(info, fd);
}

// (fd, Uint8Array)
Napi::Value sendNetlink(const Napi::CallbackInfo& info) {
  if (!info[1].IsTypedArray()) return number(info, -EFAULT);
  const size_t length = info[1].As<Napi::TypedArray>().ByteLength();
  const uint8_t* request = bytesArgument(info, 1, 0, static_cast<int64_t>(length));
  if (request == nullptr) return number(info, -EFAULT);
  return number(info, sendToKernel(intArgument(info, 0), request, length));
}

// (fd, Uint8Array)
Napi::Value receiveNetlink(const Napi::CallbackInfo& info) {
  if (!info[1].IsTypedArray()) return number(info, -EFAULT);
  const size_t length = info[1].As<Napi::TypedArray>().ByteLength();
  uint8_t* into = bytesArgument(info, 1, 0, static_cast<int64_t>(length));
  if (into == nullptr) return number(info, -EFAULT);
  return number(info, static_cast<double>(receiveFromKernel(intArgument(info, 0), into, length)));
}

class Collector : public NetlinkSink {
 public:
  explicit Collector(size_t bytesMax) : bytesMax_(bytesMax) {}
  bool take(const nlmsghdr* message) override {
    const size_t padded = NLMSG_ALIGN(message->nlmsg_len);
    if (padded > bytesMax_ - bytes.size()) return false;
    const auto* start = reinterpret_cast<const uint8_t*>(message);
    bytes.insert(bytes.end(), start, start + message->nlmsg_len);
    bytes.resize(bytes.size() + padded - message->nlmsg_len);
    return true;
  }
  std::vector<uint8_t> bytes;

 private:
  size_t bytesMax_;
};

class ExchangeTask : public PoolTask {
 public:
  ExchangeTask(int fd, std::vector<uint8_t> request, NetlinkParts parts, int64_t deadlineMs, size_t bytesMax)
      : fd_(fd),
        request_(std::move(request)),
        parts_(std::move(parts)),
        deadlineNs_(netlinkDeadline(deadlineMs)),
        collector_(bytesMax) {}
  ~ExchangeTask() override { close(fd_); }

  void run() override {
    std::unique_ptr<uint8_t[]> buffer(new uint8_t[kNetlinkBufferBytes]);
    NetlinkExchange exchange(fd_, buffer.get(), &collector_, true);
    size_t start = 0;
    for (const NetlinkParts::Part& part : parts_.parts) {
      exchange.run(request_.data() + start, part.end - start, part.awaited, deadlineNs_);
      if (exchange.outcome.error != 0) break;
      start = part.end;
    }
    outcome_ = std::move(exchange.outcome);
  }

  void tell(PoolResult* result) override {
    result->set("errno", outcome_.error);
    result->set("sequence", outcome_.sequence);
    result->set("message", outcome_.words);
    result->set("messages", std::move(collector_.bytes));
  }

 private:
  int fd_;
  std::vector<uint8_t> request_;
  NetlinkParts parts_;
  int64_t deadlineNs_;
  Collector collector_;
  NetlinkOutcome outcome_;
};

// (protocol, request, deadlineMs, bytesMax) → Promise, or −errno
Napi::Value netlinkExchange(const Napi::CallbackInfo& info) {
  const size_t length = info[1].As<Napi::TypedArray>().ByteLength();
  const uint8_t* bytes = bytesArgument(info, 1, 0, static_cast<int64_t>(length));
  NetlinkParts parts;
  if (bytes == nullptr || !divideRequest(bytes, length, &parts)) return number(info, -EINVAL);
  // Here and not on the pool's thread: a thread may have a network namespace of its own.
  const int fd = openNetlinkSocket(intArgument(info, 0), receiveBytesFor(parts.awaited), length * 2 + kNetlinkBufferBytes);
  if (fd < 0) return number(info, fd);
  return runOnPool(info.Env(), "netlink",
                   std::make_unique<ExchangeTask>(fd, std::vector<uint8_t>(bytes, bytes + length), std::move(parts),
                                                  intArgument(info, 2), wordArgument(info, 3)));
}

// Lives until it is closed or its environment ends, whoever still refers to it.
struct Poller {
  uv_poll_t handle;
  napi_env env = nullptr;
  Napi::FunctionReference callback;
  std::unique_ptr<Napi::AsyncContext> context;
  napi_async_cleanup_hook_handle hook = nullptr;
};
using PollerExternal = Napi::External<Poller>;

void becameReadable(uv_poll_t* handle, int state, int) {
  auto* poller = static_cast<Poller*>(handle->data);
  // libuv stops at a socket's error; the reader takes it (lost events are one), and then there is more to read.
  if (state < 0) uv_poll_start(handle, UV_READABLE, becameReadable);
  // Plain N-API: the environment may be ending (process.exit in the callback), when every call is refused.
  const napi_env env = poller->env;
  Napi::HandleScope scope(env);
  napi_value global, result, error;
  if (napi_get_global(env, &global) != napi_ok) return;
  const napi_status status = napi_make_callback(env, *poller->context, global, poller->callback.Value(), 0, nullptr, &result);
  if (status == napi_pending_exception && napi_get_and_clear_last_exception(env, &error) == napi_ok) {
    napi_fatal_exception(env, error);
  }
}

void closePoller(Poller* poller) {
  poller->callback.Reset();
  poller->context.reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&poller->handle), [](uv_handle_t* handle) {
    auto* closed = static_cast<Poller*>(handle->data);
    napi_remove_async_cleanup_hook(closed->hook);
    delete closed;
  });
}

// (fd, function) → handle, or −errno
Napi::Value pollStart(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return number(info, -ENOTSUP);
  auto poller = std::make_unique<Poller>();
  poller->env = env;
  poller->handle.data = poller.get();
  int failed = uv_poll_init(loop, &poller->handle, intArgument(info, 0));
  if (failed != 0) return number(info, failed);
  Poller* kept = poller.release();
  kept->callback = Napi::Persistent(info[1].As<Napi::Function>());
  kept->context = std::make_unique<Napi::AsyncContext>(env, "netlink");
  napi_add_async_cleanup_hook(
      env,
      [](napi_async_cleanup_hook_handle, void* data) {
        auto* ending = static_cast<Poller*>(data);
        // One that is closing already takes its hook away by itself.
        if (uv_is_closing(reinterpret_cast<uv_handle_t*>(&ending->handle)) == 0) closePoller(ending);
      },
      kept, &kept->hook);
  failed = uv_poll_start(&kept->handle, UV_READABLE, becameReadable);
  if (failed != 0) {
    closePoller(kept);
    return number(info, failed);
  }
  uv_unref(reinterpret_cast<uv_handle_t*>(&kept->handle));
  return PollerExternal::New(env, kept);
}

Napi::Value pollClose(const Napi::CallbackInfo& info) {
  // A thread that is being ended may have been given none.
  if (info[0].IsExternal()) closePoller(info[0].As<PollerExternal>().Data());
  return info.Env().Undefined();
}

// The environment's end closes the writer, a worker's, too; then the object may outlive it.
struct WriterHandle {
  WriterHandle(napi_env of, uint32_t capacity, uint32_t bytesMax) : env(of), writer(capacity, bytesMax) {}
  napi_env env;
  NetlinkWriter writer;
  bool hooked = false;

  static void ended(void* data) {
    auto* self = static_cast<WriterHandle*>(data);
    self->hooked = false;
    self->writer.close();
  }
  void close() {
    if (hooked) napi_remove_env_cleanup_hook(env, ended, this);
    hooked = false;
    writer.close();
  }
};
using WriterExternal = Napi::External<WriterHandle>;

NetlinkWriter& writerOf(const Napi::CallbackInfo& info) { return info[0].As<WriterExternal>().Data()->writer; }

// (protocol, capacity, bytesMax) → { handle, fd }, or −errno
Napi::Value writerCreate(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto handle = std::make_unique<WriterHandle>(env, wordArgument(info, 1), wordArgument(info, 2));
  const int failed = handle->writer.start(intArgument(info, 0));
  if (failed != 0) return number(info, failed);
  handle->hooked = napi_add_env_cleanup_hook(env, WriterHandle::ended, handle.get()) == napi_ok;
  Napi::Object o = Napi::Object::New(env);
  o.Set("fd", Napi::Number::New(env, handle->writer.fd()));
  o.Set("handle", WriterExternal::New(env, handle.release(), [](Napi::Env, WriterHandle* ending) {
          ending->close();
          delete ending;
        }));
  return o;
}

// (handle, request, ticket)
Napi::Value writerSubmit(const Napi::CallbackInfo& info) {
  if (!info[1].IsTypedArray()) return number(info, -EFAULT);
  const size_t length = info[1].As<Napi::TypedArray>().ByteLength();
  const uint8_t* bytes = bytesArgument(info, 1, 0, static_cast<int64_t>(length));
  if (bytes == nullptr) return number(info, -EFAULT);
  return number(info, writerOf(info).submit(bytes, length, intArgument(info, 2)));
}

// (handle, Int32Array)
Napi::Value writerCompletions(const Napi::CallbackInfo& info) {
  auto into = info[1].As<Napi::Int32Array>();
  return number(info, writerOf(info).completions(into.Data(), into.ElementLength()));
}

Napi::Value writerClose(const Napi::CallbackInfo& info) {
  info[0].As<WriterExternal>().Data()->close();
  return info.Env().Undefined();
}

}  // namespace

void exportNetlink(Napi::Env env, Napi::Object exports) {
  exports.Set("openNetlink", Napi::Function::New(env, openNetlink));
  exports.Set("sendNetlink", Napi::Function::New(env, sendNetlink));
  exports.Set("receiveNetlink", Napi::Function::New(env, receiveNetlink));
  exports.Set("netlinkExchange", Napi::Function::New(env, netlinkExchange));
  exports.Set("pollStart", Napi::Function::New(env, pollStart));
  exports.Set("pollClose", Napi::Function::New(env, pollClose));
  exports.Set("writerCreate", Napi::Function::New(env, writerCreate));
  exports.Set("writerSubmit", Napi::Function::New(env, writerSubmit));
  exports.Set("writerCompletions", Napi::Function::New(env, writerCompletions));
  exports.Set("writerClose", Napi::Function::New(env, writerClose));
}

}  // namespace reuseport
