// signal-thread PID TID SIGNAL: sends a signal to one thread of a process. A stop that is sent to the process may be
// taken by another thread while the one that matters runs on for a while.
#include <sys/syscall.h>
#include <unistd.h>

#include "common.h"

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: signal-thread PID TID SIGNAL\n");
    return 64;
  }
  if (syscall(SYS_tgkill, atoi(argv[1]), atoi(argv[2]), atoi(argv[3])) != 0) bench::die("tgkill");
  return 0;
}
