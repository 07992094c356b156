/**
 * Loads the native addon and gives its raw calls types. Raw calls take checked arguments and return −errno when the
 * kernel refuses; the modules beside this one check and turn refusals into errors.
 * `NODE_REUSEPORT_BINARY` names another binary (the AddressSanitizer build).
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** A native object; only handed back to the addon. */
export type Handle = object & { readonly __native: never };

export interface RawFailure {
  readonly errno: number;
  readonly problem: string;
}

export interface RawJournal {
  readonly handle: Handle;
  readonly buffer: ArrayBuffer;
  readonly fd: number;
  readonly locked: boolean;
  readonly slots: number;
  readonly batch: number;
  readonly transmit: number;
  readonly totalBytes: number;
  readonly stateOffset: number;
  readonly slotOffset: number;
  readonly answerOffset: number;
  readonly scratchOffset: number;
  readonly version: number;
  readonly extraOffset: number;
  readonly extraBytes: number;
  readonly receiveIndexOffset: number;
  readonly receiveHeaderOffset: number;
  readonly transmitHeaderOffset: number;
  readonly transmitRecordOffset: number;
  readonly heartbeatOffset: number;
  readonly cursorOffset: number;
  readonly stopOffset: number;
  readonly epochOffset: number;
  readonly ownerPidOffset: number;
  readonly idOffset: number;
  readonly countersOffset: number;
}

export interface RawReactor {
  readonly handle: Handle;
  readonly control: Float64Array;
  readonly received: Uint32Array;
  readonly answers: Uint32Array;
  readonly ready: Int32Array;
  readonly transmit: Uint32Array;
  readonly taken: Uint32Array;
  readonly wakeFd: number;
}

export interface RawAddress {
  readonly address: string;
  readonly port: number;
  readonly family: 4 | 6;
}

export interface RawMessage {
  readonly data: Uint8Array;
  readonly fds: number[];
  readonly truncated: boolean;
  readonly fdsLost: boolean;
  readonly end: boolean;
}

export interface RawReply {
  readonly errno: number;
  readonly sequence: number;
  readonly message: string;
  readonly messages: Uint8Array;
}

export interface RawDump {
  readonly errno: number;
  readonly message: string;
  readonly rows: Uint32Array;
}

export interface RawChange {
  readonly errno: number;
  readonly message: string;
  readonly changed: number;
  readonly absent: number;
}

interface Binding {
  journalCreate(version: number, slots: number, batch: number, transmit: number, extraBytes: number): RawJournal | RawFailure;
  journalOpen(fd: number): RawJournal | RawFailure;
  journalRelease(journal: Handle, buffer: ArrayBuffer): number;
  sayWhenDying(journal: Handle): number;
  bootTimeMs(): number;
  armPoint(point: number, countdown: number, action: number | (() => void)): number;
  disarmPoints(): void;
  signalThread(signal: number): number;

  openSocket(type: number, family: number): number;
  setOption(fd: number, family: number, name: string, value: number): number;
  bindSocket(fd: number, address: string, port: number): number;
  connectSocket(fd: number, address: string, port: number): number;
  listenSocket(fd: number, backlog: number): number;
  localAddress(fd: number): RawAddress | number;
  remoteAddress(fd: number): RawAddress | number;
  closeFd(fd: number): number;
  shutdownFd(fd: number, how: number): number;
  isListening(fd: number): number;
  awaitWritable(fd: number, timeoutMs: number): number;
  socketError(fd: number): number;

  acceptConnection(listenerFd: number): number;
  connectionInterface(fd: number): number;
  receiveInto(fd: number, target: Uint8Array, offset: number, length: number, peek: boolean): number;
  discard(fd: number, length: number): number;
  sendFrom(fd: number, source: Uint8Array, offset: number, length: number): number;
  setReceiveLowWater(fd: number, bytes: number): number;
  resetConnection(fd: number): number;
  tcpProgress(fd: number): { readonly isHalfClosed: boolean; readonly received: number; readonly unread: number; readonly bytesAcked: number; readonly unsent: number } | number;

  listenUnix(path: string, mode: number, stream: boolean): number;
  connectUnix(path: string, stream: boolean): number;
  unixSocketPair(stream: boolean): [number, number] | number;
  sendWithFds(fd: number, data: Uint8Array, fds: readonly number[]): number;
  receiveWithFds(fd: number, maxBytes: number, maxFds: number): RawMessage | null | number;
  peerCredentials(fd: number): { readonly pid: number; readonly uid: number; readonly gid: number } | number;

  lockFile(path: string): number;
  setThreadSlice(nanoseconds: number): number;
  threadSlice(): number;

  openNetlink(protocol: number, groups: Uint32Array, receiveBufferBytes: number): number;
  sendNetlink(fd: number, request: Uint8Array): number;
  receiveNetlink(fd: number, into: Uint8Array): number;
  netlinkExchange(protocol: number, request: Uint8Array, deadlineMs: number, bytesMax: number): Promise<RawReply> | number;
  pollStart(fd: number, onReadable: () => void): Handle | number;
  pollClose(poller: Handle): void;
  dumpConnections(mark: number, mask: number, deadlineMs: number, connectionsMax: number): Promise<RawDump> | number;
  deleteConnections(rows: Uint32Array, deadlineMs: number): Promise<RawChange> | number;
  markConnections(rows: Uint32Array, deadlineMs: number, mark: number, mask: number): Promise<RawChange> | number;
  writerCreate(protocol: number, capacity: number, bytesMax: number): { readonly handle: Handle; readonly fd: number } | number;
  writerSubmit(writer: Handle, request: Uint8Array, ticket: number): number;
  writerCompletions(writer: Handle, into: Int32Array): number;
  writerClose(writer: Handle): void;

  reactorCreate(journal: Handle, readyCapacity: number): RawReactor | number;
  reactorClose(reactor: Handle): number;
  step(reactor: Handle, transmitCount: number, timeoutMs: number): number;
  flush(reactor: Handle, transmitCount: number): number;
  addListener(reactor: Handle, fd: number, index: number, replyFromServerAddress: boolean): number;
  removeListener(reactor: Handle, index: number): number;
  setReceiving(reactor: Handle, index: number, on: boolean): number;
  queuedMs(reactor: Handle, index: number): number;
  addUpstream(reactor: Handle, fd: number, index: number, connected: boolean, segment: boolean): number;
  removeUpstream(reactor: Handle, index: number): number;
  watch(reactor: Handle, fd: number, token: number, events: number, known: boolean): number;
  unwatch(reactor: Handle, fd: number): number;
  allocateSlot(reactor: Handle): number;
  freeSlot(reactor: Handle, slot: number): number;
  setReserve(reactor: Handle, reserve: number): number;
  take(reactor: Handle, peer: Handle, slot: number, listenerBase: number, ownerGone: boolean): number;
  scan(peer: Handle, rows: Uint32Array): number;
  wake(wakeFd: number): number;
}

function load(): Binding {
  const require = createRequire(import.meta.url);
  const chosen = process.env.NODE_REUSEPORT_BINARY;
  if (chosen !== undefined && chosen !== '') return require(chosen) as Binding;
  const root = fileURLToPath(new URL('..', import.meta.url));
  try {
    return (require('node-gyp-build') as (folder: string) => Binding)(root);
  } catch (cause) {
    throw new Error(
      `node-reuseport: no native binary for ${process.platform}-${process.arch} in ${root}build/Release. ` +
        'Build it with: npm run build --workspace node-reuseport (needs g++, make, python3)',
      { cause },
    );
  }
}

export const binding: Binding = load();
