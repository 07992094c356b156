/** The real service over a Unix socket, and clients of it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type ClientReadableStream, credentials, type ServiceError } from '@grpc/grpc-js';
import type { Log } from '@tandem/core';
import { GetFlowsRequest, type GetFlowsResponse, ObserverClient } from '@tandem/proto';
import type { Test } from 'tap';
import type { FlowLog } from '../../flows/flow-log.js';
import type { HubbleListenSettings } from '../listen.js';
import { startHubbleServer } from '../server.js';

export const SILENT: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

export interface Served {
  readonly client: ObserverClient;
  /** For services that have no client here. */
  readonly channel: Client;
  /** Of a connection of its own, as other processes have. */
  readonly newClient: () => ObserverClient;
  readonly path: string;
}

export type Request = Parameters<typeof GetFlowsRequest.fromPartial>[0];

export async function serve(t: Test, flows: FlowLog): Promise<Served> {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-hubble-'));
  const path = join(dir, 'agent-hubble.sock');
  const settings: HubbleListenSettings = { hubbleListen: path, hubbleTlsCertFile: null, hubbleTlsKeyFile: null, hubbleTlsClientCaFiles: [] };
  const fail = (error: Error): void => {
    throw error;
  };
  const server = await startHubbleServer({ settings, log: SILENT, flows, fail });
  const clients: ObserverClient[] = [];
  const newClient = (): ObserverClient => {
    const made = new ObserverClient(server.address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    clients.push(made);
    return made;
  };
  const client = newClient();
  const channel = new Client(server.address, credentials.createInsecure());
  t.teardown(async () => {
    for (const each of clients) each.close();
    channel.close();
    await server.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return { client, channel, newClient, path };
}

/** All responses up to the end. @throws what the server refused with. */
export async function responsesOf(client: ObserverClient, request: Request): Promise<GetFlowsResponse[]> {
  const stream = client.getFlows(GetFlowsRequest.fromPartial(request));
  const responses: GetFlowsResponse[] = [];
  for await (const response of stream) responses.push(response as GetFlowsResponse);
  return responses;
}

/** The flows' uuids. */
export async function uuidsOf(client: ObserverClient, request: Request): Promise<string[]> {
  return (await responsesOf(client, request)).map(uuidOf);
}

export function uuidOf({ responseTypes }: GetFlowsResponse): string {
  return responseTypes?.$case === 'flow' ? responseTypes.value.uuid : `(${responseTypes?.$case ?? 'nothing'})`;
}

/** What comes on a stream, when it comes. */
export class Follower {
  readonly responses: GetFlowsResponse[] = [];
  readonly stream: ClientReadableStream<GetFlowsResponse>;
  private waiting: (() => void) | null = null;

  constructor(client: ObserverClient, request: Request) {
    this.stream = client.getFlows(GetFlowsRequest.fromPartial({ follow: true, ...request }));
    this.stream.on('data', (response: GetFlowsResponse) => {
      this.responses.push(response);
      this.waiting?.();
    });
    this.stream.on('error', () => undefined);
  }

  /** Resolves when what came satisfies it. */
  async until(isEnough: (responses: readonly GetFlowsResponse[]) => boolean): Promise<void> {
    while (!isEnough(this.responses)) await new Promise<void>((resolve) => { this.waiting = resolve; });
  }

  cancel(): void {
    this.stream.cancel();
  }
}

/** The answer to a unary call. */
export function answerOf<T>(call: (callback: (error: ServiceError | null, value: T) => void) => unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, value) => {
      if (error === null) resolve(value);
      else reject(error);
    });
  });
}

/** The status that a call was refused with. */
export async function refusalOf(call: Promise<unknown>): Promise<ServiceError> {
  try {
    await call;
  } catch (error) {
    return error as ServiceError;
  }
  throw new Error('it was not refused');
}
