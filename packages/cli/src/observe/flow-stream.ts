/**
 * The answers to one GetFlows request, also when the server that gives them dies or hangs: then they go on at the other member, which serves
 * the flows of both, from a little before the last flow on.
 *
 * Invariant: no flow is given twice (by uuid) within the time that a resumption reaches back, and what is remembered for that is bounded.
 * Does not know what is done with a flow, and takes the next only when that is done.
 */
import { existsSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { connectivityState, status, type ServiceError } from '@grpc/grpc-js';
import { AppError } from '@tandem/core';
import type { GetFlowsRequest, GetFlowsResponse, ObserverClient } from '@tandem/proto';
import { FlowProgress } from './flow-progress.js';
import type { FlowServer } from './flow-server.js';

export interface StreamOptions {
  /** In order of preference; they serve the same flows. */
  readonly servers: readonly FlowServer[];
  readonly request: GetFlowsRequest;
  /** Whether it goes on elsewhere, or at the same server when that is back. */
  readonly resumes: boolean;
  /** Ends the stream. */
  readonly signal: AbortSignal;
  /** A sentence for people: what became of a server. */
  readonly onNotice: (text: string) => void;
  readonly timing?: Timing;
}

export interface Timing {
  readonly connectMs: number;
  /** Before another attempt. */
  readonly pauseMs: number;
}

interface Link {
  readonly server: FlowServer;
  readonly client: ObserverClient;
}

const TIMING: Timing = { connectMs: 5_000, pauseMs: 200 };
/** Another attempt would end in the same way. */
const FATAL: readonly number[] = [
  status.INVALID_ARGUMENT, status.UNIMPLEMENTED, status.PERMISSION_DENIED, status.UNAUTHENTICATED, status.RESOURCE_EXHAUSTED, status.OUT_OF_RANGE,
];

/** @throws AppError USAGE for what the server does not understand, UNAVAILABLE if none can be reached, or one breaks off for good. */
export async function* flowsOf(options: StreamOptions): AsyncGenerator<GetFlowsResponse> {
  const { servers, request, resumes, signal, onNotice, timing = TIMING } = options;
  const progress = new FlowProgress(request, resumes);
  for (let first = 0, isResumed = false; ; isResumed = true) {
    const link = await reach(options, first, isResumed && request.follow);
    if (link === null) return;
    const { server, client } = link;
    if (isResumed) onNotice(`going on at ${server.name}`);
    let reason = 'it has ended the stream';
    try {
      yield* progress.fresh(answers(client, progress.request(), signal));
      if (!request.follow || signal.aborted) return;
    } catch (error) {
      if (signal.aborted) return;
      reason = textOf(error);
      const { code } = error as ServiceError;
      if (FATAL.includes(code) || !resumes) throw new AppError(code === status.INVALID_ARGUMENT ? 'USAGE' : 'UNAVAILABLE', `${server.name}: ${reason}`, { cause: error });
    } finally {
      client.close();
    }
    onNotice(`${server.name} is gone: ${reason}`);
    first = servers.indexOf(server) + 1;
    await wait(timing.pauseMs, undefined, { signal }).catch(() => undefined);
  }
}

/** The next server that can be reached; null: ended before. @throws AppError UNAVAILABLE if there is none and it does not wait. */
async function reach({ servers, signal, onNotice, timing = TIMING }: StreamOptions, first: number, waits: boolean): Promise<Link | null> {
  for (let isSaid = false; !signal.aborted; isSaid = true) {
    const failures: string[] = [];
    for (let i = 0; i < servers.length; i++) {
      const server = servers[(first + i) % servers.length];
      const client = server.connect();
      const reason = await connected(client, timing.connectMs, signal);
      if (reason === null) return { server, client };
      client.close();
      if (signal.aborted) return null;
      failures.push(`${server.name}: ${reason === 'refused' ? absence(server) : reason}`);
    }
    if (!waits) throw new AppError('UNAVAILABLE', `no flows are to be had (${failures.join('; ')}); start the pair with 'tandem up', or name its folder with --run-dir or a server with --server`);
    if (!isSaid) onNotice(`${failures.join('; ')}; waiting`);
    await wait(timing.pauseMs, undefined, { signal }).catch(() => undefined);
  }
  return null;
}

/** Null once it is there; else why not. grpc's own waiting would go on past a refusal, to its deadline. */
function connected(client: ObserverClient, timeoutMs: number, signal: AbortSignal): Promise<string | null> {
  const channel = client.getChannel();
  const deadline = Date.now() + timeoutMs;
  return new Promise((resolve) => {
    const aborted = (): void => { resolve('interrupted'); };
    signal.addEventListener('abort', aborted, { once: true });
    const settle = (reason: string | null): void => {
      signal.removeEventListener('abort', aborted);
      resolve(reason);
    };
    const look = (): void => {
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) settle(null);
      else if (state === connectivityState.TRANSIENT_FAILURE) settle('refused');
      else if (state !== connectivityState.SHUTDOWN) channel.watchConnectivityState(state, deadline, (error) => { if (error === undefined) look(); else settle(`no answer in ${timeoutMs / 1_000} s`); });
    };
    look();
  });
}

function absence({ path }: FlowServer): string {
  if (path === null) return 'cannot be reached';
  return existsSync(path) ? 'its process is gone' : 'not running, or its --hubble-listen is elsewhere';
}

/** One at a time: while the consumer is busy, the transport holds the server back. */
async function* answers(client: ObserverClient, request: GetFlowsRequest, signal: AbortSignal): AsyncGenerator<GetFlowsResponse> {
  const call = client.getFlows(request);
  const cancel = (): void => { call.cancel(); };
  signal.addEventListener('abort', cancel, { once: true });
  if (signal.aborted) cancel();
  try {
    for await (const response of call) yield response as GetFlowsResponse;
  } finally {
    signal.removeEventListener('abort', cancel);
    call.cancel();
  }
}

function textOf(error: unknown): string {
  const { details, message } = error as ServiceError;
  return details === '' || details === undefined ? message : details;
}
