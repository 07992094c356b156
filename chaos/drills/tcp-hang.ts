import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { framed, MessageStream } from '#harness/clients.js';
import { CLIENT_A } from '#harness/manifests.js';
import { ROLES } from '#harness/pair.js';
import type { Role } from '#harness/pair.js';
import { within } from '#harness/until.js';
import { buildQuery, RCODE, readMessage, TYPE } from '#harness/wire.js';
import { NEVER_TWICE, TCP_FLAGS } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';
import { peerOf } from '../lib/stage.js';
import type { Stage } from '../lib/stage.js';

const HANG_MS = 1_500;
/** After a second, within a tick or two. */
const RESET_MS_MOST = 1_100;
const READERS = 8;
/** A reader asks so many at a time, fewer than what a member keeps unsent for one connection, until the buffers between them are full. */
const QUERIES_PER_STEP = 4;
const STEPS_MOST = 200;
const STEP_MS = 50;
const ANSWER_BYTES_LEAST = 30_000;
const DEADLINE_MS = 20_000;
/** Of the load: connections on which the hung one was writing at that very instant. */
const CAUGHT_WRITING_MOST = 8;

export const tcpHang: Drill = {
  name: 'tcp-hang',
  hypothesis: 'TCP connections of a member that hangs go on with its peer; one with a half-written answer, which nobody else can know to the byte, is reset within 1.1 s, and counted.',
  steadyState: 'Both members answer on new connections, some with split writes, some with four queries at once.',
  fault: `Each member is stopped for ${String(HANG_MS / 1_000)} s while ${String(READERS)} clients have stopped reading, in the middle of an answer of 30,000 bytes.`,
  expected: [
    NEVER_TWICE, { figure: 'wrong', atMost: 0 }, { figure: 'failed', atMost: 0 }, { figure: 'refused', atMost: 0 }, { figure: 'lost', atMost: CAUGHT_WRITING_MOST },
  ],
  abort: { afterSeconds: 60, lostMost: 2_000 },
  protocol: 'tcp',
  flags: TCP_FLAGS,
  run: async (stage) => {
    for (const role of ROLES) {
      await hangWriter(stage, role);
      await stage.redundant();
    }
  },
};

async function hangWriter(stage: Stage, role: Role): Promise<void> {
  const peer = peerOf(role);
  const readers = await Promise.all(Array.from({ length: READERS }, () => SlowReader.open(stage)));
  try {
    stage.prove('the members are in the middle of answers', readers.every((reader) => reader.isFull), readers.map((reader) => String(reader.asked)).join(', '));
    const before = { taken: await stage.metric(peer, 'connections_taken'), reset: await stage.metric(peer, 'connections_reset') };
    const startMs = performance.now();
    const hung = stage.hang(role, HANG_MS);
    const outcomes = await Promise.all(readers.map((reader) => reader.readAll(startMs)));
    await hung;
    const taken = await stage.metric(peer, 'connections_taken') - before.taken;
    const counted = await stage.metric(peer, 'connections_reset') - before.reset;
    const resets = outcomes.filter((one) => one.resetAfterMs !== null);
    const shown = outcomes.map((one) => (one.resetAfterMs === null ? `${String(one.answers)} answers` : `reset after ${one.resetAfterMs.toFixed(0)} ms`)).join(', ');
    stage.prove(`${peer} took connections from ${role}`, taken > 0, `${String(taken)} taken`);
    stage.prove('every large answer came whole, or its connection was reset in time', outcomes.every((one) => one.fault === null && (one.resetAfterMs === null ? one.answers === one.asked : one.resetAfterMs <= RESET_MS_MOST)), `${shown} ${outcomes.map((one) => one.fault ?? '').join(' ')}`);
    stage.prove('every reset was counted', counted >= resets.length, `${String(resets.length)} seen, ${String(counted)} counted`);
  } finally {
    for (const reader of readers) reader.close();
  }
}

interface Outcome {
  readonly asked: number;
  readonly answers: number;
  /** Since the member was stopped; null: it was not. */
  readonly resetAfterMs: number | null;
  /** An answer that is not what it should be. */
  readonly fault: string | null;
}

class SlowReader {
  asked = 0;
  /** No more fits between it and its member: an answer is written in part. */
  isFull = false;
  private readonly socket: Socket;

  private constructor(socket: Socket) {
    this.socket = socket;
  }

  /** Asks until its member cannot write any more, and reads nothing. */
  static async open(stage: Stage): Promise<SlowReader> {
    const { address, port } = stage.pair.server;
    const socket = connect({ host: address, port, localAddress: CLIENT_A });
    socket.pause();
    await within('a TCP connection', DEADLINE_MS, once(socket, 'connect'));
    const reader = new SlowReader(socket);
    for (let step = 0; step < STEPS_MOST && !reader.isFull; step++) await reader.askMore(stage);
    return reader;
  }

  private async askMore(stage: Stage): Promise<void> {
    const ids = Array.from({ length: QUERIES_PER_STEP }, (_, index) => this.asked + index + 1);
    this.asked += QUERIES_PER_STEP;
    this.socket.write(Buffer.concat(ids.map((id) => framed(buildQuery({ name: `large${String(id)}.bench.test`, type: TYPE.TXT }, { id })))));
    await stage.calm(STEP_MS);
    this.isFull = bytesBetween(this.socket.localPort!) < this.asked * ANSWER_BYTES_LEAST;
    // The answers may only be late.
    if (this.isFull) await stage.calm(4 * STEP_MS);
    this.isFull = bytesBetween(this.socket.localPort!) < this.asked * ANSWER_BYTES_LEAST;
  }

  readAll(startMs: number): Promise<Outcome> {
    const stream = new MessageStream();
    const seen = new Set<number>();
    let fault: string | null = null;
    const outcome = new Promise<Outcome>((resolve) => {
      const end = (resetAfterMs: number | null): void => {
        resolve({ asked: this.asked, answers: seen.size, resetAfterMs, fault });
      };
      this.socket.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ECONNRESET') fault ??= error.message;
      });
      this.socket.on('close', (hadError) => {
        if (!hadError) fault ??= 'closed without a reset';
        end(performance.now() - startMs);
      });
      this.socket.on('data', (bytes) => {
        for (const message of stream.push(bytes)) {
          fault ??= faultOf(message, seen);
          if (seen.size === this.asked) end(null);
        }
      });
    });
    this.socket.resume();
    return within('all large answers, or a reset', DEADLINE_MS, outcome);
  }

  close(): void {
    this.socket.destroy();
  }
}

/** What lies in the kernel on its way to the client with this port: sent and not taken, received and not read. */
function bytesBetween(clientPort: number): number {
  const hex = clientPort.toString(16).toUpperCase().padStart(4, '0');
  let bytes = 0;
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1)) {
    const [, local, remote, , queues] = line.trim().split(/\s+/);
    if (queues === undefined) continue;
    const [unsent, unread] = queues.split(':').map((text) => parseInt(text, 16));
    if (local.endsWith(`:${hex}`)) bytes += unread;
    else if (remote.endsWith(`:${hex}`)) bytes += unsent;
  }
  return bytes;
}

function faultOf(message: Buffer, seen: Set<number>): string | null {
  if (message.length < ANSWER_BYTES_LEAST) return `an answer of ${String(message.length)} bytes`;
  const { id, rcode, answerCount, question } = readMessage(message);
  const isTwice = seen.has(id);
  seen.add(id);
  if (isTwice) return `ID ${String(id)} answered twice`;
  return rcode === RCODE.noError && answerCount === 1 && question?.name === `large${String(id)}.bench.test` ? null : `ID ${String(id)} answered with something else`;
}
