// Named places in the code at which a test kills or stops this process, or runs a function of its own.
// Invariant: costs one load and one branch while nothing is armed; state belongs to one environment.
#pragma once

#include <napi.h>

#include <cstdint>

namespace reuseport {

enum class Point : uint32_t {
  BeforeReceive,
  AfterReceive,
  MidBatch,
  AfterTake,
  BeforeSend,
  AfterSend,
  StealBeforeSwap,
  StealAfterSwap,
  StealAfterPoison,
  Count,
};

// To this very thread: a signal to the process may be taken by another thread while this one runs on. 0 or -errno.
int signalThisThread(int signal);

class CodePoints {
 public:
  void hit(Point point) {
    if (armed_ != 0 && (armed_ >> static_cast<uint32_t>(point) & 1) != 0) fire(point);
  }
  void armSignal(Point point, uint32_t countdown, int signal);
  void armCallback(Point point, uint32_t countdown, Napi::Function callback);
  void disarm();

 private:
  struct Entry {
    uint32_t countdown = 0;
    int signal = 0;
    Napi::FunctionReference callback;
  };
  void fire(Point point);

  uint32_t armed_ = 0;
  Entry entries_[static_cast<uint32_t>(Point::Count)];
};

// Per environment (each worker thread has its own): what the addon keeps between calls.
struct AddonState {
  CodePoints points;
};

}  // namespace reuseport
