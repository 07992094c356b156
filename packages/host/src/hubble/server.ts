/**
 * The Observer API of a member: Hubble's service over the flows of both, with health and reflection beside it. Everything a client may ask
 * for is bounded: connections, requests at once, the size of a message, filters; at a bound it is refused with the bound's name.
 */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { formatSocketAddress, type Log } from '@tandem/core';
import type { FlowLog } from '../flows/flow-log.js';
import { type HubbleListenSettings, listenHubble } from './listen.js';
import { Observer, OBSERVER_DEFINITION } from './observer.js';
import { addStandardServices } from './standard-services.js';
import { Walks } from './walks.js';

const REQUEST_BYTES_MAX = 256 * 1024;
const CALLS_PER_CONNECTION_MAX = 100;
/** A client that answers no ping is gone. */
const KEEPALIVE = { 'grpc.keepalive_time_ms': 10_000, 'grpc.keepalive_timeout_ms': 5_000 } as const;

export interface HubbleServerOptions {
  /** `hubbleListen` is not null. */
  readonly settings: HubbleListenSettings;
  readonly log: Log;
  readonly flows: FlowLog;
  /** Ends the process: an invariant is broken. */
  readonly fail: (error: Error) => void;
}

export interface HubbleServer {
  /** `unix:PATH` or `ADDR:PORT`. */
  readonly address: string;
  /** Stops listening and ends what is under way. */
  close(): Promise<void>;
}

/** @throws AppError UNAVAILABLE when it cannot listen there, CONFIGURATION for certificates that cannot be used. */
export async function startHubbleServer({ settings, log, flows, fail }: HubbleServerOptions): Promise<HubbleServer> {
  const { hubbleListen } = settings;
  const address = typeof hubbleListen === 'string' ? `unix:${hubbleListen}` : formatSocketAddress(hubbleListen!);
  const walks = new Walks(fail);
  const observer = new Observer({ log: flows, walks, address, hasTls: settings.hubbleTlsCertFile !== null });
  const server = new Server({ ...KEEPALIVE, 'grpc.max_receive_message_length': REQUEST_BYTES_MAX, 'grpc.max_concurrent_streams': CALLS_PER_CONNECTION_MAX });
  server.addService(OBSERVER_DEFINITION, observer.handlers());
  addStandardServices(server);
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const end = (): void => {
    observer.close();
    walks.close();
    injector.destroy();
    server.forceShutdown();
  };
  try {
    const listener = await listenHubble(settings, log, (socket) => injector.injectConnection(socket));
    return {
      address,
      close: async () => {
        end();
        await listener.close();
      },
    };
  } catch (error) {
    end();
    throw error;
  }
}
