/**
 * The agent's end of the pair link: tandem.pair.v1 on RUN_DIR/pair.sock, for peers of the same user only.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { Server, ServerCredentials, status, type ServerDuplexStream } from '@grpc/grpc-js';
import { AppError, type Snapshot } from '@tandem/core';
import { pairV1, SNAPSHOT_BYTES_MAX, type WireMessage } from '@tandem/proto';
import { peerCredentials } from 'node-reuseport';
import type { Member } from '../member/member.js';
import { KEEPALIVE } from './keepalive.js';
import { PairSession } from './session.js';
import { SpacedLog } from './spaced-log.js';

const PRIVATE_UMASK = 0o177;
const MESSAGE_BYTES_MAX = SNAPSHOT_BYTES_MAX + 64 * 1024;
/** During a rolling update two peers may be linked for a moment; more are a mistake. */
const CONNECTIONS_MAX = 4;

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

/** @throws AppError UNAVAILABLE when the socket cannot be made. */
export async function startPairServer(options: PairServerOptions): Promise<PairServer> {
  const { member } = options;
  const path = pairSocketPath(member.settings.runDir);
  const sessions = new Set<PairSession>();
  const spaced = new SpacedLog(member.log);
  const server = new Server({ ...KEEPALIVE, 'grpc.max_receive_message_length': MESSAGE_BYTES_MAX });
  server.addService(pairV1.PairServiceService, {
    link: (call: ServerDuplexStream<pairV1.LinkRequest, pairV1.LinkResponse>) => {
      link(call, { ...options, spaced }, sessions);
    },
  });
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const listener = createServer((socket) => {
    if (isOwnUser(socket)) injector.injectConnection(socket);
    else {
      spaced.say('warn', 'a pair link was refused', 'another user dialled');
      socket.destroy();
    }
  });
  listener.maxConnections = CONNECTIONS_MAX;
  await listen(listener, path);
  member.onExchange = () => sessions.forEach((session) => session.pump());
  return {
    close: async () => {
      injector.destroy();
      server.forceShutdown();
      await new Promise<void>((resolve) => listener.close(() => resolve()));
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
  const end = (): void => {
    sessions.delete(session);
    session.ended();
  };
  call.on('data', ({ message }: pairV1.LinkRequest) => {
    if (message !== undefined) session.receive(message);
  });
  call.on('drain', () => session.resume());
  call.on('end', () => {
    call.end();
    end();
  });
  call.on('cancelled', end);
  call.on('error', end);
}

function isOwnUser(socket: Socket): boolean {
  const { fd } = (socket as unknown as { readonly _handle: { readonly fd: number } })._handle;
  return peerCredentials(fd).uid === process.geteuid!();
}

async function listen(listener: NetServer, path: string): Promise<void> {
  try {
    // The API's socket of this role is held already, so what lies here is a dead process's.
    rmSync(path, { force: true });
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject);
      const before = process.umask(PRIVATE_UMASK);
      listener.listen({ path }, () => resolve());
      process.umask(before);
    });
    chmodSync(path, 0o600);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new AppError('UNAVAILABLE', `cannot listen at ${path}: ${why}; check --run-dir`, { cause: error });
  }
}

