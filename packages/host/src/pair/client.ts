/**
 * The DNS proxy's end of the pair link: dials RUN_DIR/pair.sock for as long as the process lives, with a pause between
 * tries that grows and varies.
 */
import { credentials, type ClientDuplexStream } from '@grpc/grpc-js';
import type { Snapshot } from '@tandem/core';
import { pairV1, SNAPSHOT_BYTES_MAX } from '@tandem/proto';
import type { Member } from '../member/member.js';
import { KEEPALIVE } from './keepalive.js';
import { pairSocketPath } from './server.js';
import { type Outgoing, PairSession } from './session.js';

const PAUSE_FIRST_MS = 50;
const PAUSE_MAX_MS = 1000;
const MESSAGE_BYTES_MAX = SNAPSHOT_BYTES_MAX + 64 * 1024;

export interface PairClient {
  close(): void;
}

export interface PairClientOptions {
  readonly member: Member;
  readonly onSnapshot: (snapshot: Snapshot) => Promise<void>;
}

export function startPairClient(options: PairClientOptions): PairClient {
  const dialler = new Dialler(options);
  dialler.dial();
  return { close: () => dialler.close() };
}

class Dialler {
  private readonly options: PairClientOptions;
  private session: PairSession | null = null;
  private call: ClientDuplexStream<pairV1.LinkRequest, pairV1.LinkResponse> | null = null;
  private client: pairV1.PairServiceClient | null = null;
  private timer: NodeJS.Timeout | null = null;
  private pauseMs = PAUSE_FIRST_MS;
  private closed = false;

  constructor(options: PairClientOptions) {
    this.options = options;
    options.member.onExchange = () => this.session?.pump();
    options.member.onClean = (clean) => this.session?.sendClean(clean);
  }

  dial(): void {
    const { member, onSnapshot } = this.options;
    const client = new pairV1.PairServiceClient(`unix:${pairSocketPath(member.settings.runDir)}`, credentials.createInsecure(), {
      ...KEEPALIVE,
      'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
      'grpc.enable_retries': 0,
      // Each try is a channel of its own, with its own connection.
      'grpc.use_local_subchannel_pool': 1,
    });
    const call = client.link();
    this.client = client;
    this.call = call;
    const session = new PairSession({
      member,
      send: (message: Outgoing) => call.write({ message: message }),
      close: () => call.cancel(),
      onSnapshot,
    });
    this.session = session;
    call.on('data', ({ message }: pairV1.LinkResponse) => {
      if (message !== undefined) session.receive(message);
      if (session.isOpen) this.pauseMs = PAUSE_FIRST_MS;
    });
    call.on('drain', () => session.resume());
    // Whatever ends the call ends it with a status, and an error if that is not OK.
    call.on('error', () => undefined);
    call.on('status', () => {
      session.ended();
      client.close();
      this.again();
    });
  }

  close(): void {
    this.closed = true;
    if (this.timer !== null) clearTimeout(this.timer);
    this.call?.cancel();
    this.client?.close();
  }

  private again(): void {
    if (this.closed) return;
    const pauseMs = this.pauseMs * (0.5 + Math.random() / 2);
    this.pauseMs = Math.min(this.pauseMs * 2, PAUSE_MAX_MS);
    this.timer = setTimeout(() => this.dial(), pauseMs);
  }
}
