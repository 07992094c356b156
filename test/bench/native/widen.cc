// Gives every UDP socket of a process (--pid) the receive buffer that Tandem and the relay have, as an administrator does by
// net.core.rmem_default, but for this process alone: the kernel's default holds fewer datagrams than the load has open. Prints how many.
// Needs root.
#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common.h"

int main(int argc, char** argv) {
  const bench::Options options(argc, argv, {{"pid", ""}});
  const long pid = options.number("pid", 1, 1L << 22);
  const auto process = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (process < 0) bench::die("pidfd_open");
  const std::string folder = "/proc/" + std::to_string(pid) + "/fd";
  DIR* entries = opendir(folder.c_str());
  if (entries == nullptr) bench::die(folder);
  int widened = 0;
  for (const dirent* entry = readdir(entries); entry != nullptr; entry = readdir(entries)) {
    char link[64];
    const ssize_t length = readlink((folder + "/" + entry->d_name).c_str(), link, sizeof(link));
    if (length < 7 || strncmp(link, "socket:", 7) != 0) continue;
    const auto fd = static_cast<int>(syscall(SYS_pidfd_getfd, process, atoi(entry->d_name), 0));
    if (fd < 0) bench::die("pidfd_getfd");
    int type = 0;
    int domain = 0;
    socklen_t size = sizeof(int);
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
    const int bytes = bench::kReceiveBufferBytes;
    if (type == SOCK_DGRAM && (domain == AF_INET || domain == AF_INET6)) {
      if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0) bench::die("SO_RCVBUFFORCE");
      widened++;
    }
    close(fd);
  }
  printf("%d\n", widened);
  return 0;
}
