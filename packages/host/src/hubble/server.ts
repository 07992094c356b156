/**
 * The Observer API of a member, over the flows of both: listens, and has the rest loaded when somebody dials. Everything a client may ask
 * for is bounded: connections, requests at once, the size of a message, filters; at a bound it is refused with the bound's name.
 */
import type { Socket } from 'node:net';
import { formatSocketAddress, type Log } from '@tandem/core';
import type { FlowLog } from '../flows/flow-log.js';
import { FlowRate, SAMPLE_EVERY_MS } from './flow-rate.js';
import { type HubbleListenSettings, listenHubble } from './listen.js';
import type { observerServer, ObserverServer } from './observer-server.js';

export interface HubbleServerOptions {
  /** `hubbleListen` is not null. */
  readonly settings: HubbleListenSettings;
  readonly log: Log;
  readonly flows: FlowLog;
  /** Ends the process: an invariant is broken. */
  readonly fail: (error: Error) => void;
  /** For tests. */
  readonly importServer?: () => Promise<ObserverModule>;
}

/** What is loaded when somebody dials. */
export interface ObserverModule {
  readonly observerServer: typeof observerServer;
}

export interface HubbleServer {
  /** `unix:PATH` or `ADDR:PORT`. */
  readonly address: string;
  /** Stops listening and ends what is under way. */
  close(): Promise<void>;
}

/** @throws AppError UNAVAILABLE when it cannot listen there, CONFIGURATION for certificates that cannot be used. */
export async function startHubbleServer({ settings, log, flows, fail, importServer }: HubbleServerOptions): Promise<HubbleServer> {
  const { hubbleListen } = settings;
  const address = typeof hubbleListen === 'string' ? `unix:${hubbleListen}` : formatSocketAddress(hubbleListen!);
  const rate = new FlowRate();
  let loading: Promise<ObserverServer> | null = null;
  let isClosed = false;
  const load = async (): Promise<ObserverServer> => {
    const module = await (importServer ?? importObserver)();
    return module.observerServer({ log: flows, rate, address, hasTls: settings.hubbleTlsCertFile !== null }, fail);
  };
  /** Null: it cannot be loaded, from a disk that fails or while the program is replaced; who dials next has it tried again. */
  const loaded = async (): Promise<ObserverServer | null> => {
    const attempt = (loading ??= load());
    try {
      return await attempt;
    } catch (error) {
      if (loading === attempt) {
        loading = null;
        log.error('the Observer API cannot be loaded', { reason: error instanceof Error ? error.message : String(error) });
      }
      return null;
    }
  };
  const serve = async (socket: Socket): Promise<void> => {
    // Of one that goes meanwhile nobody else hears.
    const ignore = (): void => undefined;
    socket.on('error', ignore);
    const server = await loaded();
    socket.off('error', ignore);
    if (server === null || isClosed || socket.destroyed) socket.destroy();
    else server.serve(socket);
  };
  const listener = await listenHubble(settings, log, (socket) => void serve(socket).catch(fail));
  const sample = (): void => rate.sample(flows.members(), performance.now());
  sample();
  const sampling = setInterval(sample, SAMPLE_EVERY_MS).unref();
  return {
    address,
    close: async () => {
      isClosed = true;
      clearInterval(sampling);
      (await loading?.catch(() => null))?.end();
      await listener.close();
    },
  };
}

function importObserver(): Promise<ObserverModule> {
  return import('./observer-server.js');
}
