// Sockets: open with options, bind, names. Every call returns a number, −errno on refusal.
// Knows nothing of journals.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/in6.h>

#include <cstring>

#include "bindings.h"

#ifndef SO_RCVMARK
#define SO_RCVMARK 75
#endif

namespace reuseport {

namespace {

Napi::Number result(const Napi::CallbackInfo& info, int value) { return Napi::Number::New(info.Env(), value < 0 ? -errno : value); }

// (type 'udp' = 0 | 'tcp' = 1, family 4 | 6) → fd
Napi::Value openSocket(const Napi::CallbackInfo& info) {
  const int family = intArgument(info, 1) == 6 ? AF_INET6 : AF_INET;
  const int type = intArgument(info, 0) == 1 ? SOCK_STREAM : SOCK_DGRAM;
  return result(info, socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

struct Option {
  const char* name;
  int levelFour, optionFour, levelSix, optionSix;
};

constexpr Option kOptions[] = {
    {"reusePort", SOL_SOCKET, SO_REUSEPORT, SOL_SOCKET, SO_REUSEPORT},
    {"reuseAddress", SOL_SOCKET, SO_REUSEADDR, SOL_SOCKET, SO_REUSEADDR},
    {"transparent", IPPROTO_IP, IP_TRANSPARENT, IPPROTO_IPV6, IPV6_TRANSPARENT},
    {"packetInfo", IPPROTO_IP, IP_PKTINFO, IPPROTO_IPV6, IPV6_RECVPKTINFO},
    {"originalDestination", IPPROTO_IP, IP_RECVORIGDSTADDR, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR},
    {"receiveMark", SOL_SOCKET, SO_RCVMARK, SOL_SOCKET, SO_RCVMARK},
    {"mark", SOL_SOCKET, SO_MARK, SOL_SOCKET, SO_MARK},
    {"sendBufferBytes", SOL_SOCKET, SO_SNDBUF, SOL_SOCKET, SO_SNDBUF},
    {"v6Only", IPPROTO_IPV6, IPV6_V6ONLY, IPPROTO_IPV6, IPV6_V6ONLY},
};

// (fd, family, option name, value) → 0
Napi::Value setOption(const Napi::CallbackInfo& info) {
  const int fd = intArgument(info, 0);
  const bool six = intArgument(info, 1) == 6;
  const std::string name = textArgument(info, 2);
  const int value = intArgument(info, 3);
  if (name == "receiveBufferBytes") {
    // The forced form may pass net.core.rmem_max and needs a privilege; without it the usual one, capped.
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &value, sizeof value) == 0) return result(info, 0);
    return result(info, setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, sizeof value));
  }
  for (const Option& option : kOptions) {
    if (name != option.name) continue;
    return result(info, setsockopt(fd, six ? option.levelSix : option.levelFour,
                                   six ? option.optionSix : option.optionFour, &value, sizeof value));
  }
  errno = EINVAL;
  return result(info, -1);
}

bool parse(const std::string& text, int port, sockaddr_storage* into, socklen_t* bytes) {
  memset(into, 0, sizeof *into);
  auto* four = reinterpret_cast<sockaddr_in*>(into);
  auto* six = reinterpret_cast<sockaddr_in6*>(into);
  if (inet_pton(AF_INET, text.c_str(), &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(static_cast<uint16_t>(port));
    *bytes = sizeof *four;
    return true;
  }
  if (inet_pton(AF_INET6, text.c_str(), &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(static_cast<uint16_t>(port));
    *bytes = sizeof *six;
    return true;
  }
  return false;
}

template <typename Call>
Napi::Value withAddress(const Napi::CallbackInfo& info, Call call) {
  sockaddr_storage name;
  socklen_t bytes = 0;
  if (!parse(textArgument(info, 1), intArgument(info, 2), &name, &bytes)) {
    errno = EINVAL;
    return result(info, -1);
  }
  return result(info, call(intArgument(info, 0), reinterpret_cast<sockaddr*>(&name), bytes));
}

Napi::Value bindSocket(const Napi::CallbackInfo& info) {
  return withAddress(info, [](int fd, sockaddr* name, socklen_t bytes) { return bind(fd, name, bytes); });
}
Napi::Value connectSocket(const Napi::CallbackInfo& info) {
  return withAddress(info, [](int fd, sockaddr* name, socklen_t bytes) { return connect(fd, name, bytes); });
}
Napi::Value listenSocket(const Napi::CallbackInfo& info) {
  return result(info, listen(intArgument(info, 0), intArgument(info, 1)));
}

Napi::Value nameOf(const Napi::CallbackInfo& info, int (*call)(int, sockaddr*, socklen_t*)) {
  Napi::Env env = info.Env();
  sockaddr_storage name = {};
  socklen_t bytes = sizeof name;
  if (call(intArgument(info, 0), reinterpret_cast<sockaddr*>(&name), &bytes) != 0) return result(info, -1);
  char text[INET6_ADDRSTRLEN] = "";
  int port = 0;
  int family = 0;
  if (name.ss_family == AF_INET) {
    auto& four = reinterpret_cast<sockaddr_in&>(name);
    inet_ntop(AF_INET, &four.sin_addr, text, sizeof text);
    port = ntohs(four.sin_port);
    family = 4;
  } else if (name.ss_family == AF_INET6) {
    auto& six = reinterpret_cast<sockaddr_in6&>(name);
    inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof text);
    port = ntohs(six.sin6_port);
    family = 6;
  } else {
    errno = EAFNOSUPPORT;
    return result(info, -1);
  }
  Napi::Object o = Napi::Object::New(env);
  o.Set("address", Napi::String::New(env, text));
  o.Set("port", Napi::Number::New(env, port));
  o.Set("family", Napi::Number::New(env, family));
  return o;
}

Napi::Value localAddress(const Napi::CallbackInfo& info) { return nameOf(info, getsockname); }
Napi::Value remoteAddress(const Napi::CallbackInfo& info) { return nameOf(info, getpeername); }
Napi::Value closeFd(const Napi::CallbackInfo& info) { return result(info, close(intArgument(info, 0))); }
Napi::Value shutdownFd(const Napi::CallbackInfo& info) {
  return result(info, shutdown(intArgument(info, 0), intArgument(info, 1)));
}

// (fd) → 1: a stream socket that listens
Napi::Value isListening(const Napi::CallbackInfo& info) {
  int listens = 0;
  socklen_t bytes = sizeof listens;
  const int got = getsockopt(intArgument(info, 0), SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes);
  return result(info, got < 0 ? -1 : listens);
}

// (fd, milliseconds) → 1: bytes can be written, or an attempt tells at once why not; 0: not within that time
Napi::Value awaitWritable(const Napi::CallbackInfo& info) {
  pollfd writable = {intArgument(info, 0), POLLOUT, 0};
  return result(info, poll(&writable, 1, intArgument(info, 1)));
}

Napi::Value socketError(const Napi::CallbackInfo& info) {
  int error = 0;
  socklen_t bytes = sizeof error;
  const int got = getsockopt(intArgument(info, 0), SOL_SOCKET, SO_ERROR, &error, &bytes);
  return result(info, got < 0 ? -1 : error);
}

}  // namespace

void exportSocket(Napi::Env env, Napi::Object exports) {
  exports.Set("openSocket", Napi::Function::New(env, openSocket));
  exports.Set("setOption", Napi::Function::New(env, setOption));
  exports.Set("bindSocket", Napi::Function::New(env, bindSocket));
  exports.Set("connectSocket", Napi::Function::New(env, connectSocket));
  exports.Set("listenSocket", Napi::Function::New(env, listenSocket));
  exports.Set("localAddress", Napi::Function::New(env, localAddress));
  exports.Set("remoteAddress", Napi::Function::New(env, remoteAddress));
  exports.Set("closeFd", Napi::Function::New(env, closeFd));
  exports.Set("shutdownFd", Napi::Function::New(env, shutdownFd));
  exports.Set("isListening", Napi::Function::New(env, isListening));
  exports.Set("awaitWritable", Napi::Function::New(env, awaitWritable));
  exports.Set("socketError", Napi::Function::New(env, socketError));
}

}  // namespace reuseport
