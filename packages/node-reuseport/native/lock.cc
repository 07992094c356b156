// A lock that dies with its holder. Invariant: it belongs to the open file, so no child of this process inherits it.
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bindings.h"

namespace reuseport {

namespace {

constexpr mode_t kOwnerOnly = 0600;

int lockAt(const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos) return -EINVAL;
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, kOwnerOnly);
  if (fd < 0) return -errno;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  const int failed = -errno;
  close(fd);
  return failed;
}

// (path)
Napi::Value lockFile(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), lockAt(textArgument(info, 0))); }

}  // namespace

void exportLock(Napi::Env env, Napi::Object exports) { exports.Set("lockFile", Napi::Function::New(env, lockFile)); }

}  // namespace reuseport
