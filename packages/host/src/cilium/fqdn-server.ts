/**
 * The agent's end of Cilium's FQDNData contract, for a DNS proxy of another make on this node: says what policy is, takes what that proxy
 * learns.
 *
 * Invariant: a mapping is acknowledged when it is in the cache and on disk, or the disk does not take it. What a proxy can make us hold is
 * bounded: connections, streams, the size of a message, the time for an answer. No bytes of a proxy end more than its own call.
 */
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { type sendUnaryData, Server, ServerCredentials, type ServerDuplexStream, type ServerUnaryCall, status } from '@grpc/grpc-js';
import { AppError, formatSocketAddress, monoMs, type SocketAddress } from '@tandem/core';
import { fqdnPb } from '@tandem/proto';
import { bootTimeMs } from 'node-reuseport';
import type { Member } from '../member/member.js';
import { closerOf, listening, unavailable } from '../pair/listeners.js';
import { SpacedLog } from '../pair/spaced-log.js';
import { ServedState } from './served-state.js';
import { StateTeller } from './state-teller.js';
import { taughtMapping } from './taught-mapping.js';
import { FQDN_MAPPING, isWhole, NO_MESSAGES, type Shape } from './whole-message.js';

/** During a rolling update there are two proxies for a moment; the rest is for those that hang. */
const CONNECTIONS_MAX = 8;
const STREAMS_PER_CONNECTION = 64;
const PROXIES_MAX = 8;
const MESSAGE_BYTES_MAX = 256 * 1024;
const KEEPALIVE = { 'grpc.keepalive_time_ms': 5000, 'grpc.keepalive_timeout_ms': 5000 } as const;
const LISTEN_WITHIN_MS = 3000;
const LISTEN_AGAIN_MS = 50;
const TURNED_AWAY = 'a DNS proxy was turned away';
const NOT_TAKEN = 'a mapping of a DNS proxy was not taken';

/** null: bytes that are no message. */
interface Read<T> {
  readonly message: T | null;
}
type Answer = Read<fqdnPb.PolicyStateResponse>;
/** States go out as the bytes that they are. */
type Stream = ServerDuplexStream<Answer, Buffer>;
type Said = Read<fqdnPb.FQDNMapping>;
type MappingCall = ServerUnaryCall<Said, fqdnPb.UpdateMappingResponse>;

export interface FqdnServer {
  close(): Promise<void>;
}

/** @throws AppError UNAVAILABLE when it cannot listen there. */
export async function startFqdnServer(member: Member, at: SocketAddress): Promise<FqdnServer> {
  const spaced = new SpacedLog(member.log);
  const server = new Server({ ...KEEPALIVE, 'grpc.max_receive_message_length': MESSAGE_BYTES_MAX, 'grpc.max_concurrent_streams': STREAMS_PER_CONNECTION });
  const proxies = new Set<Proxy>();
  const served = new ServedState();
  const { streamPolicyState, updateMappingRequest } = fqdnPb.FQDNDataService;
  server.addService(
    {
      streamPolicyState: {
        ...streamPolicyState,
        requestDeserialize: (bytes: Buffer): Answer => readWhole(bytes, NO_MESSAGES, fqdnPb.PolicyStateResponse),
        responseSerialize: (bytes: Buffer) => bytes,
      },
      updateMappingRequest: { ...updateMappingRequest, requestDeserialize: (bytes: Buffer): Said => readWhole(bytes, FQDN_MAPPING, fqdnPb.FQDNMapping) },
    },
    {
      streamPolicyState: (stream: Stream) => {
        if (proxies.size < PROXIES_MAX) new Proxy(stream, { member, spaced, served, proxies });
        else stream.emit('error', { code: status.RESOURCE_EXHAUSTED, details: `there are ${PROXIES_MAX} proxies already` });
      },
      updateMappingRequest: (call: MappingCall, done: sendUnaryData<fqdnPb.UpdateMappingResponse>) => {
        taught(member, call.request).then((error) => {
          if (error === null) done(null, { response: fqdnPb.ResponseCode.NO_ERROR });
          else {
            spaced.say('warn', NOT_TAKEN, error.details);
            done(error);
          }
        }, (error: unknown) => done({ code: status.INTERNAL, details: error instanceof AppError ? error.message : 'the mapping cannot be kept' }));
      },
    },
  );
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const listener = createServer({ noDelay: true }, (socket: Socket) => injector.injectConnection(socket));
  listener.maxConnections = CONNECTIONS_MAX;
  listener.on('drop', () => spaced.say('warn', TURNED_AWAY, `there are ${CONNECTIONS_MAX} connections already`));
  const close = closerOf(listener);
  await listen(listener, at);
  member.onEnforce = () => proxies.forEach((proxy) => proxy.pump());
  return {
    close: async () => {
      member.onEnforce = () => undefined;
      injector.destroy();
      server.forceShutdown();
      proxies.forEach((proxy) => proxy.end());
      await close();
    },
  };
}

/** A predecessor of this role may just be letting go of the port. */
async function listen(listener: NetServer, at: SocketAddress): Promise<void> {
  for (const giveUpMs = bootTimeMs() + LISTEN_WITHIN_MS; ;) {
    try {
      await listening(listener, () => listener.listen({ host: at.address, port: at.port }));
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || bootTimeMs() >= giveUpMs) {
        throw unavailable(formatSocketAddress(at), 'choose another --standalone-dns-proxy-listen', error);
      }
      await new Promise((resolve) => { setTimeout(resolve, LISTEN_AGAIN_MS); });
    }
  }
}

interface ProxyOptions {
  readonly member: Member;
  readonly spaced: SpacedLog;
  readonly served: ServedState;
  readonly proxies: Set<Proxy>;
}

/** One that listens to what policy is. */
class Proxy {
  private readonly options: ProxyOptions;
  private readonly teller: StateTeller;

  constructor(stream: Stream, options: ProxyOptions) {
    const { member, spaced, served, proxies } = options;
    this.options = options;
    this.teller = new StateTeller({
      snapshot: () => member.snapshot, served, spaced,
      write: (bytes) => stream.write(bytes),
      onFail: (code, details) => {
        spaced.say('warn', TURNED_AWAY, details);
        this.end();
        stream.emit('error', { code, details });
      },
    });
    proxies.add(this);
    const end = (): void => this.end();
    stream.on('data', ({ message }: Answer) => this.teller.answered(message));
    stream.on('end', () => {
      stream.end();
      end();
    });
    stream.on('cancelled', end);
    stream.on('close', end);
    stream.on('error', end);
    this.pump();
  }

  pump(): void {
    this.teller.pump();
  }

  end(): void {
    this.teller.end();
    this.options.proxies.delete(this);
  }
}

/** Resolves when it may be acknowledged (null), or says why not. */
async function taught(member: Member, { message }: Said): Promise<{ code: status; details: string } | null> {
  if (message === null) return { code: status.INVALID_ARGUMENT, details: 'a mapping that cannot be read' };
  const taken = taughtMapping(message, { snapshot: member.snapshot, nowMs: monoMs(bootTimeMs()), minTtlSeconds: member.settings.minTtlSeconds });
  if ('mappings' in taken) {
    if (taken.mappings.length > 0) await member.mappings.merge(taken.mappings);
    return null;
  }
  return { code: CODES[taken.response] ?? status.UNKNOWN, details: taken.reason };
}

const CODES: Readonly<Record<number, status>> = {
  [fqdnPb.ResponseCode.ERROR_ENDPOINT_NOT_FOUND]: status.NOT_FOUND,
  [fqdnPb.ResponseCode.ERROR_INVALID_ARGUMENT]: status.INVALID_ARGUMENT,
  [fqdnPb.ResponseCode.REFUSED]: status.PERMISSION_DENIED,
};

/** Never throws, so that the connection goes on. */
function readWhole<T>(bytes: Buffer, shape: Shape, message: { decode(bytes: Uint8Array): T }): Read<T> {
  if (!isWhole(bytes, shape)) return { message: null };
  try {
    return { message: message.decode(bytes) };
  } catch {
    return { message: null };
  }
}
