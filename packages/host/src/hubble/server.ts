/**
 * The Observer API of a member, over the flows of both: listens, and has the rest loaded when somebody dials. Everything a client may ask
 * for is bounded: connections, requests at once, the size of a message, filters; at a bound it is refused with the bound's name.
 */
import type { Socket } from 'node:net';
import { formatSocketAddress, type Log } from '@tandem/core';
import type { FlowLog } from '../flows/flow-log.js';
import { FlowRate, SAMPLE_EVERY_MS } from './flow-rate.js';
import { type HubbleListenSettings, listenHubble } from './listen.js';
import type { ObserverServer } from './observer-server.js';

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
  const rate = new FlowRate();
  let loading: Promise<ObserverServer> | null = null;
  let isClosed = false;
  const load = async (): Promise<ObserverServer> => {
    const { observerServer } = await import('./observer-server.js');
    return observerServer({ log: flows, rate, address, hasTls: settings.hubbleTlsCertFile !== null }, fail);
  };
  const serve = async (socket: Socket): Promise<void> => {
    // Of one that goes meanwhile nobody else hears.
    const ignore = (): void => undefined;
    socket.on('error', ignore);
    const server = await (loading ??= load());
    socket.off('error', ignore);
    if (isClosed || socket.destroyed) socket.destroy();
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
      if (loading !== null) (await loading).end();
      await listener.close();
    },
  };
}
