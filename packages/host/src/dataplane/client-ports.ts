/**
 * UDP sockets with clients' own addresses (transparent mode), for questions that shall look to the server as if the client had
 * sent them.
 *
 * Why no port collides. With the other member's, or another socket of ours: the kernel chose it (port 0), among those that are free for
 * this address in the node's namespace, where both members are. With the pod's: a socket is connected to its server, so it gets
 * nothing but that server's answers; what the pod itself sends there is redirected and never tracked, so the connection table has
 * no second entry of the same tuple.
 *
 * Sockets live SOCKET_LIFE_MS for new questions, so that a port is worth guessing for a moment only, and as long again for answers.
 * Bounds: SOCKETS_MAX in all; at the bound a client's new question has no way out, and is asked again like an unanswered one.
 */
import { formatAddress, type MonoMs, type Random, SLOT, type SlotMemory, slotWord } from '@tandem/core';
import { bindSocket, closeFd, connectSocket, openSocket, type Reactor, upstreamsMax } from 'node-reuseport';

/** Per client and server. */
const SOCKETS_PER_PAIR = 4;
const SOCKET_LIFE_MS = 1000;
/** Longer than any try takes, from the last question on. */
const ANSWERS_FOR_MS = 1500;
const RECEIVE_BUFFER_BYTES = 256 * 1024;
const ADDRESS_WORDS = 4;

interface ClientSocket {
  readonly number: number;
  readonly fd: number;
  readonly key: string;
  /** No new questions from then on. */
  readonly oldAtMs: number;
}

export class ClientPorts {
  private readonly reactor: Reactor;
  private readonly memory: SlotMemory;
  private readonly random: Random;
  private readonly byPair = new Map<string, ClientSocket[]>();
  /** In the order of their age. */
  private readonly open: ClientSocket[] = [];
  private readonly free: number[] = [];

  constructor(reactor: Reactor, memory: SlotMemory, random: Random) {
    this.reactor = reactor;
    this.memory = memory;
    this.random = random;
    for (let number = upstreamsMax - 1; number >= 0; number--) this.free.push(number);
  }

  /** As `Wire.clientPort`. */
  numberFor(slot: number, except: number, nowMs: MonoMs): number {
    const word = slotWord(this.memory, slot);
    const key = this.keyOf(word);
    const sockets = this.byPair.get(key) ?? [];
    const usable = sockets.filter(({ number, oldAtMs }) => oldAtMs > nowMs && number !== except);
    const wanted = this.random.int(SOCKETS_PER_PAIR);
    if (wanted < usable.length) return usable[wanted].number;
    const opened = this.tryOpen(word, key, nowMs);
    if (opened === null) return usable.length > 0 ? usable[this.random.int(usable.length)].number : -1;
    sockets.push(opened);
    this.byPair.set(key, sockets);
    this.open.push(opened);
    return opened.number;
  }

  /** Closes what no answer can come to any more. */
  tick(nowMs: MonoMs): void {
    while (this.open.length > 0 && this.open[0].oldAtMs + ANSWERS_FOR_MS <= nowMs) this.close(this.open.shift()!);
  }

  closeAll(): void {
    for (const socket of this.open.splice(0)) this.close(socket);
  }

  /** Addresses and port, as characters of 16 bits: made for every question. */
  private keyOf(word: number): string {
    const { words } = this.memory;
    const client = word + SLOT.clientAddress;
    const server = word + SLOT.upstreamAddress;
    let key = '';
    for (let i = 0; i < ADDRESS_WORDS; i++) key += `${words[client + i]},${words[server + i]},`;
    return key + String(words[word + SLOT.upstreamPort]);
  }

  private tryOpen(word: number, key: string, nowMs: MonoMs): ClientSocket | null {
    const number = this.free.at(-1);
    if (number === undefined) return null;
    const { bytes, words } = this.memory;
    const client = formatAddress(bytes, (word + SLOT.clientAddress) * 4);
    const server = formatAddress(bytes, (word + SLOT.upstreamAddress) * 4);
    let fd = -1;
    try {
      fd = openSocket({ type: 'udp', family: server.includes(':') ? 6 : 4, transparent: true, receiveBufferBytes: RECEIVE_BUFFER_BYTES });
      bindSocket(fd, client, 0);
      connectSocket(fd, server, words[word + SLOT.upstreamPort]);
      this.reactor.addUpstream(fd, number, { connected: true, segment: true });
    } catch {
      // As where the network is unreachable: the question waits out its time, and is asked again.
      if (fd >= 0) closeFd(fd);
      return null;
    }
    this.free.pop();
    return { number, fd, key, oldAtMs: nowMs + SOCKET_LIFE_MS };
  }

  private close(socket: ClientSocket): void {
    this.reactor.removeUpstream(socket.number);
    closeFd(socket.fd);
    this.free.push(socket.number);
    const left = (this.byPair.get(socket.key) ?? []).filter((one) => one !== socket);
    if (left.length === 0) this.byPair.delete(socket.key);
    else this.byPair.set(socket.key, left);
  }
}
