/**
 * A gRPC channel to somebody who is dialled for as long as the process lives, with a pause between tries that grows and varies.
 * Does not know who that is, nor what is said.
 *
 * Invariant: at most one channel is open, and at most one connection attempt is left behind per CONNECT_WITHIN_MS.
 */
import { type ChannelOptions, type Client, connectivityState } from '@grpc/grpc-js';
import { bootTimeMs } from 'node-reuseport';

const PAUSE_FIRST_MS = 50;
/** A connection that lasted so long was a good one: the next try comes soon. */
const GOOD_MS = 2000;
/** grpc-js bounds no connection attempt: one that hangs longer is left behind. */
const CONNECT_WITHIN_MS = 5000;
/** In grpc-js's words; what only differs in it is the same reason. */
const TIME_OF_DAY = / \(\d{4}-\d\d-\d\dT[^)]*\)/g;

export interface RedialOptions {
  readonly pauseMaxMs: number;
  readonly messageBytesMax: number;
  /** Dials: called after each pause. */
  readonly dial: () => void;
}

export class Redial<C extends Client> {
  private readonly options: RedialOptions;
  private client: C | null = null;
  /** Since when the channel was found connecting; null when it was not. */
  private connectingSinceMs: number | null = null;
  private timer: NodeJS.Timeout | null = null;
  private pauseMs = PAUSE_FIRST_MS;
  private closed = false;

  constructor(options: RedialOptions) {
    this.options = options;
  }

  get isClosed(): boolean {
    return this.closed;
  }

  /** The one that is open, or still tries to connect. */
  get current(): C | null {
    return this.client;
  }

  /** The current one, or a new one by `open`. */
  channel(open: (options: ChannelOptions) => C): C {
    const { pauseMaxMs, messageBytesMax } = this.options;
    this.client ??= open({
      'grpc.max_receive_message_length': messageBytesMax,
      'grpc.enable_retries': 0,
      'grpc.initial_reconnect_backoff_ms': PAUSE_FIRST_MS,
      'grpc.max_reconnect_backoff_ms': pauseMaxMs,
      // What the environment says of proxies is meant for others.
      'grpc.enable_http_proxy': 0,
      // A later one has a connection of its own.
      'grpc.use_local_subchannel_pool': 1,
    });
    return this.client;
  }

  /** The call has ended. `openMs`: since when it was of use, CLOCK_BOOTTIME; null: it never was. */
  again(openMs: number | null): void {
    if (this.closed) return;
    if (openMs !== null && bootTimeMs() - openMs >= GOOD_MS) this.pauseMs = PAUSE_FIRST_MS;
    const pauseMs = this.pauseMs * (0.5 + Math.random() / 2);
    this.pauseMs = Math.min(this.pauseMs * 2, this.options.pauseMaxMs);
    // A channel that has not connected goes on trying by itself, also after it was closed (grpc-js 1.14): each try on a channel of
    // its own would leave a connection behind, and these would fill the other side's places. So it is kept until it has connected.
    if (!this.isTrying()) this.hangUp();
    this.timer = setTimeout(() => this.options.dial(), pauseMs);
  }

  hangUp(): void {
    this.client?.close();
    this.client = null;
    this.connectingSinceMs = null;
  }

  /** Nothing is dialled any more. */
  close(): void {
    this.closed = true;
    if (this.timer !== null) clearTimeout(this.timer);
    this.hangUp();
  }

  private isTrying(): boolean {
    const state = this.client?.getChannel().getConnectivityState(false);
    if (state !== connectivityState.CONNECTING) this.connectingSinceMs = null;
    else this.connectingSinceMs ??= bootTimeMs();
    return state === connectivityState.TRANSIENT_FAILURE ||
      (this.connectingSinceMs !== null && bootTimeMs() - this.connectingSinceMs < CONNECT_WITHIN_MS);
  }
}

/** Why a call ended, so that the same reason has the same words. */
export function reasonOf(details: string): string {
  return details.replace(TIME_OF_DAY, '').replace(/ Resolution note: $/, '');
}
