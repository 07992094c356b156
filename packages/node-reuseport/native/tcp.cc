// Calls on connected stream sockets: accept, peek, consume, send, progress. Every call returns a number, −errno on
// refusal, and never blocks.
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/in6.h>

#include <cstring>

#include "bindings.h"

namespace reuseport {

namespace {

// tcpi_state; <netinet/tcp.h>, which has the names, cannot be included beside <linux/tcp.h>.
constexpr uint8_t kEstablished = 1;
constexpr uint8_t kCloseWait = 8;
constexpr uint8_t kLastAck = 9;
constexpr uint8_t kClosing = 11;

// Two tries are nearly always enough: each takes about a microsecond.
constexpr uint32_t kProgressTries = 1000;

template <typename Number>
Napi::Value result(const Napi::CallbackInfo& info, Number value) {
  return Napi::Number::New(info.Env(), value < 0 ? -errno : static_cast<double>(value));
}

Napi::Value acceptConnection(const Napi::CallbackInfo& info) {
  const int fd = accept4(intArgument(info, 0), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return result(info, -1);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // refused by Unix sockets, which need it not
  return result(info, fd);
}

// Control data of the handshake, kept by the kernel when packet info is set on the listener.
Napi::Value connectionInterface(const Napi::CallbackInfo& info) {
  const int fd = intArgument(info, 0);
  struct Source {
    int level, option, type;
  };
  constexpr Source kSources[] = {{IPPROTO_IP, IP_PKTOPTIONS, IP_PKTINFO},
                                 {IPPROTO_IPV6, IPV6_2292PKTOPTIONS, IPV6_PKTINFO},
                                 {IPPROTO_IPV6, IPV6_2292PKTOPTIONS, IPV6_2292PKTINFO}};
  for (const Source& source : kSources) {
    alignas(cmsghdr) uint8_t control[512];
    socklen_t bytes = sizeof control;
    if (getsockopt(fd, source.level, source.option, control, &bytes) != 0) continue;
    msghdr message = {};
    message.msg_control = control;
    message.msg_controllen = bytes;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != source.level || c->cmsg_type != source.type) continue;
      if (source.level == IPPROTO_IP) {
        in_pktinfo packet;
        memcpy(&packet, CMSG_DATA(c), sizeof packet);
        return Napi::Number::New(info.Env(), packet.ipi_ifindex);
      }
      in6_pktinfo packet;
      memcpy(&packet, CMSG_DATA(c), sizeof packet);
      return Napi::Number::New(info.Env(), packet.ipi6_ifindex);
    }
  }
  return Napi::Number::New(info.Env(), 0);
}

// (fd, Uint8Array, offset, length, peek)
Napi::Value receiveInto(const Napi::CallbackInfo& info) {
  const int32_t offset = intArgument(info, 2);
  const int32_t length = intArgument(info, 3);
  uint8_t* into = bytesArgument(info, 1, offset, length);
  if (into == nullptr) return Napi::Number::New(info.Env(), -EFAULT);
  const int flags = MSG_DONTWAIT | (boolArgument(info, 4) ? MSG_PEEK : 0);
  return result(info, recv(intArgument(info, 0), into, static_cast<size_t>(length), flags));
}

Napi::Value discard(const Napi::CallbackInfo& info) {
  const int32_t length = intArgument(info, 1);
  if (length < 0) return Napi::Number::New(info.Env(), -EINVAL);
  // On TCP, MSG_TRUNC throws the bytes away without copying them.
  return result(info, recv(intArgument(info, 0), nullptr, static_cast<size_t>(length), MSG_DONTWAIT | MSG_TRUNC));
}

// (fd, Uint8Array, offset, length)
Napi::Value sendFrom(const Napi::CallbackInfo& info) {
  const int32_t offset = intArgument(info, 2);
  const int32_t length = intArgument(info, 3);
  const uint8_t* from = bytesArgument(info, 1, offset, length);
  if (from == nullptr) return Napi::Number::New(info.Env(), -EFAULT);
  return result(info, send(intArgument(info, 0), from, static_cast<size_t>(length), MSG_DONTWAIT | MSG_NOSIGNAL));
}

bool readInfo(int fd, tcp_info* state) {
  socklen_t bytes = sizeof *state;
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, state, &bytes) == 0;
}

// The numbers come from three calls, and the client goes on meanwhile: only those with nothing in between belong together.
Napi::Value tcpProgress(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = intArgument(info, 0);
  tcp_info state = {};
  tcp_info before = {};
  int unsent = 0;
  int unread = 0;
  if (!readInfo(fd, &state)) return result(info, -1);
  uint32_t tries = 0;
  do {
    if (tries++ == kProgressTries) return Napi::Number::New(env, -EBUSY);
    before = state;
    if (ioctl(fd, SIOCOUTQ, &unsent) != 0 || ioctl(fd, SIOCINQ, &unread) != 0 || !readInfo(fd, &state)) return result(info, -1);
  } while (before.tcpi_bytes_acked != state.tcpi_bytes_acked || before.tcpi_bytes_received != state.tcpi_bytes_received);
  // The kernel counts the client's FIN as a byte received, though not as one unread.
  const bool hasFin = state.tcpi_state == kCloseWait || state.tcpi_state == kLastAck || state.tcpi_state == kClosing;
  Napi::Object o = Napi::Object::New(env);
  o.Set("isHalfClosed", Napi::Boolean::New(env, state.tcpi_state != kEstablished));
  o.Set("received", Napi::Number::New(env, static_cast<double>(state.tcpi_bytes_received) - (hasFin ? 1 : 0)));
  o.Set("unread", Napi::Number::New(env, unread));
  o.Set("bytesAcked", Napi::Number::New(env, static_cast<double>(state.tcpi_bytes_acked)));
  o.Set("unsent", Napi::Number::New(env, unsent));
  return o;
}

Napi::Value setReceiveLowWater(const Napi::CallbackInfo& info) {
  const int32_t bytes = intArgument(info, 1);
  return result(info, setsockopt(intArgument(info, 0), SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes));
}

// Whoever else holds a duplicate finds the connection gone, too, which closing would not do.
Napi::Value resetConnection(const Napi::CallbackInfo& info) {
  sockaddr nowhere = {};
  nowhere.sa_family = AF_UNSPEC;
  return result(info, connect(intArgument(info, 0), &nowhere, sizeof nowhere));
}

}  // namespace

void exportTcp(Napi::Env env, Napi::Object exports) {
  exports.Set("acceptConnection", Napi::Function::New(env, acceptConnection));
  exports.Set("connectionInterface", Napi::Function::New(env, connectionInterface));
  exports.Set("receiveInto", Napi::Function::New(env, receiveInto));
  exports.Set("discard", Napi::Function::New(env, discard));
  exports.Set("sendFrom", Napi::Function::New(env, sendFrom));
  exports.Set("setReceiveLowWater", Napi::Function::New(env, setReceiveLowWater));
  exports.Set("resetConnection", Napi::Function::New(env, resetConnection));
  exports.Set("tcpProgress", Napi::Function::New(env, tcpProgress));
}

}  // namespace reuseport
