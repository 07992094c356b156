// The floor that a proxy is measured against: a relay that does nothing but move datagrams and rewrite IDs, in batches,
// through one listening socket and one upstream socket. No policy, no check of the answer, no time-out: an entry of the
// in-flight table lives until its ID comes round again. Prints `ready PORT`.
#include <poll.h>

#include "common.h"

namespace {

using bench::Batch;
using bench::kBatch;

struct InFlight {
  sockaddr_storage client;
  socklen_t clientLength;
  uint16_t clientId;
};

InFlight inFlight[65536];
uint16_t nextId = 1;
Batch batch;

void forwardQueries(int listener, int upstream) {
  batch.armForReceive(true);
  const int count = recvmmsg(listener, batch.headers, kBatch, MSG_DONTWAIT, nullptr);
  int out = 0;
  for (int i = 0; i < count; i++) {
    const unsigned length = batch.headers[i].msg_len;
    if (length < bench::kHeaderBytes) continue;
    InFlight& entry = inFlight[++nextId];
    entry.client = batch.names[i];
    entry.clientLength = batch.headers[i].msg_hdr.msg_namelen;
    entry.clientId = bench::load16(batch.bytes[i]);
    bench::store16(batch.bytes[i], nextId);
    batch.vectors[i].iov_len = length;
    batch.headers[out] = batch.headers[i];
    batch.headers[out].msg_hdr.msg_name = nullptr;
    batch.headers[out++].msg_hdr.msg_namelen = 0;
  }
  if (out > 0) bench::sendAll(upstream, batch.headers, out);
}

void returnAnswers(int listener, int upstream) {
  batch.armForReceive(false);
  const int count = recvmmsg(upstream, batch.headers, kBatch, MSG_DONTWAIT, nullptr);
  int out = 0;
  for (int i = 0; i < count; i++) {
    const unsigned length = batch.headers[i].msg_len;
    if (length < bench::kHeaderBytes) continue;
    InFlight& entry = inFlight[bench::load16(batch.bytes[i])];
    if (entry.clientLength == 0) continue;
    bench::store16(batch.bytes[i], entry.clientId);
    batch.vectors[i].iov_len = length;
    batch.headers[out] = batch.headers[i];
    batch.headers[out].msg_hdr.msg_name = &entry.client;
    batch.headers[out++].msg_hdr.msg_namelen = entry.clientLength;
  }
  if (out > 0) bench::sendAll(listener, batch.headers, out);
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options(argc, argv, {{"listen", "127.0.0.1:0"}, {"upstream", ""}, {"pin", "-1"}});
  bench::pinTo(options.number("pin", -1, 1023));
  const bench::Address server = bench::parseAddress(options.text("upstream"));
  const int listener = bench::udpSocket(bench::parseAddress(options.text("listen")).family());
  bench::bindTo(listener, options.text("listen"));
  const int upstream = bench::udpSocket(server.family());
  if (connect(upstream, server.name(), server.length) != 0) bench::die("connect");
  printf("ready %d\n", bench::portOf(listener));
  fflush(stdout);

  for (;;) {
    pollfd sockets[2] = {{listener, POLLIN, 0}, {upstream, POLLIN, 0}};
    if (poll(sockets, 2, -1) < 0 && errno != EINTR) bench::die("poll");
    if (sockets[1].revents != 0) returnAnswers(listener, upstream);
    if (sockets[0].revents != 0) forwardQueries(listener, upstream);
  }
}
