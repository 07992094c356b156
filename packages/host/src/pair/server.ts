/**
 * The agent's end of the pair link: tandem.pair.v1 on RUN_DIR/pair.sock and, where `--pair-listen` says so, over TCP.
 */
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { Server, ServerCredentials, status, type ServerDuplexStream } from '@grpc/grpc-js';
import type { Snapshot } from '@tandem/core';
import { pairV1, SNAPSHOT_BYTES_MAX, type WireMessage } from '@tandem/proto';
import type { Member } from '../member/member.js';
import { KEEPALIVE } from './keepalive.js';
import { listenPair, listenTls } from './listeners.js';
import { OWN_END, PairSession } from './session.js';
import { SpacedLog } from './spaced-log.js';
import { pairTlsFiles, TlsFiles } from './tls-files.js';

/** A connection on which nobody calls, or whose call has ended: its place is for others. */
const IDLE_MS = 5000;
const MESSAGE_BYTES_MAX = SNAPSHOT_BYTES_MAX + 64 * 1024;

export function pairSocketPath(runDir: string): string {
  return join(runDir, 'pair.sock');
}

export interface PairServer {
  close(): Promise<void>;
}

export interface PairServerOptions {
  readonly member: Member;
  readonly onForeignSnapshot: (revision: number, hash: string) => void;
  /** The peer's policy came, for a member without any. Rejects where it is not to be enforced. */
  readonly onSnapshot: (snapshot: Snapshot) => Promise<void>;
}

/** @throws AppError UNAVAILABLE when a socket cannot be made, CONFIGURATION for certificates that cannot be used. */
export async function startPairServer(options: PairServerOptions): Promise<PairServer> {
  const { member } = options;
  const path = pairSocketPath(member.settings.runDir);
  const sessions = new Set<PairSession>();
  const spaced = new SpacedLog(member.log);
  const server = new Server({ ...KEEPALIVE, 'grpc.max_connection_idle_ms': IDLE_MS, 'grpc.max_receive_message_length': MESSAGE_BYTES_MAX });
  server.addService(pairV1.PairServiceService, {
    link: (call: ServerDuplexStream<pairV1.LinkRequest, pairV1.LinkResponse>) => {
      link(call, { ...options, spaced }, sessions);
    },
  });
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const onPeer = (socket: Socket): void => injector.injectConnection(socket);
  const { pairListen } = member.settings;
  const files = pairListen === null ? null : new TlsFiles(pairTlsFiles(member.settings), spaced);
  const listeners = [await listenPair(path, onPeer, spaced)];
  if (pairListen !== null && files !== null) {
    listeners.push(await listenTls(pairListen, files, onPeer, spaced).catch(async (error: unknown) => {
      await listeners[0].close();
      throw error;
    }));
  }
  member.onExchange = () => sessions.forEach((session) => session.pump());
  return {
    close: async () => {
      for (const session of sessions) session.ended(OWN_END);
      injector.destroy();
      server.forceShutdown();
      await Promise.all(listeners.map((listener) => listener.close()));
    },
  };
}

function link(
  call: ServerDuplexStream<pairV1.LinkRequest, pairV1.LinkResponse>,
  options: PairServerOptions & { readonly spaced: SpacedLog },
  sessions: Set<PairSession>,
): void {
  const session = new PairSession({
    member: options.member,
    spaced: options.spaced,
    send: (message: WireMessage) => call.write({ message: message }),
    close: (error) => {
      if (error === null) call.end();
      else call.emit('error', { code: status.FAILED_PRECONDITION, details: error.message });
    },
    onForeignSnapshot: options.onForeignSnapshot,
    onSnapshot: options.onSnapshot,
  });
  sessions.add(session);
  const end = (reason: string): void => {
    sessions.delete(session);
    session.ended(reason);
  };
  call.on('data', ({ message }: pairV1.LinkRequest) => {
    if (message !== undefined) session.receive(message);
  });
  call.on('drain', () => session.resume());
  call.on('end', () => {
    call.end();
    end('the DNS proxy ended it');
  });
  call.on('cancelled', () => end('the DNS proxy ended it, or its connection broke'));
  call.on('error', (error: Error) => end(error.message));
}
