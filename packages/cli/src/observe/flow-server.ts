/** Where flows come from: the Observer API of a member, found in the run-dir, or of any Hubble server. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ChannelOptions, type ChannelCredentials, credentials } from '@grpc/grpc-js';
import { AppError, type Role } from '@tandem/core';
import { ObserverClient } from '@tandem/proto';

export interface TlsOptions {
  readonly tls?: boolean;
  readonly tlsCaCertFiles?: readonly string[];
  readonly tlsClientCertFile?: string;
  readonly tlsClientKeyFile?: string;
  readonly tlsServerName?: string;
}

export interface FlowServer {
  /** For people. */
  readonly name: string;
  /** Its Unix socket; null: it is elsewhere. */
  readonly path: string | null;
  readonly connect: () => ObserverClient;
}

/** A member that hangs is noticed by these: a stream without flows looks the same otherwise. */
const PING_EVERY_MS = 5_000;
const PONG_WITHIN_MS = 3_000;
const PATH_MAX = 107;

/** The socket on which a member serves flows when nobody says otherwise. */
export function memberServer(runDir: string, role: Role): FlowServer {
  const path = join(runDir, `${role}-hubble.sock`);
  return { name: role, path, connect: () => new ObserverClient(`unix:${path}`, credentials.createInsecure(), channelOptions({})) };
}

/** `ADDR:PORT`, `unix:PATH`, `tls://ADDR:PORT`. @throws AppError USAGE */
export function namedServer(text: string, tls: TlsOptions): FlowServer {
  const isTls = tls.tls === true || text.startsWith('tls://') || tls.tlsCaCertFiles !== undefined || tls.tlsClientCertFile !== undefined;
  const bare = text.replace(/^(?:tls|tcp|dns):\/\/\/?/, '');
  const path = /^unix:(?:\/\/)?(.+)$/.exec(bare)?.[1];
  if (path === undefined ? !/^(?:[^:/\s[\]]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}$/.test(bare) : path.length > PATH_MAX) {
    throw new AppError('USAGE', `--server ${JSON.stringify(text)}: ADDR:PORT or unix:PATH is expected`);
  }
  const channel = isTls ? tlsCredentials(tls) : credentials.createInsecure();
  return { name: text, path: path ?? null, connect: () => new ObserverClient(path === undefined ? bare : `unix:${path}`, channel, channelOptions(tls)) };
}

function channelOptions({ tlsServerName }: TlsOptions): ChannelOptions {
  return {
    'grpc.keepalive_time_ms': PING_EVERY_MS,
    'grpc.keepalive_timeout_ms': PONG_WITHIN_MS,
    'grpc.use_local_subchannel_pool': 1,
    ...(tlsServerName === undefined ? {} : { 'grpc.ssl_target_name_override': tlsServerName, 'grpc.default_authority': tlsServerName }),
  };
}

function tlsCredentials({ tlsCaCertFiles, tlsClientCertFile, tlsClientKeyFile }: TlsOptions): ChannelCredentials {
  if ((tlsClientCertFile === undefined) !== (tlsClientKeyFile === undefined)) throw new AppError('USAGE', '--tls-client-cert-file and --tls-client-key-file go together');
  const authorities = tlsCaCertFiles === undefined ? null : Buffer.concat(tlsCaCertFiles.map(read));
  try {
    return tlsClientCertFile === undefined || tlsClientKeyFile === undefined
      ? credentials.createSsl(authorities)
      : credentials.createSsl(authorities, read(tlsClientKeyFile), read(tlsClientCertFile));
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError('USAGE', `the TLS files cannot be used: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new AppError('USAGE', `${path}: cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
