// One thread's event loop over one journal: batched receive, batched send, readiness of everything else.
// Invariants: a slot's state word changes only by compare-and-swap against the word this reactor expects
// (`expected_`), so a slot that a peer has taken is noticed, never overwritten; armed entries of the receive
// batch are always the suffix [first_, batch); in a transmit record `slot` is set before the slot is SEND and
// cleared after it no longer is.
// Knows nothing of what the datagrams mean.
#pragma once

#include <sys/epoll.h>

#include <vector>

#include "code-points.h"
#include "journal.h"
#include "metadata.h"
#include "ready-set.h"

namespace reuseport {

// Indices into the control view (doubles). Counters never go down.
enum Control : uint32_t {
  kNowMs, kReceived, kAnswers, kReady, kWoken, kFreeSlots, kArmedEntries, kPaused,
  kReceivedTotal, kAnswersTotal, kAsksSent, kRepliesSent, kAskErrors, kReplyErrors, kAsksBlocked, kRepliesBlocked,
  kLostToPeer, kPoisoned, kReceiveErrors, kUpstreamErrors, kLastErrno, kTakenQueries, kTakenArmed, kTakenAnswers,
  kTakenSent, kTakeRaces, kInvalidRows, kPauses, kTruncated, kAsksDropped,
  kCrossed,
  kControlLength = 32,
};

enum Take : uint32_t {
  kTakeNothing, kTakeQuery, kTakeAnswer, kTakeSent, kTakeRace, kTakeNoSlot, kTakeFlushFirst, kTakeUnknownListener,
  kTakeMoot, kTakeNotYet,
};

constexpr uint32_t kTransmitWords = 8;
constexpr uint32_t kAnswerWords = 12;
constexpr uint32_t kReadyWords = 2;
constexpr uint32_t kTakenWords = 4;
constexpr uint32_t kListenersMax = 256;
// A member's own listeners have the numbers below this; each further block is of one member that it holds.
constexpr uint32_t kListenersPerMember = 16;
constexpr uint32_t kUpstreamsMax = 1024;
// Kinds of transmit rows.
constexpr uint32_t kAskRow = 0;
constexpr uint32_t kReplyRow = 1;
constexpr int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
// Datagrams that one send may be cut into, and their bytes.
constexpr uint32_t kSegmentsMax = 64;
constexpr uint32_t kSegmentedBytesMax = 65000;

// Arrays shared with JavaScript; the caller keeps them alive.
struct Views {
  double* control;
  uint32_t* received;
  uint32_t* answers;
  int32_t* ready;
  uint32_t* transmit;
  uint32_t* taken;
};

class Reactor {
 public:
  Reactor(Journal& journal, CodePoints& points, uint32_t readyCapacity);
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  int start(const Views& views);  // 0 or −errno
  void close();
  bool closed() const { return epollFd_ < 0; }
  int wakeFd() const { return wakeFd_; }

  int addListener(int fd, uint32_t index, bool replyFromServer);
  int removeListener(uint32_t index);
  int setReceiving(uint32_t index, bool on);
  int addUpstream(int fd, uint32_t index, bool connected, bool segment);
  int removeUpstream(uint32_t index);
  int watch(int fd, int32_t token, uint32_t events, bool known);
  int unwatch(int fd);

  int step(uint32_t transmitCount, int timeoutMs);
  void flush(uint32_t transmitCount);
  int allocateSlot();
  int freeSlot(uint32_t slot);
  double queuedMs(uint32_t index) const;
  void setReserve(uint32_t reserve) { reserve_ = reserve; }
  uint32_t take(Journal& peer, uint32_t slot, uint32_t listenerBase, bool ownerGone);

  Journal& journal() { return journal_; }
  bool busy = false;  // inside step, flush or take: a code point's function must not come back in

 private:
  struct Listener {
    int fd = -1;
    int family = 0;
    bool replyFromServer = false;
    bool transparent = false;  // TPROXY gives it packets of any destination address and port
    bool receiving = false;
    bool polled = false;
    bool segment = true;
    uint64_t fullStep = 0;      // the last step in which a batch was full
    double backlogSinceMs = 0;  // since when each step had a full batch
    double queuedMs = 0;        // how long what was received last lay in the socket; holds until the step after fullStep
    Address bound;
  };
  // PKTINFO sets an answer's source address, never its port: what was redirected from another port leaves by one of these.
  struct ReplySocket {
    int fd;
    uint32_t listener;
    uint16_t port;
  };
  // A reply that is listed, and where several of them leave together.
  struct Reply {
    uint64_t key;
    uint32_t slot, byteOffset, length;
  };
  struct Message {
    uint32_t from, to;  // entries
  };
  struct Upstream {
    int fd = -1;
    int family = 0;
    bool connected = false;
    bool segment = false;
    Address remote;  // of a connected one
  };

  // reactor-receive.cc
  void arm();
  void armEntry(uint32_t entry, uint32_t slot);
  void pollListeners();
  void receiveReady();
  bool receiveFrom(uint32_t listener, uint32_t share);
  void noteQueue(Listener* listener, bool isMore);
  void acceptEntry(uint32_t entry, uint32_t listener);
  bool answersFrom(uint32_t upstream, uint32_t share);
  void prepareAnswerHeaders();
  void setAnswerNames(bool wanted);

  // reactor-reply.cc
  void flushReplies(uint32_t count);
  bool validReply(const uint32_t* row) const;
  int replyFd(uint32_t listener, uint32_t port);
  void closeReplySockets(uint32_t listener);
  void sendRun(int fd, uint32_t listener, uint32_t count);
  bool isSameMessage(const Reply& a, const Reply& b) const;
  void prepareMessage(uint32_t start, uint32_t end);
  uint32_t fillMessage(uint32_t message);
  uint32_t refillMessage(uint32_t message);
  uint32_t entriesLeft(uint32_t message) const;
  bool dropStolen(uint32_t message);
  void sendMessages(int fd, uint32_t listener, uint32_t from, uint32_t to);
  void sendApart(int fd, uint32_t listener, uint32_t message);
  void settleMessage(uint32_t message);

  // reactor-transmit.cc
  void flushAsks(uint32_t count);
  bool prepareAsk(uint32_t entry, const uint32_t* row);
  void sendAsks(const Upstream& upstream, uint32_t from, uint32_t to);
  void sendSegmented(Upstream& upstream, uint32_t from, uint32_t to);
  bool sendSegments(Upstream& upstream, uint32_t from, uint32_t to);
  bool waitWritable(int fd, int error, uint32_t* waits);

  // reactor-take.cc
  uint32_t takeArmed(Journal& peer, uint32_t slot, uint32_t listenerBase, bool ownerGone);
  uint32_t takeWork(Journal& peer, uint32_t slot, uint32_t word, uint32_t listenerBase);
  uint32_t takeSend(Journal& peer, uint32_t slot, uint32_t word, uint32_t listenerBase, bool ownerGone);
  bool isMoot(const Journal& peer, uint32_t slot, bool* alreadySent) const;
  bool seenLongEnough(Journal& peer, uint32_t slot, uint32_t word);
  int copySlot(Journal& peer, uint32_t slot, uint32_t stolenWord, uint32_t payloadBytes);
  void ownCopy(uint32_t own);
  void confirmTheft(uint32_t own);

  // reactor.cc
  int popSlot();
  void pushSlot(uint32_t slot);
  bool advance(uint32_t slot, uint32_t state);
  void releaseStolen(uint32_t slot, bool sent);
  void beat(int64_t nowNs);
  void count(Control index) { views_.control[index] += 1; }

  Journal& journal_;
  CodePoints& points_;
  Views views_ = {};
  int epollFd_ = -1;
  int wakeFd_ = -1;
  bool wakePending_ = false;
  uint32_t readyCapacity_;
  uint32_t reserve_ = 0;

  std::vector<uint32_t> free_;      // a stack: the slot freed last is the one still in the cache
  std::vector<uint32_t> expected_;  // this reactor's own idea of each state word
  uint32_t first_;                  // armed entries: [first_, batch)
  uint32_t receivedCount_ = 0, answerCount_ = 0, readyCount_ = 0;
  double nowMs_ = 0;
  uint64_t steps_ = 1;
  uint32_t answersFullSteps_ = 0;
  bool listenersPaused_ = false;
  bool pollRefused_ = false;  // epoll did not do what it was asked for some listener

  std::vector<Listener> listeners_;
  std::vector<ReplySocket> replySockets_;  // the one opened last comes last
  std::vector<Upstream> upstreams_;
  ReadySet readyListeners_, readyUpstreams_;
  std::vector<epoll_event> events_;
  std::vector<mmsghdr> answerHeaders_;
  std::vector<iovec> answerVectors_;
  std::vector<sockaddr_storage> answerNames_;
  bool answersNamed_ = false;
  std::vector<Reply> replies_;
  std::vector<Message> messages_;
  std::vector<uint32_t> apart_;  // messages that the kernel does not take whole
  uint32_t entriesUsed_ = 0, messagesUsed_ = 0;
  std::vector<uint64_t> listedIn_;  // by slot: the flush that it was listed in last, for a slot is answered once
  uint64_t flushNumber_ = 0;
  std::vector<mmsghdr> askHeaders_;
  std::vector<iovec> askVectors_;
  std::vector<sockaddr_in6> askNames_;
  std::vector<uint32_t> askUpstreams_;
  uint32_t adoptionSlot_ = kUnset;  // whose answer lies in the adoption buffer

  struct Sighting {
    uint32_t word;
    int64_t atNs;
  };
  uint64_t sightingsOf_ = 0;  // id of the journal
  std::vector<Sighting> sightings_;
};

}  // namespace reuseport
