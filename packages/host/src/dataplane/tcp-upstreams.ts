/**
 * TCP connections to upstreams, for queries that came by TCP: a few per server, many questions on each, told apart by
 * message ID and source (RFC 7766 §6.2.1).
 *
 * Invariant: a question handed to `ask` ends in `onAnswer` or `onAskFailed`, or the query path gives it up by itself.
 * Failures are reported from `tick`, never from within `ask`.
 */
import {
  type AnswerSource, formatAddress, type MonoMs, type QueryPath, SLOT, slotPayload, slotWord, STREAM_PORT, TRY_TIMEOUT_MS,
} from '@tandem/core';
import { closeFd, connectTcp, socketError, ReadyEvent } from 'node-reuseport';
import { Stream, UnsentBudget } from './stream.js';
import type { TcpSeams } from './tcp-clients.js';
import type { Watcher } from './tokens.js';

const CONNECTIONS_PER_SERVER_MAX = 8;
/** Questions under way on one connection before another one is opened, and at most. */
const QUESTIONS_BEFORE_NEXT = 16;
const QUESTIONS_MAX = 1024;
/** A connection without questions is closed after this long (RFC 7766 §6.2.3 leaves it to us). */
const IDLE_MS = 8000;
/**
 * Longer than any try lasts. A connection that owes answers and brings none for so long is dead; where it brings others,
 * a question so old is one that the query path has given up.
 */
const SILENT_MS = 3000;
/**
 * One that owes answers and has brought none for half a try gets no other question while there is another connection, or room for one: a
 * second try does not go where the first was lost.
 */
const QUIET_MS = TRY_TIMEOUT_MS / 2;
const MESSAGE_MAX = 65_535;
const ID_BYTES = 2;
/** Address and port as they stand in a slot. */
const UPSTREAM_WORDS = SLOT.upstreamPort - SLOT.upstreamAddress + 1;

interface Question {
  readonly slot: number;
  readonly id: number;
  readonly askedAtMs: MonoMs;
}

export class TcpUpstreams {
  private readonly seams: TcpSeams;
  private readonly path: QueryPath;
  private readonly fromClients: boolean;
  private readonly servers = new Map<string, UpstreamConnection[]>();
  /** Whom the last question went to: nearly always the next one's server, too. */
  private last: LastServer | null = null;
  /** Connections with questions that are to be sent. */
  private filled: UpstreamConnection[] = [];
  private failed: Question[] = [];

  /** `fromClients`: questions leave with their clients' addresses, on connections of each client's own. */
  constructor(seams: TcpSeams, path: QueryPath, fromClients = false) {
    // What clients leave unread does not close a connection to an upstream.
    this.seams = { ...seams, unsent: new UnsentBudget() };
    this.path = path;
    this.fromClients = fromClients;
  }

  /** Puts the slot's packet, whose ID is set, among the questions that `flush` sends to the slot's upstream. */
  ask(slot: number): void {
    const { memory } = this.seams;
    const word = slotWord(memory, slot);
    const payload = slotPayload(memory, slot);
    const id = (memory.bytes[payload] << 8) | memory.bytes[payload + 1];
    const connection = this.connectionFor(word);
    const asked = connection?.ask(slot, id, payload, memory.words[word + SLOT.length]) ?? false;
    if (asked && !connection!.isFilled) {
      connection!.isFilled = true;
      this.filled.push(connection!);
    }
    if (!asked) this.failed.push({ slot, id, askedAtMs: this.seams.nowMs() });
  }

  /** At the end of a turn: the questions of one connection leave together. */
  flush(): void {
    const { filled } = this;
    if (filled.length === 0) return;
    this.filled = [];
    for (const connection of filled) connection.flush();
  }

  nextDeadlineMs(): number {
    if (this.failed.length > 0) return 0;
    if (this.servers.size === 0) return Infinity;
    let deadline = Infinity;
    for (const connections of this.servers.values()) {
      for (const connection of connections) deadline = Math.min(deadline, connection.deadlineMs);
    }
    return deadline;
  }

  tick(): void {
    const failed = this.failed;
    if (failed.length > 0) {
      this.failed = [];
      for (const { slot, id } of failed) this.path.onAskFailed(slot, id);
    }
    if (this.servers.size === 0) return;
    const nowMs = this.seams.nowMs();
    for (const connections of this.servers.values()) {
      for (const connection of [...connections]) if (nowMs >= connection.deadlineMs) connection.close();
    }
  }

  closeAll(): void {
    for (const connections of [...this.servers.values()]) for (const connection of [...connections]) connection.close();
  }

  /**
   * A connection to the server at the slot's upstream words that is being filled, else the least busy one, or a new one; of those
   * that have fallen quiet only where there is no other. Null if none can be had.
   */
  private connectionFor(word: number): UpstreamConnection | null {
    const { key, connections } = this.serverAt(word);
    const nowMs = this.seams.nowMs();
    let best: UpstreamConnection | null = null;
    let quiet: UpstreamConnection | null = null;
    for (const connection of connections) {
      if (connection.isQuiet(nowMs)) {
        if (quiet === null || connection.questions < quiet.questions) quiet = connection;
        continue;
      }
      if (connection.isFilled && connection.questions < QUESTIONS_BEFORE_NEXT) return connection;
      if (best === null || connection.questions < best.questions) best = connection;
    }
    const questions = best?.questions ?? Infinity;
    if (questions < QUESTIONS_BEFORE_NEXT || connections.length >= CONNECTIONS_PER_SERVER_MAX) return best ?? quiet;
    const connection = this.connect(word, key, connections);
    if (connection === null) return best ?? quiet;
    this.servers.set(key, connections);
    connections.push(connection);
    return connection;
  }

  private serverAt(word: number): LastServer {
    const { bytes, words } = this.seams.memory;
    const at = word + SLOT.upstreamAddress;
    const { last } = this;
    if (last !== null && !this.fromClients && areEqual(last.words, words, at)) return last;
    const address = formatAddress(bytes, at * 4);
    const client = this.fromClients ? formatAddress(bytes, (word + SLOT.clientAddress) * 4) : null;
    const key = `${address} ${words[word + SLOT.upstreamPort]} ${client ?? ''}`;
    this.last = { key, words: words.slice(at, at + UPSTREAM_WORDS), connections: this.servers.get(key) ?? [] };
    return this.last;
  }

  /** Null where the kernel refuses at once. */
  private connect(word: number, key: string, connections: UpstreamConnection[]): UpstreamConnection | null {
    const { bytes, words } = this.seams.memory;
    const address = formatAddress(bytes, (word + SLOT.upstreamAddress) * 4);
    const client = this.fromClients ? formatAddress(bytes, (word + SLOT.clientAddress) * 4) : null;
    const port = words[word + SLOT.upstreamPort];
    let fd = -1;
    try {
      fd = connectTcp({ address, port, ...(client === null ? {} : { localAddress: client, transparent: true }) });
      const connection: UpstreamConnection = new UpstreamConnection(this.seams, this.path, {
        fd,
        addressAt: word + SLOT.upstreamAddress,
        port,
        onClosed: (questions) => {
          connections.splice(connections.indexOf(connection), 1);
          if (connections.length === 0) this.forgetServer(key);
          this.failed.push(...questions);
        },
      });
      return connection;
    } catch {
      if (fd >= 0) closeFd(fd);
      return null;
    }
  }

  private forgetServer(key: string): void {
    this.servers.delete(key);
    if (this.last?.key === key) this.last = null;
  }
}

interface LastServer {
  readonly key: string;
  /** Address and port, as they stand in a slot. */
  readonly words: Uint32Array;
  readonly connections: UpstreamConnection[];
}

interface UpstreamOptions {
  readonly fd: number;
  /** Where in the slot memory's words the server's address stands now. */
  readonly addressAt: number;
  readonly port: number;
  readonly onClosed: (unanswered: Question[]) => void;
}

class UpstreamConnection implements Watcher {
  /** When the connection is given up unless something happens on it. */
  deadlineMs: number;
  /** It has questions that are to be sent. */
  isFilled = false;
  private readonly seams: TcpSeams;
  private readonly path: QueryPath;
  private readonly onClosed: (unanswered: Question[]) => void;
  private readonly stream: Stream;
  private readonly source: AnswerSource;
  /** By message ID; the oldest comes first. */
  private readonly underWay = new Map<number, Question>();
  private connecting = true;
  private closed = false;

  constructor(seams: TcpSeams, path: QueryPath, options: UpstreamOptions) {
    this.seams = seams;
    this.path = path;
    this.onClosed = options.onClosed;
    this.deadlineMs = seams.nowMs() + IDLE_MS;
    const words = seams.memory.words.slice(options.addressAt, options.addressAt + 4);
    this.source = { words, addressAt: 0, fromPort: options.port, port: STREAM_PORT };
    this.stream = new Stream(seams, options.fd, seams.tokens.add(this), MESSAGE_MAX, true);
  }

  get questions(): number {
    return this.underWay.size;
  }

  /** It owes answers, and has brought none for a while. */
  isQuiet(nowMs: MonoMs): boolean {
    return this.underWay.size > 0 && nowMs >= this.deadlineMs - SILENT_MS + QUIET_MS;
  }

  ask(slot: number, id: number, offset: number, length: number): boolean {
    this.forgetOld();
    if (this.closed || this.underWay.size >= QUESTIONS_MAX || this.underWay.has(id)) return false;
    if (this.stream.put(this.seams.memory.bytes, offset, length) === 'broken') {
      this.close();
      return false;
    }
    if (this.underWay.size === 0) this.deadlineMs = this.seams.nowMs() + SILENT_MS;
    this.underWay.set(id, { slot, id, askedAtMs: this.seams.nowMs() });
    return true;
  }

  flush(): void {
    this.isFilled = false;
    if (!this.closed && this.stream.flush() === 'broken') this.close();
  }

  onReady(events: number): void {
    if (this.connecting) {
      if (socketError(this.stream.fd) !== 0) {
        this.close();
        return;
      }
      if ((events & ReadyEvent.OUT) === 0) return;
      this.connecting = false;
    }
    if ((events & ReadyEvent.OUT) !== 0 && this.stream.writable() === 'broken') {
      this.close();
      return;
    }
    if ((events & ~ReadyEvent.OUT) === 0) return;
    const result = this.stream.receive();
    this.takeAnswers();
    if (result !== 'ok') this.close();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.stream.close();
    this.seams.tokens.remove(this.stream.token);
    this.onClosed([...this.underWay.values()]);
  }

  private forgetOld(): void {
    const askedBeforeMs = this.seams.nowMs() - SILENT_MS;
    for (const { id, askedAtMs } of this.underWay.values()) {
      if (askedAtMs > askedBeforeMs) break;
      this.underWay.delete(id);
    }
  }

  private takeAnswers(): void {
    const { reader } = this.stream;
    for (let frame = reader.peek(); frame !== null; frame = reader.peek()) {
      const { offset, length } = frame;
      reader.consume(frame);
      if (length < ID_BYTES) continue;
      // What was not asked is no sign of life.
      if (this.underWay.delete((reader.bytes[offset] << 8) | reader.bytes[offset + 1])) {
        this.deadlineMs = this.seams.nowMs() + (this.underWay.size === 0 ? IDLE_MS : SILENT_MS);
      }
      this.path.onAnswer(reader.bytes, offset, length, this.source);
    }
  }
}

/** Whether `words` stand in `memory` at `at`. For each question over TCP: makes nothing. */
function areEqual(words: Uint32Array, memory: Uint32Array, at: number): boolean {
  for (let i = 0; i < words.length; i++) if (words[i] !== memory[at + i]) return false;
  return true;
}
