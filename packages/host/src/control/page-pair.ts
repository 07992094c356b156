/**
 * Both members as one of them sees the pair: its own status, and the peer's, asked for over the Unix socket in the run-dir. So the
 * page of either member shows both, and says it when the other is dead.
 *
 * Invariant: one request to the peer is under way at most, however many ask; nobody waits longer than its deadline. Does not
 * know how the link or the takeover are: that is in each member's status.
 */
import type { Role } from '@tandem/core';
import type { DaemonView, StatusView } from './daemon-view.js';
import { requestUnix, type Silence, silenceOf } from './unix-request.js';

export interface PairView {
  /** Who answered this. */
  readonly self: Role;
  /** The agent first. */
  readonly members: readonly PairMember[];
}

export interface PairMember {
  readonly role: Role;
  /** Whether it answered. */
  readonly reachable: boolean;
  /** Why it did not: `absent` (ended, or never started), `gone` (its process is dead), `silent` (no answer in time), `failed`; null if it did. */
  readonly cause: Silence | null;
  /** `cause` as a sentence; `ok` if it answered. */
  readonly reason: string;
  /** When it was asked; RFC 3339. */
  readonly askedAt: string;
  /** null where it did not answer. */
  readonly status: StatusView | null;
}

/** Short enough that a page polling every second tells of a hung peer within two. */
const DEADLINE_MS = 300;
const ANSWER_BYTES_MAX = 1024 * 1024;
/** However many pages look: each member is asked so often at most. */
const FRESH_MS = 200;

const REASONS: Readonly<Record<Silence, string>> = {
  absent: 'not running: it has no API socket in the run-dir',
  gone: 'its process is gone: nobody listens on its API socket',
  silent: `no answer in ${DEADLINE_MS} ms`,
  failed: 'its API cannot be read',
};

export class PairReader {
  private readonly view: DaemonView;
  private readonly peer: Role;
  private readonly peerSocketPath: string;
  private reading: Promise<PairView> | null = null;
  private last: { readonly pair: PairView; readonly atMs: number } | null = null;

  constructor(view: DaemonView, peer: Role, peerSocketPath: string) {
    this.view = view;
    this.peer = peer;
    this.peerSocketPath = peerSocketPath;
  }

  read(): Promise<PairView> {
    if (this.last !== null && performance.now() - this.last.atMs < FRESH_MS) return Promise.resolve(this.last.pair);
    this.reading ??= this.ask().finally(() => {
      this.reading = null;
    });
    return this.reading;
  }

  private async ask(): Promise<PairView> {
    const peer = await this.askPeer();
    const own: PairMember = { role: this.view.role, reachable: true, cause: null, reason: 'ok', askedAt: now(), status: this.view.status() };
    const pair: PairView = { self: own.role, members: own.role === 'agent' ? [own, peer] : [peer, own] };
    this.last = { pair, atMs: performance.now() };
    return pair;
  }

  private async askPeer(): Promise<PairMember> {
    const role = this.peer;
    try {
      const reply = await requestUnix({
        socketPath: this.peerSocketPath, method: 'GET', path: '/api/v1/status', timeoutMs: DEADLINE_MS, answerBytesMax: ANSWER_BYTES_MAX,
      });
      if (reply.status !== 200) return silent(role, 'failed', `its API answered with status ${reply.status}`);
      const status = JSON.parse(reply.text) as StatusView;
      return { role, reachable: true, cause: null, reason: 'ok', askedAt: now(), status };
    } catch (error) {
      return silent(role, silenceOf(error));
    }
  }
}

function silent(role: Role, cause: Silence, reason = REASONS[cause]): PairMember {
  return { role, reachable: false, cause, reason, askedAt: now(), status: null };
}

function now(): string {
  return new Date().toISOString();
}
