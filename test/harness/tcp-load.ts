/**
 * Connections at a rate, each with its own manner of asking, and what became of every query. No query is asked twice: one
 * without an answer is lost.
 */
import { connect } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { framed } from './clients.js';
import { buildQuery, RCODE, readMessage, TYPE } from './wire.js';

const LENGTH_BYTES = 2;
/** Since the client has done something last: what it is late with itself, on a busy machine, is no fault of the server. */
const GIVE_UP_MS = 6_000;
const PIECE_PAUSE_MS = 3;
const MS_PER_SECOND = 1_000;

/** single: one query. pieces: it comes in two pieces. pipelined: three in one write. again: a second one after the first's answer. */
const MANNERS = ['single', 'pieces', 'pipelined', 'again'] as const;
type Manner = (typeof MANNERS)[number];
const QUERIES: Readonly<Record<Manner, number>> = { single: 1, pieces: 1, pipelined: 3, again: 2 };

export interface TcpLoadOptions {
  readonly server: { readonly address: string; readonly port: number };
  readonly from: string;
  readonly connectionsPerSecond: number;
  readonly seconds: number;
  /** Queried names are n0.SUFFIX, n1.SUFFIX, … */
  readonly suffix: string;
}

export interface TcpLoad {
  readonly sent: number;
  readonly answered: number;
  readonly lost: number;
  /** SERVFAIL. */
  readonly failed: number;
  /** Answers with another code than NOERROR or SERVFAIL, or to no query that was asked. */
  readonly wrong: number;
  readonly twice: number;
  readonly worstMs: number;
  /** What ended connections before all was answered, with how often. */
  readonly faults: Readonly<Record<string, number>>;
}

export async function tcpLoad(options: TcpLoadOptions): Promise<TcpLoad> {
  const total = Math.floor(options.connectionsPerSecond * options.seconds);
  const startedAtMs = performance.now();
  const outcomes: Promise<Outcome>[] = [];
  for (let i = 0; i < total; i++) {
    const dueMs = startedAtMs + (i * MS_PER_SECOND) / options.connectionsPerSecond;
    const waitMs = dueMs - performance.now();
    if (waitMs > 1) await new Promise((resolve) => setTimeout(resolve, waitMs));
    // Late: still those that are there already have their turn.
    else await turn();
    outcomes.push(new Connection(options, i).outcome);
  }
  return sumOf(await Promise.all(outcomes));
}

interface Outcome {
  readonly sent: number;
  readonly answered: number;
  readonly failed: number;
  readonly wrong: number;
  readonly twice: number;
  readonly worstMs: number;
  readonly fault: string | null;
}

function sumOf(outcomes: readonly Outcome[]): TcpLoad {
  const faults: Record<string, number> = {};
  for (const { fault } of outcomes) if (fault !== null) faults[fault] = (faults[fault] ?? 0) + 1;
  const sum = (value: (one: Outcome) => number): number => outcomes.reduce((all, one) => all + value(one), 0);
  const [sent, answered] = [sum((one) => one.sent), sum((one) => one.answered)];
  return {
    sent, answered, lost: sent - answered, failed: sum((one) => one.failed), wrong: sum((one) => one.wrong), twice: sum((one) => one.twice),
    worstMs: outcomes.reduce((worst, { worstMs }) => Math.max(worst, worstMs), 0), faults,
  };
}

class Connection {
  readonly outcome: Promise<Outcome>;
  private readonly manner: Manner;
  private readonly options: TcpLoadOptions;
  private readonly number: number;
  private readonly socket: ReturnType<typeof connect>;
  private readonly open = new Map<number, number>();
  private readonly done = new Set<number>();
  private buffer = Buffer.alloc(0);
  private asked = 0;
  private isConnected = false;
  private steps = 0;
  private answered = 0;
  private failed = 0;
  private wrong = 0;
  private twice = 0;
  private worstMs = 0;
  private resolve: (outcome: Outcome) => void = () => undefined;
  private readonly timer: NodeJS.Timeout;

  constructor(options: TcpLoadOptions, number: number) {
    this.options = options;
    this.number = number;
    this.manner = MANNERS[number % MANNERS.length];
    this.outcome = new Promise((resolve) => {
      this.resolve = resolve;
    });
    this.timer = setTimeout(() => { this.giveUp(); }, GIVE_UP_MS);
    this.socket = connect({ host: options.server.address, port: options.server.port, localAddress: options.from, noDelay: true });
    this.socket.on('connect', () => this.start());
    this.socket.on('data', (bytes) => this.read(bytes));
    this.socket.on('error', (error: NodeJS.ErrnoException) => this.end(error.code ?? error.message));
    this.socket.on('end', () => this.end('closed'));
  }

  /** What has come meanwhile, and waits in the socket, is read first: timers come before sockets. */
  private giveUp(): void {
    const { steps } = this;
    setImmediate(() => {
      if (this.socket.destroyed) return;
      if (steps !== this.steps) this.timer.refresh();
      else this.end(this.isConnected ? `no answer in time after ${String(this.answered)} of ${this.manner}` : 'not connected in time');
    });
  }

  /** The next is the server's. */
  private step(): void {
    if (this.socket.destroyed) return;
    this.steps++;
    this.timer.refresh();
  }

  private start(): void {
    this.isConnected = true;
    this.step();
    if (this.manner === 'pieces') {
      const bytes = this.next();
      const cut = 1 + (this.number % (bytes.length - 2));
      this.socket.write(bytes.subarray(0, cut));
      setTimeout(() => {
        this.socket.write(bytes.subarray(cut));
        this.step();
      }, PIECE_PAUSE_MS);
    } else {
      const count = this.manner === 'pipelined' ? QUERIES.pipelined : 1;
      this.socket.write(Buffer.concat(Array.from({ length: count }, () => this.next())));
    }
  }

  private next(): Buffer {
    const query = buildQuery({ name: `n${String(this.number)}-${String(this.asked)}.${this.options.suffix}`, type: TYPE.A });
    this.asked++;
    this.open.set(query.readUInt16BE(0), performance.now());
    return framed(query);
  }

  private read(bytes: Buffer): void {
    this.buffer = Buffer.concat([this.buffer, bytes]);
    while (this.buffer.length >= LENGTH_BYTES && this.buffer.length >= LENGTH_BYTES + this.buffer.readUInt16BE(0)) {
      const end = LENGTH_BYTES + this.buffer.readUInt16BE(0);
      this.message(this.buffer.subarray(LENGTH_BYTES, end));
      this.buffer = this.buffer.subarray(end);
    }
  }

  private message(message: Buffer): void {
    const id = message.readUInt16BE(0);
    const atMs = this.open.get(id);
    if (atMs === undefined) {
      if (this.done.has(id)) this.twice++;
      else this.wrong++;
      return;
    }
    this.open.delete(id);
    this.done.add(id);
    this.answered++;
    this.worstMs = Math.max(this.worstMs, performance.now() - atMs);
    const { rcode } = readMessage(message);
    if (rcode === RCODE.servFail) this.failed++;
    else if (rcode !== RCODE.noError) this.wrong++;
    this.step();
    if (this.asked < QUERIES[this.manner]) this.socket.write(this.next());
    else if (this.open.size === 0) this.end(null);
  }

  private end(fault: string | null): void {
    clearTimeout(this.timer);
    this.socket.destroy();
    const { asked: sent, answered, failed, wrong, twice, worstMs } = this;
    // What could not even be asked is lost as well.
    this.resolve({ sent: fault === null ? sent : QUERIES[this.manner], answered, failed, wrong, twice, worstMs, fault });
  }
}
