// The scheduling of the calling thread. Nothing here needs a capability.
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bindings.h"

namespace reuseport {

namespace {

// As the kernel's sched_attr, first version (sched_setattr(2)); its header cannot stand beside older C libraries' sched.h.
struct SchedulerAttributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime;
  uint64_t deadline;
  uint64_t period;
};

int readAttributes(SchedulerAttributes* attributes) {
  *attributes = {};
  return syscall(SYS_sched_getattr, 0, attributes, sizeof(*attributes), 0) == 0 ? 0 : -errno;
}

// (nanoseconds)
Napi::Value setThreadSlice(const Napi::CallbackInfo& info) {
  SchedulerAttributes attributes;
  int result = readAttributes(&attributes);
  if (result == 0) {
    attributes.runtime = wordArgument(info, 0);
    result = syscall(SYS_sched_setattr, 0, &attributes, 0) == 0 ? 0 : -errno;
  }
  return Napi::Number::New(info.Env(), result);
}

Napi::Value threadSlice(const Napi::CallbackInfo& info) {
  SchedulerAttributes attributes;
  const int result = readAttributes(&attributes);
  return Napi::Number::New(info.Env(), result == 0 ? static_cast<double>(attributes.runtime) : result);
}

}  // namespace

void exportThread(Napi::Env env, Napi::Object exports) {
  exports.Set("setThreadSlice", Napi::Function::New(env, setThreadSlice));
  exports.Set("threadSlice", Napi::Function::New(env, threadSlice));
}

}  // namespace reuseport
