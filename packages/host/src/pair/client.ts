/** The DNS proxy's end of the pair link: dials RUN_DIR/pair.sock, or `--pair-connect`, for as long as the process lives. */
import type { SecureContext } from 'node:tls';
import { type ClientDuplexStream, credentials, type StatusObject } from '@grpc/grpc-js';
import { formatSocketAddress, type Snapshot } from '@tandem/core';
import { pairV1, SNAPSHOT_BYTES_MAX, type WireMessage } from '@tandem/proto';
import { bootTimeMs } from 'node-reuseport';
import type { Member } from '../member/member.js';
import { KEEPALIVE } from './keepalive.js';
import { reasonOf, Redial } from './redial.js';
import { pairSocketPath } from './server.js';
import { OWN_END, PairSession } from './session.js';
import { SpacedLog } from './spaced-log.js';
import { certificateNameOf, pairTlsFiles, TlsFiles } from './tls-files.js';

const PAUSE_MAX_MS = 1000;
const UNREACHED = 'the agent is not reached';
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
  private context: SecureContext | null = null;
  private readonly redial: Redial<pairV1.PairServiceClient>;

  constructor(options: PairClientOptions) {
    this.options = options;
    this.spaced = new SpacedLog(options.member.log);
    this.redial = new Redial({ pauseMaxMs: PAUSE_MAX_MS, messageBytesMax: MESSAGE_BYTES_MAX, dial: () => this.dial() });
    this.files = options.member.settings.pairConnect === null ? null : new TlsFiles(pairTlsFiles(options.member.settings), this.spaced);
    options.member.onExchange = () => this.session?.pump();
  }

  dial(): void {
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
      if (openMs === null && !this.redial.isClosed && !session.isGivenUp) {
        this.spaced.say('warn', UNREACHED, reasonOf(details));
        this.options.onUnreached?.();
      }
      session.ended(reasonOf(details) || 'the agent ended it');
      this.redial.again(openMs);
    });
  }

  close(): void {
    this.redial.close();
    this.session?.ended(OWN_END);
    this.call?.cancel();
  }

  /** The one that still tries to connect, unless the certificates have changed; else a new one. */
  private channel(): pairV1.PairServiceClient {
    const { pairConnect, runDir } = this.options.member.settings;
    const context = this.files?.current().context ?? null;
    if (this.context !== context) this.redial.hangUp();
    const target = pairConnect === null ? `unix:${pairSocketPath(runDir)}` : `ipv${pairConnect.family}:${formatSocketAddress(pairConnect)}`;
    const channel = context === null ? credentials.createInsecure() : credentials.createFromSecureContext(context);
    this.context = context;
    return this.redial.channel((options) => new pairV1.PairServiceClient(target, channel, {
      ...options, ...KEEPALIVE, 'grpc.ssl_target_name_override': certificateNameOf('agent'),
    }));
  }
}
