/**
 * The DNS proxy's end of the pair link: dials RUN_DIR/pair.sock, or `--pair-connect`, for as long as the process lives, with a
 * pause between tries that grows and varies.
 */
import type { SecureContext } from 'node:tls';
import { type ClientDuplexStream, connectivityState, credentials, type StatusObject } from '@grpc/grpc-js';
import { formatSocketAddress, type Snapshot } from '@tandem/core';
import { pairV1, SNAPSHOT_BYTES_MAX, type WireMessage } from '@tandem/proto';
import { bootTimeMs } from 'node-reuseport';
import type { Member } from '../member/member.js';
import { KEEPALIVE } from './keepalive.js';
import { pairSocketPath } from './server.js';
import { PairSession } from './session.js';
import { SpacedLog } from './spaced-log.js';
import { certificateNameOf, pairTlsFiles, TlsFiles } from './tls-files.js';

const PAUSE_FIRST_MS = 50;
const PAUSE_MAX_MS = 1000;
/** A link that lasted so long was a good one: the next try comes soon. */
const GOOD_LINK_MS = 2000;
/** In grpc-js's words; what only differs in it is the same reason. */
const TIME_OF_DAY = / \(\d{4}-\d\d-\d\dT[^)]*\)/g;
const UNREACHED = 'the agent is not reached';
/** grpc-js bounds no connection attempt: one that hangs longer is left behind, and at most one per so long. */
const CONNECT_WITHIN_MS = 5000;
const MESSAGE_BYTES_MAX = SNAPSHOT_BYTES_MAX + 64 * 1024;

export interface PairClient {
  close(): void;
}

export interface PairClientOptions {
  readonly member: Member;
  readonly onSnapshot: (snapshot: Snapshot) => Promise<void>;
  /** A try has found no agent. */
  readonly onUnreached?: () => void;
}

/** @throws AppError CONFIGURATION for certificates that cannot be used. */
export function startPairClient(options: PairClientOptions): PairClient {
  const dialler = new Dialler(options);
  dialler.dial();
  return { close: () => dialler.close() };
}

class Dialler {
  private readonly options: PairClientOptions;
  private readonly spaced: SpacedLog;
  private readonly files: TlsFiles | null;
  private session: PairSession | null = null;
  private call: ClientDuplexStream<pairV1.LinkRequest, pairV1.LinkResponse> | null = null;
  private client: pairV1.PairServiceClient | null = null;
  private context: SecureContext | null = null;
  /** Since when the channel was found connecting; null when it was not. */
  private connectingSinceMs: number | null = null;
  private timer: NodeJS.Timeout | null = null;
  private pauseMs = PAUSE_FIRST_MS;
  private closed = false;

  constructor(options: PairClientOptions) {
    this.options = options;
    this.spaced = new SpacedLog(options.member.log);
    this.files = options.member.settings.pairConnect === null ? null : new TlsFiles(pairTlsFiles(options.member.settings), this.spaced);
    options.member.onExchange = () => this.session?.pump();
  }

  dial(): void {
    if (this.closed) return;
    const { member, onSnapshot } = this.options;
    const client = this.channel();
    const call = client.link();
    this.call = call;
    const session = new PairSession({
      member,
      spaced: this.spaced,
      send: (message: WireMessage) => call.write({ message: message }),
      close: () => call.cancel(),
      onSnapshot,
    });
    this.session = session;
    let openMs: number | null = null;
    call.on('data', ({ message }: pairV1.LinkResponse) => {
      if (message !== undefined) session.receive(message);
      if (!session.isOpen || openMs !== null) return;
      openMs = bootTimeMs();
      this.spaced.over(UNREACHED);
    });
    call.on('drain', () => session.resume());
    // Whatever ends the call ends it with a status, and an error if that is not OK.
    call.on('error', () => undefined);
    call.on('status', ({ details }: StatusObject) => {
      if (openMs === null && !this.closed && !session.isGivenUp) {
        this.spaced.say('warn', UNREACHED, details.replace(TIME_OF_DAY, '').replace(/ Resolution note: $/, ''));
        this.options.onUnreached?.();
      }
      session.ended(details);
      if (openMs !== null && bootTimeMs() - openMs >= GOOD_LINK_MS) this.pauseMs = PAUSE_FIRST_MS;
      this.again();
    });
  }

  close(): void {
    this.closed = true;
    if (this.timer !== null) clearTimeout(this.timer);
    this.call?.cancel();
    this.hangUp();
  }

  private again(): void {
    if (this.closed) return;
    const pauseMs = this.pauseMs * (0.5 + Math.random() / 2);
    this.pauseMs = Math.min(this.pauseMs * 2, PAUSE_MAX_MS);
    // A channel that has not connected goes on trying by itself, also after it was closed (grpc-js 1.14): each try on a channel of
    // its own would leave a connection behind, and these would fill the agent's places. So it is kept until it has connected.
    if (!this.isTrying()) this.hangUp();
    this.timer = setTimeout(() => this.dial(), pauseMs);
  }

  private isTrying(): boolean {
    const state = this.client?.getChannel().getConnectivityState(false);
    if (state !== connectivityState.CONNECTING) this.connectingSinceMs = null;
    else this.connectingSinceMs ??= bootTimeMs();
    return state === connectivityState.TRANSIENT_FAILURE ||
      (this.connectingSinceMs !== null && bootTimeMs() - this.connectingSinceMs < CONNECT_WITHIN_MS);
  }

  /** The one that still tries to connect, unless the certificates have changed; else a new one. */
  private channel(): pairV1.PairServiceClient {
    const { pairConnect, runDir } = this.options.member.settings;
    const context = this.files?.current().context ?? null;
    if (this.client !== null && this.context === context) return this.client;
    this.hangUp();
    const target = pairConnect === null ? `unix:${pairSocketPath(runDir)}` : `ipv${pairConnect.family}:${formatSocketAddress(pairConnect)}`;
    const channel = context === null ? credentials.createInsecure() : credentials.createFromSecureContext(context);
    this.context = context;
    this.client = new pairV1.PairServiceClient(target, channel, {
      ...KEEPALIVE,
      'grpc.ssl_target_name_override': certificateNameOf('agent'),
      'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
      'grpc.enable_retries': 0,
      'grpc.initial_reconnect_backoff_ms': PAUSE_FIRST_MS,
      'grpc.max_reconnect_backoff_ms': PAUSE_MAX_MS,
      // What the environment says of proxies is meant for others.
      'grpc.enable_http_proxy': 0,
      // A later link has a connection of its own.
      'grpc.use_local_subchannel_pool': 1,
    });
    return this.client;
  }

  private hangUp(): void {
    this.client?.close();
    this.client = null;
    this.connectingSinceMs = null;
  }
}
