/**
 * A DNS proxy's end of Cilium's FQDNData contract: dials the Cilium agent for as long as the process lives, takes each policy state that it
 * says, and tells it what the cache learns.
 *
 * Invariant: a state is taken whole or refused; refused, it leaves what is enforced as it was, and is shown as a problem until a good one
 * comes. States are taken one after another: while one is, the next waits with the agent. No query waits for any of this. Every call
 * has a deadline; at most CALLS_MAX are under way, and after one that was not answered in time there is a pause.
 */
import { type ClientDuplexStream, type ClientUnaryCall, credentials, Metadata, type ServiceError, status, type StatusObject } from '@grpc/grpc-js';
import { AppError, formatSocketAddress, type Snapshot } from '@tandem/core';
import { fqdnPb, SNAPSHOT_BYTES_MAX } from '@tandem/proto';
import { bootTimeMs } from 'node-reuseport';
import type { Member } from '../member/member.js';
import { reasonOf, Redial } from '../pair/redial.js';
import { SpacedLog } from '../pair/spaced-log.js';
import { fqdnMapping } from './fqdn-mapping.js';
import { snapshotOfState } from './policy-state.js';
import { type Untold, UntoldMappings } from './untold-mappings.js';
import { isWhole, POLICY_STATE } from './whole-message.js';

const PAUSE_MAX_MS = 2000;
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
  private readonly redial: Redial<fqdnPb.FQDNDataClient>;
  private call: StateCall | null = null;
  /** When this connection's first state came; null: none yet. */
  private openMs: number | null = null;
  private pumpTimer: NodeJS.Timeout | null = null;
  private stalledUntilMs = 0;

  constructor(options: CiliumLinkOptions) {
    const { member } = options;
    this.options = options;
    this.member = member;
    this.spaced = new SpacedLog(member.log);
    this.redial = new Redial({ pauseMaxMs: PAUSE_MAX_MS, messageBytesMax: SNAPSHOT_BYTES_MAX, dial: () => this.dial() });
    this.untold = new UntoldMappings({ cache: member.cache, log: member.replica.log, endpointByUid: (uid) => member.endpointByUid(uid) });
    member.onExchange = () => this.pump();
    member.cilium = () => this.state;
    this.dial();
  }

  close(): void {
    this.redial.close();
    if (this.pumpTimer !== null) clearTimeout(this.pumpTimer);
    this.call?.cancel();
    for (const call of this.calls) call.cancel();
  }

  private get state(): CiliumState {
    const { counts, waiting } = this.untold;
    return { connected: this.openMs !== null, states: { ...this.states }, mappings: { ...counts, waiting } };
  }

  private dial(): void {
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
    if (call !== this.call || this.redial.isClosed) return;
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
    const reason = reasonOf(details);
    const { openMs, redial: { isClosed } } = this;
    for (const call of this.calls) call.cancel();
    this.call = null;
    if (openMs === null) {
      if (!isClosed) this.spaced.say('warn', UNREACHED, reason);
      this.options.onUnreached?.();
    } else {
      if (!isClosed) this.spaced.say('warn', 'the Cilium agent is away', reason);
      this.openMs = null;
      this.untold.down();
    }
    // Too large to be read at all.
    if (code === status.RESOURCE_EXHAUSTED) {
      this.states.refused++;
      this.member.sourceProblems = [`error: the policy state is refused: ${reason}; the policy before it stays`];
    }
    this.redial.again(openMs);
  }

  /** Tells what is to be told, as far as the agent keeps up. */
  private pump(): void {
    const nowMs = bootTimeMs();
    const { openMs, redial: { current, isClosed } } = this;
    if (isClosed || openMs === null || current === null) return;
    while (this.calls.size < CALLS_MAX && nowMs >= this.stalledUntilMs) {
      const untold = this.untold.next(nowMs);
      if (untold === null) break;
      this.tell(current, untold, nowMs);
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

  private channel(): fqdnPb.FQDNDataClient {
    const { ciliumAgent } = this.member.settings;
    if (ciliumAgent === null) throw new AppError('CONFIGURATION', 'there is no --cilium-agent');
    const target = `ipv${ciliumAgent.family}:${formatSocketAddress(ciliumAgent)}`;
    return this.redial.channel((options) => new fqdnPb.FQDNDataClient(target, credentials.createInsecure(), { ...options, ...KEEPALIVE }));
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
