/**
 * The Observer API behind the connections that server.ts takes: Hubble's service, with health and reflection beside it. Loaded when the first
 * of them comes, as it takes some megabytes.
 */
import type { Socket } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { Observer, OBSERVER_DEFINITION, type ObserverOptions } from './observer.js';
import { addStandardServices } from './standard-services.js';
import { Walks } from './walks.js';

const REQUEST_BYTES_MAX = 256 * 1024;
const CALLS_PER_CONNECTION_MAX = 100;
/** A client that answers no ping is gone. */
const KEEPALIVE = { 'grpc.keepalive_time_ms': 10_000, 'grpc.keepalive_timeout_ms': 5_000 } as const;

export interface ObserverServer {
  serve(socket: Socket): void;
  /** Ends what is under way. */
  end(): void;
}

/** `fail` ends the process: an invariant is broken. */
export function observerServer(options: Omit<ObserverOptions, 'walks'>, fail: (error: Error) => void): ObserverServer {
  const walks = new Walks(fail);
  const server = new Server({ ...KEEPALIVE, 'grpc.max_receive_message_length': REQUEST_BYTES_MAX, 'grpc.max_concurrent_streams': CALLS_PER_CONNECTION_MAX });
  server.addService(OBSERVER_DEFINITION, new Observer({ ...options, walks }).handlers());
  addStandardServices(server);
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  return {
    serve: (socket) => injector.injectConnection(socket),
    end: () => {
      walks.close();
      injector.destroy();
      server.forceShutdown();
    },
  };
}
