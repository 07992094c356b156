/**
 * A DNS proxy's end of Cilium's FQDNData contract: dials the Cilium agent for as long as the process lives, takes each policy state that it
 * says, and tells it what the cache learns.
 *
 * Invariant: a state is taken whole or refused; refused, it leaves what is enforced as it was, and is shown as a problem until a good one
 * comes. States are taken one after another: while one is, the next waits with the agent. No query waits for any of this. Every call
 * has a deadline; at most CALLS_MAX are under way, and after one that was not answered in time there is a pause.
 */
import { type ClientDuplexStream, type ClientUnaryCall, connectivityState, credentials, Metadata, type ServiceError, status, type StatusObject } from '@grpc/grpc-js';
import { AppError, formatSocketAddress, type Snapshot } from '@tandem/core';
import { fqdnPb, SNAPSHOT_BYTES_MAX } from '@tandem/proto';
import { bootTimeMs } from 'node-reuseport';
import type { Member } from '../member/member.js';
import { SpacedLog } from '../pair/spaced-log.js';
import { fqdnMapping } from './fqdn-mapping.js';
import { snapshotOfState } from './policy-state.js';
import { type Untold, UntoldMappings } from './untold-mappings.js';
import { isWhole, POLICY_STATE } from './whole-message.js';

const PAUSE_FIRST_MS = 50;
const PAUSE_MAX_MS = 2000;
/** A connection that lasted so long was a good one: the next try comes soon. */
const GOOD_LINK_MS = 2000;
/** grpc-js bounds no connection attempt: one that hangs longer is left behind, and at most one per so long. */
const CONNECT_WITHIN_MS = 5000;
/** As Cilium's own proxy pings; its agent takes more often for abuse. */
const KEEPALIVE = { 'grpc.keepalive_time_ms': 10_000, 'grpc.keepalive_timeout_ms': 5000 } as const;
/** Mappings under way. */
const CALLS_MAX = 16;
const CALL_WITHIN_MS = 2000;
/** After a call that was not answered. */
const STALLED_PAUSE_MS = 1000;
const UNREACHED = 'the Cilium agent is not reached';
const UNTOLD = 'a mapping was not taken by the Cilium agent';
const REFUSED = 'a policy state of the Cilium agent is refused; the policy before it stays';
/** In grpc-js's words; what only differs in it is the same reason. */
const TIME_OF_DAY = / \(\d{4}-\d\d-\d\dT[^)]*\)/g;

/** What metrics and `status` show. */
export interface CiliumState {
  readonly connected: boolean;
  /** Policy states, since the start. */
  readonly states: { readonly taken: number; readonly refused: number };
  readonly mappings: UntoldMappings['counts'] & { readonly waiting: number };
}

export interface CiliumLinkOptions {
  readonly member: Member;
  readonly onSnapshot: (snapshot: Snapshot) => Promise<void>;
  /** A try has found no agent. */
  readonly onUnreached?: () => void;
}

/** A state, or why its bytes are none. */
type Decoded = { readonly state: fqdnPb.PolicyState } | { readonly complaint: string };
type StateCall = ClientDuplexStream<fqdnPb.PolicyStateResponse, Decoded>;

export class CiliumLink {
  private readonly options: CiliumLinkOptions;
  private readonly member: Member;
  private readonly spaced: SpacedLog;
  private readonly untold: UntoldMappings;
  private readonly calls = new Set<ClientUnaryCall>();
  private readonly states = { taken: 0, refused: 0 };
  private client: fqdnPb.FQDNDataClient | null = null;
  private call: StateCall | null = null;
  /** Since when the channel was found connecting; null when it was not. */
  private connectingSinceMs: number | null = null;
  /** When this connection's first state came; null: none yet. */
  private openMs: number | null = null;
  private dialTimer: NodeJS.Timeout | null = null;
  private pumpTimer: NodeJS.Timeout | null = null;
  private pauseMs = PAUSE_FIRST_MS;
  private stalledUntilMs = 0;
  private closed = false;

  constructor(options: CiliumLinkOptions) {
    const { member } = options;
    this.options = options;
    this.member = member;
    this.spaced = new SpacedLog(member.log);
    this.untold = new UntoldMappings({ cache: member.cache, log: member.replica.log, endpointByUid: (uid) => member.endpointByUid(uid) });
    member.onExchange = () => this.pump();
    member.cilium = () => this.state;
    this.dial();
  }

  close(): void {
    this.closed = true;
    if (this.dialTimer !== null) clearTimeout(this.dialTimer);
    if (this.pumpTimer !== null) clearTimeout(this.pumpTimer);
    this.call?.cancel();
    for (const call of this.calls) call.cancel();
    this.hangUp();
  }

  private get state(): CiliumState {
    const { counts, waiting } = this.untold;
    return { connected: this.openMs !== null, states: { ...this.states }, mappings: { ...counts, waiting } };
  }

  private dial(): void {
    if (this.closed) return;
    const { path, requestSerialize } = fqdnPb.FQDNDataService.streamPolicyState;
    const call: StateCall = this.channel().makeBidiStreamRequest(path, requestSerialize, decode);
    this.call = call;
    call.on('data', (decoded: Decoded) => {
      call.pause();
      void this.take(call, decoded).then(() => call.resume());
    });
    // Whatever ends the call ends it with a status, and an error if that is not OK.
    call.on('error', () => undefined);
    call.on('end', () => call.end());
    call.on('status', (ended: StatusObject) => this.ended(ended));
  }

  private async take(call: StateCall, decoded: Decoded): Promise<void> {
    const requestId = 'state' in decoded ? decoded.state.requestId : '';
    let response: fqdnPb.ResponseCode = fqdnPb.ResponseCode.NO_ERROR;
    let isTaken = false;
    try {
      await this.enforce(decoded);
      isTaken = true;
      this.states.taken++;
      this.member.sourceProblems = [];
      this.spaced.over(REFUSED);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      response = error.code === 'SNAPSHOT_REFUSED' ? fqdnPb.ResponseCode.FORMAT_ERROR : fqdnPb.ResponseCode.SERVER_FAILURE;
      this.states.refused++;
      this.member.sourceProblems = [`error: ${error.message}; the policy before it stays`];
      this.spaced.say('error', REFUSED, error.message);
    }
    if (call !== this.call || this.closed) return;
    call.write({ response, requestId });
    if (this.openMs === null) this.opened();
    if (isTaken) this.untold.taken(this.member.snapshot?.endpoints ?? [], bootTimeMs());
    this.pump();
  }

  private async enforce(decoded: Decoded): Promise<void> {
    if ('complaint' in decoded) throw new AppError('SNAPSHOT_REFUSED', `the policy state is refused: ${decoded.complaint}`);
    const { settings: { nodeName }, known, snapshot: before } = this.member;
    const snapshot = snapshotOfState(decoded.state, { nodeName, revision: (known?.revision ?? 0) + 1 });
    if (before?.hash !== snapshot.hash) await this.options.onSnapshot(known?.hash === snapshot.hash ? known : snapshot);
  }

  private opened(): void {
    this.openMs = bootTimeMs();
    this.spaced.over(UNREACHED);
    this.member.log.info('the Cilium agent is reached');
  }

  private ended({ code, details }: StatusObject): void {
    const reason = details.replace(TIME_OF_DAY, '').replace(/ Resolution note: $/, '');
    for (const call of this.calls) call.cancel();
    this.call = null;
    if (this.openMs === null) {
      if (!this.closed) this.spaced.say('warn', UNREACHED, reason);
      this.options.onUnreached?.();
    } else {
      if (!this.closed) this.spaced.say('warn', 'the Cilium agent is away', reason);
      if (bootTimeMs() - this.openMs >= GOOD_LINK_MS) this.pauseMs = PAUSE_FIRST_MS;
      this.openMs = null;
      this.untold.down();
    }
    // Too large to be read at all.
    if (code === status.RESOURCE_EXHAUSTED) {
      this.states.refused++;
      this.member.sourceProblems = [`error: the policy state is refused: ${reason}; the policy before it stays`];
    }
    this.again();
  }

  /** Tells what is to be told, as far as the agent keeps up. */
  private pump(): void {
    const nowMs = bootTimeMs();
    if (this.closed || this.openMs === null || this.client === null) return;
    while (this.calls.size < CALLS_MAX && nowMs >= this.stalledUntilMs) {
      const untold = this.untold.next(nowMs);
      if (untold === null) break;
      this.tell(this.client, untold, nowMs);
    }
    const dueMs = Math.max(this.untold.dueMs, this.stalledUntilMs);
    if (this.pumpTimer !== null) clearTimeout(this.pumpTimer);
    this.pumpTimer = dueMs === Infinity || this.calls.size >= CALLS_MAX ? null : setTimeout(() => this.pump(), Math.max(1, dueMs - nowMs));
  }

  private tell(client: fqdnPb.FQDNDataClient, untold: Untold, nowMs: number): void {
    const deadline = new Date(Date.now() + CALL_WITHIN_MS);
    const call = client.updateMappingRequest(fqdnMapping(untold, nowMs), new Metadata(), { deadline }, (error, result) => {
      this.calls.delete(call);
      if (this.call === null) return;
      this.answered(untold, error, result);
      this.pump();
    });
    this.calls.add(call);
  }

  private answered(untold: Untold, error: ServiceError | null, result: fqdnPb.UpdateMappingResponse | undefined): void {
    const nowMs = bootTimeMs();
    if (error === null && result?.response === fqdnPb.ResponseCode.NO_ERROR) {
      this.untold.acknowledged(untold);
      this.spaced.over(UNTOLD);
      return;
    }
    const isUnanswered = error !== null && [status.DEADLINE_EXCEEDED, status.UNAVAILABLE, status.CANCELLED].includes(error.code);
    const reason = error === null ? `it answers with the code ${result?.response ?? 0}` : error.code === status.DEADLINE_EXCEEDED ? `no answer within ${CALL_WITHIN_MS} ms` : error.details;
    this.spaced.say('warn', UNTOLD, reason);
    if (!isUnanswered) {
      this.untold.refused(untold, nowMs);
      return;
    }
    this.stalledUntilMs = nowMs + STALLED_PAUSE_MS;
    this.untold.unanswered(untold, nowMs);
  }

  private again(): void {
    if (this.closed) return;
    const pauseMs = this.pauseMs * (0.5 + Math.random() / 2);
    this.pauseMs = Math.min(this.pauseMs * 2, PAUSE_MAX_MS);
    // A channel that has not connected goes on trying by itself, also after it was closed (grpc-js 1.14).
    if (!this.isTrying()) this.hangUp();
    this.dialTimer = setTimeout(() => this.dial(), pauseMs);
  }

  private isTrying(): boolean {
    const state = this.client?.getChannel().getConnectivityState(false);
    if (state !== connectivityState.CONNECTING) this.connectingSinceMs = null;
    else this.connectingSinceMs ??= bootTimeMs();
    return state === connectivityState.TRANSIENT_FAILURE ||
      (this.connectingSinceMs !== null && bootTimeMs() - this.connectingSinceMs < CONNECT_WITHIN_MS);
  }

  private channel(): fqdnPb.FQDNDataClient {
    const { ciliumAgent } = this.member.settings;
    if (ciliumAgent === null) throw new AppError('CONFIGURATION', 'there is no --cilium-agent');
    this.client ??= new fqdnPb.FQDNDataClient(`ipv${ciliumAgent.family}:${formatSocketAddress(ciliumAgent)}`, credentials.createInsecure(), {
      ...KEEPALIVE,
      'grpc.max_receive_message_length': SNAPSHOT_BYTES_MAX,
      'grpc.enable_retries': 0,
      'grpc.initial_reconnect_backoff_ms': PAUSE_FIRST_MS,
      'grpc.max_reconnect_backoff_ms': PAUSE_MAX_MS,
      // What the environment says of proxies is meant for others.
      'grpc.enable_http_proxy': 0,
      // A later connection is one of its own.
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

/** Never throws: bytes that are no message are refused as a state is, and the stream goes on. */
function decode(bytes: Buffer): Decoded {
  const complaint = `its ${bytes.length} bytes cannot be read`;
  if (!isWhole(bytes, POLICY_STATE)) return { complaint };
  try {
    return { state: fqdnPb.PolicyState.decode(bytes) };
  } catch {
    return { complaint };
  }
}
