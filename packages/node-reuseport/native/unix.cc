// Unix sockets: listen, connect, messages that carry file descriptors, who is at the other end.
// Invariant: a descriptor that arrives is close-on-exec from the start, and is either handed out or closed.
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "bindings.h"

namespace reuseport {

namespace {

constexpr uint32_t kFdsMax = 253;  // SCM_MAX_FD
constexpr uint32_t kMessageBytesMax = 1 << 20;

Napi::Value number(const Napi::CallbackInfo& info, int value) { return Napi::Number::New(info.Env(), value); }

int pathName(const std::string& path, sockaddr_un* into) {
  memset(into, 0, sizeof *into);
  into->sun_family = AF_UNIX;
  if (path.empty() || path.find('\0') != std::string::npos) return -EINVAL;
  if (path.size() >= sizeof into->sun_path) return -ENAMETOOLONG;
  memcpy(into->sun_path, path.data(), path.size());
  return 0;
}

int openUnix(bool stream) {
  const int fd = socket(AF_UNIX, (stream ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return fd < 0 ? -errno : fd;
}

int listenAt(const std::string& path, mode_t mode, bool stream) {
  sockaddr_un name;
  int failed = pathName(path, &name);
  if (failed != 0) return failed;
  const int fd = openUnix(stream);
  if (fd < 0) return fd;
  // The inode takes the socket's own mode (less the umask), so there is no moment of wider access.
  if (fchmod(fd, mode) != 0 || bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) != 0 ||
      chmod(path.c_str(), mode) != 0 || listen(fd, 64) != 0) {
    failed = -errno;
    close(fd);
    return failed;
  }
  return fd;
}

// (path, mode, stream)
Napi::Value listenUnix(const Napi::CallbackInfo& info) {
  return number(info, listenAt(textArgument(info, 0), static_cast<mode_t>(intArgument(info, 1)), boolArgument(info, 2)));
}

// (path, stream)
Napi::Value connectUnix(const Napi::CallbackInfo& info) {
  sockaddr_un name;
  int failed = pathName(textArgument(info, 0), &name);
  if (failed != 0) return number(info, failed);
  const int fd = openUnix(boolArgument(info, 1));
  if (fd < 0) return number(info, fd);
  if (connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) != 0) {
    failed = -errno;
    close(fd);
    return number(info, failed);
  }
  return number(info, fd);
}

// (stream) → [fd, fd]
Napi::Value unixSocketPair(const Napi::CallbackInfo& info) {
  int fds[2];
  const int type = boolArgument(info, 0) ? SOCK_STREAM : SOCK_SEQPACKET;
  if (socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) return number(info, -errno);
  Napi::Array pair = Napi::Array::New(info.Env(), 2);
  pair.Set(0u, Napi::Number::New(info.Env(), fds[0]));
  pair.Set(1u, Napi::Number::New(info.Env(), fds[1]));
  return pair;
}

// (fd, Uint8Array, fds[]) → bytes sent
Napi::Value sendWithFds(const Napi::CallbackInfo& info) {
  if (!info[1].IsTypedArray() || !info[2].IsArray()) return number(info, -EINVAL);
  const size_t length = info[1].As<Napi::TypedArray>().ByteLength();
  uint8_t* data = bytesArgument(info, 1, 0, static_cast<int64_t>(length));
  Napi::Array list = info[2].As<Napi::Array>();
  const uint32_t count = list.Length();
  // An empty message would look like the end of the stream.
  if (data == nullptr || length == 0 || count > kFdsMax) return number(info, -EINVAL);
  std::vector<int> fds(count);
  for (uint32_t i = 0; i < count; i++) {
    Napi::Value fd = list.Get(i);
    fds[i] = fd.IsNumber() ? fd.As<Napi::Number>().Int32Value() : -1;
  }
  alignas(cmsghdr) uint8_t control[CMSG_SPACE(kFdsMax * sizeof(int))];
  iovec vector = {data, length};
  msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    memset(control, 0, message.msg_controllen);
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(c), fds.data(), count * sizeof(int));
  }
  const ssize_t sent = sendmsg(intArgument(info, 0), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  return number(info, sent < 0 ? -errno : static_cast<int>(sent));
}

void collectFds(msghdr& message, uint32_t maximum, std::vector<int>* fds, bool* lost) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      if (fds->size() < maximum) {
        fds->push_back(fd);
      } else {
        close(fd);
        *lost = true;
      }
    }
  }
}

// (fd, maxBytes, maxFds) → null (nothing there), −errno, or {data, fds, truncated, fdsLost, end}
Napi::Value receiveWithFds(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const uint32_t maxBytes = wordArgument(info, 1);
  const uint32_t maxFds = wordArgument(info, 2);
  if (maxBytes == 0 || maxBytes > kMessageBytesMax || maxFds > kFdsMax) return number(info, -EINVAL);
  std::vector<uint8_t> data(maxBytes);
  alignas(cmsghdr) uint8_t control[CMSG_SPACE(kFdsMax * sizeof(int))];
  iovec vector = {data.data(), data.size()};
  msghdr message = {};
  ssize_t got = -1;
  // A peer that died with unread data makes the first read say ECONNRESET, before the messages that are queued:
  // the second read has them, or the end.
  for (int attempt = 0; attempt < 2 && got < 0; attempt++) {
    message = {};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    got = recvmsg(intArgument(info, 0), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0 && errno != ECONNRESET && errno != EINTR) break;
  }
  if (got < 0) return errno == EAGAIN ? env.Null() : number(info, -errno);
  std::vector<int> fds;
  bool lost = (message.msg_flags & MSG_CTRUNC) != 0;
  collectFds(message, maxFds, &fds, &lost);
  Napi::Object o = Napi::Object::New(env);
  Napi::Uint8Array bytes = Napi::Uint8Array::New(env, static_cast<size_t>(got));
  // A thread that is being ended is given nothing to write to.
  if (got > 0 && (bytes.IsEmpty() || bytes.Data() == nullptr)) {
    for (const int fd : fds) close(fd);
    return number(info, -ECANCELED);
  }
  if (got > 0) memcpy(bytes.Data(), data.data(), static_cast<size_t>(got));
  Napi::Array list = Napi::Array::New(env, fds.size());
  for (uint32_t i = 0; i < fds.size(); i++) list.Set(i, Napi::Number::New(env, fds[i]));
  o.Set("data", bytes);
  o.Set("fds", list);
  o.Set("truncated", Napi::Boolean::New(env, lost || (message.msg_flags & MSG_TRUNC) != 0));
  o.Set("fdsLost", Napi::Boolean::New(env, lost));
  o.Set("end", Napi::Boolean::New(env, got == 0));
  return o;
}

Napi::Value peerCredentials(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  ucred who = {};
  socklen_t bytes = sizeof who;
  if (getsockopt(intArgument(info, 0), SOL_SOCKET, SO_PEERCRED, &who, &bytes) != 0) return number(info, -errno);
  Napi::Object o = Napi::Object::New(env);
  o.Set("pid", Napi::Number::New(env, who.pid));
  o.Set("uid", Napi::Number::New(env, who.uid));
  o.Set("gid", Napi::Number::New(env, who.gid));
  return o;
}

}  // namespace

void exportUnix(Napi::Env env, Napi::Object exports) {
  exports.Set("listenUnix", Napi::Function::New(env, listenUnix));
  exports.Set("connectUnix", Napi::Function::New(env, connectUnix));
  exports.Set("unixSocketPair", Napi::Function::New(env, unixSocketPair));
  exports.Set("sendWithFds", Napi::Function::New(env, sendWithFds));
  exports.Set("receiveWithFds", Napi::Function::New(env, receiveWithFds));
  exports.Set("peerCredentials", Napi::Function::New(env, peerCredentials));
}

}  // namespace reuseport
