// Fires armed code points. Knows nothing of what the code around them does.
#include "code-points.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace reuseport {

int signalThisThread(int signal) {
  return syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal) == 0 ? 0 : -errno;
}

void CodePoints::armSignal(Point point, uint32_t countdown, int signal) {
  Entry& entry = entries_[static_cast<uint32_t>(point)];
  entry.countdown = countdown;
  entry.signal = signal;
  entry.callback.Reset();
  armed_ |= 1u << static_cast<uint32_t>(point);
}

void CodePoints::armCallback(Point point, uint32_t countdown, Napi::Function callback) {
  Entry& entry = entries_[static_cast<uint32_t>(point)];
  entry.countdown = countdown;
  entry.signal = 0;
  entry.callback = Napi::Persistent(callback);
  armed_ |= 1u << static_cast<uint32_t>(point);
}

void CodePoints::disarm() {
  armed_ = 0;
  for (Entry& entry : entries_) entry.callback.Reset();
}

void CodePoints::fire(Point point) {
  Entry& entry = entries_[static_cast<uint32_t>(point)];
  if (entry.countdown > 1) {
    entry.countdown--;
    return;
  }
  armed_ &= ~(1u << static_cast<uint32_t>(point));
  if (entry.signal != 0) {
    signalThisThread(entry.signal);
    return;
  }
  if (entry.callback.IsEmpty()) return;
  Napi::Env env = entry.callback.Env();
  Napi::HandleScope scope(env);
  if (env.IsExceptionPending()) return;
  entry.callback.Value().Call({});
}

}  // namespace reuseport
