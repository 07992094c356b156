// The addon's entry: one AddonState per environment, and the journal's and code points' calls.
#include "bindings.h"
#include "code-points.h"

#include <errno.h>
#include <signal.h>

namespace reuseport {

namespace {

Napi::Object failure(Napi::Env env, int error, const char* problem) {
  Napi::Object o = Napi::Object::New(env);
  o.Set("errno", Napi::Number::New(env, error));
  o.Set("problem", Napi::String::New(env, problem));
  return o;
}

Napi::Value finish(Napi::Env env, std::shared_ptr<Journal> journal, int result) {
  if (result != 0) return failure(env, -result, journal->problem);
  const Layout& l = journal->layout;
  Napi::Object o = Napi::Object::New(env);
  auto set = [&](const char* name, double value) { o.Set(name, Napi::Number::New(env, value)); };
  set("fd", journal->fd);
  set("version", l.version);
  set("slots", l.slots);
  set("batch", l.batch);
  set("transmit", l.transmit);
  set("totalBytes", static_cast<double>(l.totalBytes));
  set("stateOffset", static_cast<double>(l.stateOffset));
  set("slotOffset", static_cast<double>(l.slotOffset));
  set("answerOffset", static_cast<double>(l.answerOffset));
  set("scratchOffset", static_cast<double>(l.scratchOffset));
  set("extraOffset", static_cast<double>(l.extraOffset));
  set("extraBytes", l.extraBytes);
  set("receiveIndexOffset", static_cast<double>(l.receiveIndexOffset));
  set("receiveHeaderOffset", static_cast<double>(l.receiveHeaderOffset));
  set("transmitHeaderOffset", static_cast<double>(l.transmitHeaderOffset));
  set("transmitRecordOffset", static_cast<double>(l.transmitRecordOffset));
  set("heartbeatOffset", offsetof(Header, heartbeatNs));
  set("cursorOffset", offsetof(Header, cursor));
  set("stopOffset", offsetof(Header, stop));
  set("epochOffset", offsetof(Header, epoch));
  set("ownerPidOffset", offsetof(Header, ownerPid));
  set("idOffset", offsetof(Header, id));
  set("countersOffset", offsetof(Header, received));
  o.Set("locked", Napi::Boolean::New(env, journal->locked));
  // Over the mapping itself; nothing is freed with it, release() does that.
  o.Set("buffer", Napi::ArrayBuffer::New(env, journal->base, l.totalBytes, [](Napi::Env, void*) {}));
  o.Set("handle", JournalExternal::New(env, new JournalHandle{std::move(journal)},
                                       [](Napi::Env, JournalHandle* handle) { delete handle; }));
  return o;
}

Napi::Value journalCreate(const Napi::CallbackInfo& info) {
  auto journal = std::make_shared<Journal>();
  int result = journal->create(wordArgument(info, 0), wordArgument(info, 1), wordArgument(info, 2),
                               wordArgument(info, 3), wordArgument(info, 4));
  return finish(info.Env(), std::move(journal), result);
}

Napi::Value journalOpen(const Napi::CallbackInfo& info) {
  auto journal = std::make_shared<Journal>();
  int result = journal->open(intArgument(info, 0));
  return finish(info.Env(), std::move(journal), result);
}

// (handle, buffer): detaches the buffer, then unmaps.
Napi::Value journalRelease(const Napi::CallbackInfo& info) {
  Journal& journal = *info[0].As<JournalExternal>().Data()->journal;
  if (journal.users > 0) return Napi::Number::New(info.Env(), -EBUSY);
  if (journal.released()) return Napi::Number::New(info.Env(), 0);
  auto buffer = info[1].As<Napi::ArrayBuffer>();
  if (napi_detach_arraybuffer(info.Env(), buffer) != napi_ok) return Napi::Number::New(info.Env(), -EBUSY);
  journal.release();
  return Napi::Number::New(info.Env(), 0);
}

Napi::Value dyingInto(const Napi::CallbackInfo& info) {
  Journal& journal = *info[0].As<JournalExternal>().Data()->journal;
  if (journal.released()) return Napi::Number::New(info.Env(), -EBADF);
  return Napi::Number::New(info.Env(), sayWhenDying(&journal));
}

Napi::Value now(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(bootTimeNs()) / 1e6);
}

// (point, countdown, signal) or (point, countdown, function)
Napi::Value armPoint(const Napi::CallbackInfo& info) {
  const uint32_t index = wordArgument(info, 0);
  if (index >= static_cast<uint32_t>(Point::Count)) return Napi::Number::New(info.Env(), -EINVAL);
  CodePoints& points = info.Env().GetInstanceData<AddonState>()->points;
  const uint32_t countdown = wordArgument(info, 1);
  if (info[2].IsFunction()) {
    points.armCallback(static_cast<Point>(index), countdown, info[2].As<Napi::Function>());
  } else {
    points.armSignal(static_cast<Point>(index), countdown, intArgument(info, 2));
  }
  return Napi::Number::New(info.Env(), 0);
}

Napi::Value disarmPoints(const Napi::CallbackInfo& info) {
  info.Env().GetInstanceData<AddonState>()->points.disarm();
  return info.Env().Undefined();
}

// (signal)
Napi::Value signalThread(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), signalThisThread(intArgument(info, 0)));
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new AddonState());
  exports.Set("journalCreate", Napi::Function::New(env, journalCreate));
  exports.Set("journalOpen", Napi::Function::New(env, journalOpen));
  exports.Set("journalRelease", Napi::Function::New(env, journalRelease));
  exports.Set("sayWhenDying", Napi::Function::New(env, dyingInto));
  exports.Set("bootTimeMs", Napi::Function::New(env, now));
  exports.Set("armPoint", Napi::Function::New(env, armPoint));
  exports.Set("disarmPoints", Napi::Function::New(env, disarmPoints));
  exports.Set("signalThread", Napi::Function::New(env, signalThread));
  exportSocket(env, exports);
  exportTcp(env, exports);
  exportConntrack(env, exports);
  exportLock(env, exports);
  exportNetlink(env, exports);
  exportThread(env, exports);
  exportUnix(env, exports);
  exportReactor(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(node_reuseport, init)

}  // namespace reuseport
