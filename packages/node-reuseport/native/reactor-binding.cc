// The reactor's calls. step() is the hot one: plain N-API, no allocation.
#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "bindings.h"
#include "reactor.h"

namespace reuseport {

namespace {

// Memory behind the views. The reactor and the ArrayBuffer each hold it, so neither can be left with freed memory.
struct Block {
  explicit Block(size_t bytes) : memory(new (std::align_val_t{kCacheLineBytes}) uint8_t[bytes]()) {}
  ~Block() { operator delete[](memory, std::align_val_t{kCacheLineBytes}); }
  uint8_t* memory;
};

struct ReactorHandle {
  std::shared_ptr<Journal> journal;
  std::shared_ptr<Block> block;
  std::unique_ptr<Reactor> reactor;
};
using ReactorExternal = Napi::External<ReactorHandle>;

struct Parts {
  size_t control = 0, received = 0, answers = 0, ready = 0, transmit = 0, taken = 0, total = 0;

  Parts(const Layout& l, uint32_t readyCapacity) {
    auto part = [this](size_t bytes) {
      size_t start = total;
      total += (bytes + kCacheLineBytes - 1) / kCacheLineBytes * kCacheLineBytes;
      return start;
    };
    control = part(kControlLength * sizeof(double));
    received = part(size_t{l.batch} * 4);
    answers = part(size_t{l.batch} * kAnswerWords * 4);
    ready = part(size_t{readyCapacity} * kReadyWords * 4);
    transmit = part(size_t{l.transmit} * kTransmitWords * 4);
    taken = part(kTakenWords * 4);
  }
};

// (journal handle, readyCapacity) → −errno, or everything the TypeScript class keeps.
Napi::Value reactorCreate(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::shared_ptr<Journal> journal = info[0].As<JournalExternal>().Data()->journal;
  if (journal->released()) return Napi::Number::New(env, -EBADF);
  if (journal->users > 0) return Napi::Number::New(env, -EBUSY);
  const uint32_t readyCapacity = wordArgument(info, 1);
  const Layout& l = journal->layout;
  const Parts parts(l, readyCapacity);
  auto block = std::make_shared<Block>(parts.total);
  uint8_t* base = block->memory;
  auto handle = std::make_unique<ReactorHandle>();
  handle->journal = journal;
  handle->block = block;
  handle->reactor =
      std::make_unique<Reactor>(*journal, env.GetInstanceData<AddonState>()->points, readyCapacity);
  Views views;
  views.control = reinterpret_cast<double*>(base + parts.control);
  views.received = reinterpret_cast<uint32_t*>(base + parts.received);
  views.answers = reinterpret_cast<uint32_t*>(base + parts.answers);
  views.ready = reinterpret_cast<int32_t*>(base + parts.ready);
  views.transmit = reinterpret_cast<uint32_t*>(base + parts.transmit);
  views.taken = reinterpret_cast<uint32_t*>(base + parts.taken);
  int result = handle->reactor->start(views);
  if (result != 0) return Napi::Number::New(env, result);

  auto* keep = new std::shared_ptr<Block>(block);
  auto buffer = Napi::ArrayBuffer::New(
      env, base, parts.total, [](Napi::Env, void*, std::shared_ptr<Block>* kept) { delete kept; }, keep);
  Napi::Object o = Napi::Object::New(env);
  o.Set("control", Napi::Float64Array::New(env, kControlLength, buffer, parts.control));
  o.Set("received", Napi::Uint32Array::New(env, l.batch, buffer, parts.received));
  o.Set("answers", Napi::Uint32Array::New(env, size_t{l.batch} * kAnswerWords, buffer, parts.answers));
  o.Set("ready", Napi::Int32Array::New(env, size_t{readyCapacity} * kReadyWords, buffer, parts.ready));
  o.Set("transmit", Napi::Uint32Array::New(env, size_t{l.transmit} * kTransmitWords, buffer, parts.transmit));
  o.Set("taken", Napi::Uint32Array::New(env, kTakenWords, buffer, parts.taken));
  o.Set("wakeFd", Napi::Number::New(env, handle->reactor->wakeFd()));
  o.Set("handle", ReactorExternal::New(env, handle.release(), [](Napi::Env, ReactorHandle* h) { delete h; }));
  return o;
}

// Marks the reactor as inside a call; a code point's function that comes back in gets EBUSY.
class Inside {
 public:
  explicit Inside(Reactor& reactor) : reactor_(reactor), entered_(!reactor.busy && !reactor.closed()) {
    if (entered_) reactor_.busy = true;
  }
  ~Inside() {
    if (entered_) reactor_.busy = false;
  }
  int refusal() const { return entered_ ? 0 : reactor_.closed() ? -EBADF : -EBUSY; }

 private:
  Reactor& reactor_;
  bool entered_;
};

napi_value number(napi_env env, int value) {
  napi_value result = nullptr;
  napi_create_int32(env, value, &result);
  return result;
}

Reactor* reactorOf(const Napi::CallbackInfo& info) { return info[0].As<ReactorExternal>().Data()->reactor.get(); }

// Runs `body` with the reactor if it is open and not in a call already.
template <typename Body>
Napi::Value inside(const Napi::CallbackInfo& info, Body body) {
  Reactor& reactor = *reactorOf(info);
  Inside guard(reactor);
  const int refused = guard.refusal();
  return Napi::Number::New(info.Env(), refused != 0 ? refused : body(reactor));
}

// (handle, transmitCount, timeoutMs)
napi_value step(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  void* data = nullptr;
  int32_t transmitCount = -1;
  int32_t timeoutMs = 0;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok ||
      napi_get_value_external(env, argv[0], &data) != napi_ok ||
      napi_get_value_int32(env, argv[1], &transmitCount) != napi_ok ||
      napi_get_value_int32(env, argv[2], &timeoutMs) != napi_ok) {
    return number(env, -EINVAL);
  }
  Reactor& reactor = *static_cast<ReactorHandle*>(data)->reactor;
  if (transmitCount < 0 || static_cast<uint32_t>(transmitCount) > reactor.journal().layout.transmit) {
    return number(env, -ERANGE);
  }
  Inside guard(reactor);
  const int refused = guard.refusal();
  return number(env, refused != 0 ? refused : reactor.step(static_cast<uint32_t>(transmitCount), timeoutMs));
}

Napi::Value flush(const Napi::CallbackInfo& info) {
  return inside(info, [&](Reactor& r) {
    const int32_t count = intArgument(info, 1);
    if (count < 0 || static_cast<uint32_t>(count) > r.journal().layout.transmit) return -ERANGE;
    r.flush(static_cast<uint32_t>(count));
    return 0;
  });
}

Napi::Value close(const Napi::CallbackInfo& info) {
  Reactor& reactor = *reactorOf(info);
  if (reactor.busy) return Napi::Number::New(info.Env(), -EBUSY);
  reactor.close();
  return Napi::Number::New(info.Env(), 0);
}

Napi::Value addListener(const Napi::CallbackInfo& info) {
  return inside(info, [&](Reactor& r) {
    return r.addListener(intArgument(info, 1), wordArgument(info, 2), boolArgument(info, 3));
  });
}
Napi::Value removeListener(const Napi::CallbackInfo& info) {
  return inside(info, [&](Reactor& r) { return r.removeListener(wordArgument(info, 1)); });
}
Napi::Value setReceiving(const Napi::CallbackInfo& info) {
  return inside(info, [&](Reactor& r) { return r.setReceiving(wordArgument(info, 1), boolArgument(info, 2)); });
}
Napi::Value queuedMs(const Napi::CallbackInfo& info) {
  return inside(info, [&](Reactor& r) { return static_cast<int>(std::min(r.queuedMs(wordArgument(info, 1)), 1e9)); });
}
Napi::Value addUpstream(const Napi::CallbackInfo& info) {
  return inside(info, [&](Reactor& r) {
    return r.addUpstream(intArgument(info, 1), wordArgument(info, 2), boolArgument(info, 3), boolArgument(info, 4));
  });
}
Napi::Value removeUpstream(const Napi::CallbackInfo& info) {
  return inside(info, [&](Reactor& r) { return r.removeUpstream(wordArgument(info, 1)); });
}
Napi::Value watch(const Napi::CallbackInfo& info) {
  return inside(info, [&](Reactor& r) {
    return r.watch(intArgument(info, 1), intArgument(info, 2), wordArgument(info, 3), boolArgument(info, 4));
  });
}
Napi::Value unwatch(const Napi::CallbackInfo& info) {
  return inside(info, [&](Reactor& r) { return r.unwatch(intArgument(info, 1)); });
}
Napi::Value allocateSlot(const Napi::CallbackInfo& info) {
  return inside(info, [&](Reactor& r) {
    const int slot = r.allocateSlot();
    return slot < 0 ? -EAGAIN : slot;
  });
}
Napi::Value freeSlot(const Napi::CallbackInfo& info) {
  return inside(info, [&](Reactor& r) { return r.freeSlot(wordArgument(info, 1)); });
}
Napi::Value setReserve(const Napi::CallbackInfo& info) {
  return inside(info, [&](Reactor& r) {
    r.setReserve(wordArgument(info, 1));
    return 0;
  });
}

// (handle, peer journal handle, slot, listenerBase, ownerGone)
Napi::Value take(const Napi::CallbackInfo& info) {
  return inside(info, [&](Reactor& r) {
    Journal& peer = *info[1].As<JournalExternal>().Data()->journal;
    const uint32_t slot = wordArgument(info, 2);
    if (peer.released()) return -EBADF;
    if (peer.header()->id == r.journal().header()->id) return -EINVAL;
    if (slot >= peer.layout.slots) return -ERANGE;
    return static_cast<int>(r.take(peer, slot, wordArgument(info, 3), boolArgument(info, 4)));
  });
}

// (peer journal handle, Uint32Array rows of [slot, state, received]) → number of slots that are owed to somebody
Napi::Value scan(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Journal& peer = *info[0].As<JournalExternal>().Data()->journal;
  if (peer.released()) return Napi::Number::New(env, -EBADF);
  auto rows = info[1].As<Napi::Uint32Array>();
  const uint32_t capacity = static_cast<uint32_t>(rows.ElementLength() / 3);
  uint32_t count = 0;
  auto add = [&](uint32_t slot, uint32_t state) {
    if (count == capacity) return;
    uint32_t* row = rows.Data() + size_t{count++} * 3;
    row[0] = slot;
    row[1] = state;
    row[2] = state == kArmed ? 1 : 0;
  };
  for (uint32_t slot = 0; slot < peer.layout.slots; slot++) {
    const uint32_t state = loadWord(&peer.states()[slot]) & kStateMask;
    if (state == kWork || state == kSend) add(slot, state);
  }
  for (uint32_t entry = 0; entry < peer.layout.batch; entry++) {
    const uint32_t slot = loadWord(&peer.receiveIndex()[entry]);
    if (slot >= peer.layout.slots || (loadWord(&peer.states()[slot]) & kStateMask) != kArmed) continue;
    if (__atomic_load_n(&peer.receiveHeaders()[entry].msg_len, __ATOMIC_ACQUIRE) != kUnset) add(slot, kArmed);
  }
  return Napi::Number::New(env, count);
}

// (fd): any thread, any environment.
Napi::Value wake(const Napi::CallbackInfo& info) {
  const uint64_t one = 1;
  const ssize_t written = write(intArgument(info, 0), &one, sizeof one);
  // A full counter means that a wake is pending already.
  const int result = written < 0 && errno != EAGAIN ? -errno : 0;
  return Napi::Number::New(info.Env(), result);
}

}  // namespace

void exportReactor(Napi::Env env, Napi::Object exports) {
  napi_value stepFunction = nullptr;
  napi_create_function(env, "step", NAPI_AUTO_LENGTH, step, nullptr, &stepFunction);
  exports.Set("step", Napi::Value(env, stepFunction));
  exports.Set("reactorCreate", Napi::Function::New(env, reactorCreate));
  exports.Set("reactorClose", Napi::Function::New(env, close));
  exports.Set("flush", Napi::Function::New(env, flush));
  exports.Set("addListener", Napi::Function::New(env, addListener));
  exports.Set("removeListener", Napi::Function::New(env, removeListener));
  exports.Set("setReceiving", Napi::Function::New(env, setReceiving));
  exports.Set("queuedMs", Napi::Function::New(env, queuedMs));
  exports.Set("addUpstream", Napi::Function::New(env, addUpstream));
  exports.Set("removeUpstream", Napi::Function::New(env, removeUpstream));
  exports.Set("watch", Napi::Function::New(env, watch));
  exports.Set("unwatch", Napi::Function::New(env, unwatch));
  exports.Set("allocateSlot", Napi::Function::New(env, allocateSlot));
  exports.Set("freeSlot", Napi::Function::New(env, freeSlot));
  exports.Set("setReserve", Napi::Function::New(env, setReserve));
  exports.Set("take", Napi::Function::New(env, take));
  exports.Set("scan", Napi::Function::New(env, scan));
  exports.Set("wake", Napi::Function::New(env, wake));
}

}  // namespace reuseport
