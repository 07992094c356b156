/**
 * The service `observer.Observer` over the flows of both members: a member is to Hubble's client what a node is to its relay, so that
 * `hubble status` says when half of the pair is gone.
 */
import { type handleServerStreamingCall, type handleUnaryCall, type ServerWritableStream, type ServiceError, status } from '@grpc/grpc-js';
import { AppError, type AppErrorCode } from '@tandem/core';
import { type GetFlowsRequest, NodeState, type observerPb, ObserverService } from '@tandem/proto';
import type { FlowLog, MemberFlows } from '../flows/flow-log.js';
import { FlowQuery, memberName } from './flow-query.js';
import type { FlowRate } from './flow-rate.js';
import { NamespaceWalk } from './namespace-walk.js';
import type { Walks } from './walks.js';

/** Requests that go through flows, at once; followers stay. */
export const STREAMS_MAX = 64;
/** One look at the members is for all followers. */
const LOOK_EVERY_MS = 250;
const NS_PER_MS = 1_000_000n;

/** The service, but for GetFlows, whose responses come in bytes. */
export const OBSERVER_DEFINITION = {
  ...ObserverService,
  getFlows: { ...ObserverService.getFlows, responseSerialize: (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) },
} as const;

export interface ObserverOptions {
  readonly log: FlowLog;
  readonly walks: Walks;
  readonly rate: FlowRate;
  /** Where this member is reached, as a client would say it. */
  readonly address: string;
  readonly hasTls: boolean;
}

export class Observer {
  private readonly options: ObserverOptions;
  private streams = 0;
  private members: readonly MemberFlows[] = [];
  private nextLookMs = 0;

  constructor(options: ObserverOptions) {
    this.options = options;
  }

  /** GetAgentEvents and GetDebugEvents are not there: gRPC says UNIMPLEMENTED. */
  handlers(): { getFlows: handleServerStreamingCall<GetFlowsRequest, Uint8Array> } & Pick<observerPb.ObserverServer, 'getNodes' | 'getNamespaces' | 'serverStatus'> {
    return {
      getFlows: (call) => this.getFlows(call),
      getNodes: (_call, callback) => callback(null, this.nodes()),
      getNamespaces: (call, callback) => this.getNamespaces(call, callback),
      serverStatus: (_call, callback) => callback(null, this.status()),
    };
  }

  private status(): observerPb.ServerStatusResponse {
    const { log } = this.options;
    const members = log.members();
    const sum = (value: (member: (typeof members)[number]) => number): bigint => BigInt(members.reduce((total, member) => total + Math.round(value(member)), 0));
    const gone = members.filter(({ connected }) => !connected);
    return {
      numFlows: sum(({ stored }) => stored),
      maxFlows: sum(({ max }) => max),
      seenFlows: sum(({ seen }) => seen),
      uptimeNs: nanoseconds(Math.max(0, ...members.filter(({ connected }) => connected).map(({ uptimeMs }) => uptimeMs))),
      numConnectedNodes: members.length - gone.length,
      numUnavailableNodes: gone.length,
      unavailableNodes: gone.map((member) => memberName(log, member)),
      version: log.version,
      flowsRate: this.options.rate.perSecond(members, performance.now()),
    };
  }

  private nodes(): observerPb.GetNodesResponse {
    const { log, address, hasTls } = this.options;
    const nodes = log.members().map((member, index): observerPb.Node => ({
      name: memberName(log, member),
      version: log.version,
      // Where the other member listens is not known here.
      address: index === 0 ? address : '',
      state: member.connected ? NodeState.NODE_CONNECTED : NodeState.NODE_UNAVAILABLE,
      tls: index === 0 ? { enabled: hasTls, serverName: '' } : undefined,
      uptimeNs: nanoseconds(member.uptimeMs),
      numFlows: BigInt(Math.round(member.stored)),
      maxFlows: BigInt(Math.round(member.max)),
      seenFlows: BigInt(Math.round(member.seen)),
    }));
    return { nodes };
  }

  private look(): readonly MemberFlows[] {
    const nowMs = performance.now();
    if (nowMs < this.nextLookMs) return this.members;
    this.nextLookMs = nowMs + LOOK_EVERY_MS;
    this.members = this.options.log.members();
    return this.members;
  }

  private getFlows(call: ServerWritableStream<GetFlowsRequest, Uint8Array>): void {
    const { log, walks } = this.options;
    if (this.streams >= STREAMS_MAX) {
      call.emit('error', tooMany());
      return;
    }
    let query: FlowQuery;
    try {
      query = new FlowQuery(call.request, { log, members: () => this.look(), write: (response) => call.write(response), end: () => call.end(), wallMs: Date.now });
    } catch (error) {
      call.emit('error', refusal(error));
      return;
    }
    this.streams++;
    let isOpen = true;
    const leave = (): void => {
      if (!isOpen) return;
      isOpen = false;
      this.streams--;
      walks.remove(query);
    };
    call.on('drain', () => {
      if (isOpen) walks.resume(query);
    });
    for (const event of ['cancelled', 'error', 'finish', 'close']) call.on(event, leave);
    walks.add(query);
  }

  private readonly getNamespaces: handleUnaryCall<observerPb.GetNamespacesRequest, observerPb.GetNamespacesResponse> = (_call, callback) => {
    const { log, walks } = this.options;
    if (this.streams >= STREAMS_MAX) {
      callback(tooMany());
      return;
    }
    this.streams++;
    walks.add(new NamespaceWalk(log, Date.now(), (namespaces) => {
      this.streams--;
      callback(null, { namespaces });
    }));
  };
}

type Refusal = Pick<ServiceError, 'code' | 'details'>;

const CODES: Partial<Record<AppErrorCode, status>> = { USAGE: status.INVALID_ARGUMENT };

function refusal(error: unknown): Refusal {
  if (!(error instanceof AppError)) throw error;
  return { code: CODES[error.code] ?? status.INTERNAL, details: error.message };
}

function tooMany(): Refusal {
  return { code: status.RESOURCE_EXHAUSTED, details: `${STREAMS_MAX} requests go through the flows already; end one of them` };
}

function nanoseconds(ms: number): bigint {
  return BigInt(Math.round(ms)) * NS_PER_MS;
}
