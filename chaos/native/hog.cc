// hog PROCS_FILE MEGABYTES: joins the cgroup, takes that much memory and keeps it until SIGTERM. A neighbour in the same container that eats the memory.
#include <sys/mman.h>
#include <unistd.h>

#include "common.h"

namespace {

void writeTo(const char* path, const std::string& text) {
  FILE* file = fopen(path, "w");
  if (file == nullptr || fputs(text.c_str(), file) < 0 || fclose(file) != 0) bench::die(path);
}

}  // namespace

int main(int argc, char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (argc != 3) {
    fprintf(stderr, "usage: hog PROCS_FILE MEGABYTES\n");
    return 64;
  }
  writeTo(argv[1], std::to_string(getpid()));
  const size_t bytes = static_cast<size_t>(atoi(argv[2])) << 20;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) bench::die("mmap");
  memset(memory, 1, bytes);
  printf("ready\n");
  fflush(stdout);
  pause();
}
