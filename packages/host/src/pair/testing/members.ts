/** Members without a data plane, and peers that do not keep to the rules, for the tests of the pair link. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Client, type ClientDuplexStream, credentials, Server, ServerCredentials, type ServerDuplexStream, type StatusObject,
} from '@grpc/grpc-js';
import { type Log, type Mapping, monoMs, type Role, type Settings, type Snapshot, snapshotHash } from '@tandem/core';
import { pairV1 } from '@tandem/proto';
import { bootTimeMs } from 'node-reuseport';
import { Member, type MemberOptions } from '../../member/member.js';
import { pairSocketPath } from '../server.js';

const VERSION = '0.0.0';
const TTL_SECONDS = 3600;
/** Few enough mappings per endpoint that the cache keeps them all. */
const ENDPOINT_BITS = 14;
/** When mappings were looked up: expired ones would be collected. */
const startMs = monoMs(Math.floor(bootTimeMs()));

export class RecordingLog implements Log {
  /** `level message {fields}`. */
  readonly lines: string[] = [];

  debug(): void {
    // Nobody looks at these.
  }

  info(message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.add('info', message, fields);
  }

  warn(message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.add('warn', message, fields);
  }

  error(message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.add('error', message, fields);
  }

  has(pattern: RegExp): boolean {
    return this.lines.some((line) => pattern.test(line));
  }

  private add(level: string, message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  }
}

/** A folder for run-dir and state-dirs; short, since a Unix socket's path is. */
export class Node {
  readonly dir = mkdtempSync(join(tmpdir(), 'tandem-'));

  member(role: Role, changes: Partial<Settings> = {}, seams: Pick<MemberOptions, 'enforcement' | 'clock'> = {}): { member: Member; log: RecordingLog } {
    const log = new RecordingLog();
    const fail = (error: Error): never => {
      throw error;
    };
    return { member: new Member({ settings: { ...this.settings(role), ...changes }, version: VERSION, log, fail, ...seams }), log };
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  private settings(role: Role): Settings {
    const listen = [{ address: '127.0.0.1', family: 4, port: 1 }] as const;
    return {
      role, mode: 'explicit', datapath: 'none', grantScope: 'node', clientAddressUpstream: false, podCidrs: [], packetMark: 1, routeTable: 1, staleSourceLimitSeconds: 0,
      listen, upstreams: listen, policyPort: 53, manifestsDir: null, kubernetes: false, kubeconfig: null, clusterCidrs: [], nodeName: 'node', runDir: this.dir,
      stateDir: join(this.dir, role), httpListen: listen[0], unknownEndpoint: 'refuse', enablePolicy: 'default', auditMode: false,
      enableHubble: true, flowCapacity: 1023, workers: 1, slots: 64, upstreamPorts: 64, tcpIdleTimeoutMs: 1000, tcpConnections: 1, tcpConnectionsPerClient: 1,
      rejectResponseCode: 'refused', refusedSearchExpansions: 'refuse', clusterDomain: 'cluster.local', searchDomains: [], dnsCompression: true, minTtlSeconds: 0, maxIpsPerHostname: 10_000,
      maxDeferredDeletes: 10_000, idleConnectionGraceMs: 0, gcIntervalMs: 60_000,
      connectionGcIntervalMs: 60_000, preCachePath: null, responseMaxDelayMs: 100,
      concurrencyLimit: 0, concurrencyGraceMs: 0, pairListen: null, pairConnect: null, ciliumAgent: null, standaloneProxyListen: null, pairTlsCert: null, pairTlsKey: null, pairTlsCa: null,
    hubbleListen: null, hubbleTlsCertFile: null, hubbleTlsKeyFile: null, hubbleTlsClientCaFiles: [],
      metricsCiliumPrefix: 'cilium_', logLevel: 'error', logFormat: 'json',
    };
  }
}

/** Snapshots of different revisions differ in their content, too. */
export function snapshotOf(revision: number): Snapshot {
  const endpoints = [{ id: 1, uid: 'uid-1', namespace: 'shop', pod: 'web', identity: 256, addresses: ['127.0.0.1'], ruleSet: null }];
  const content = { nodeName: `node-${revision}`, endpoints, identities: [], services: [], ruleSets: [], fqdnSelectors: [], policies: [] };
  return { revision, hash: snapshotHash(content), ...content };
}

export function mappingOf(i: number, name = `n${i}.example.`): Mapping {
  return {
    endpointUid: `uid-${1 + (i >> ENDPOINT_BITS)}`, name, address: `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`, lookupMs: startMs, ttlSeconds: TTL_SECONDS,
    expiryMs: monoMs(startMs + TTL_SECONDS * 1000),
  };
}

export const HELLO: pairV1.Hello = {
  protocol: 1, protocolMin: 1, role: 'dns-proxy', incarnation: 'feed', version: VERSION, snapshotRevision: 0n, snapshotHash: '',
  verdictSettings: {}, seen: [], sourceHeard: undefined,
};

type Call = ClientDuplexStream<pairV1.LinkRequest, pairV1.LinkResponse>;

/** Dials the agent's socket and says what the test wants it to say. */
export class RawPeer {
  readonly received: NonNullable<pairV1.LinkResponse['message']>[] = [];
  readonly ended: Promise<StatusObject>;
  private readonly client: Client;
  private readonly call: Call;
  private bytes: Buffer | null = null;

  constructor(runDir: string) {
    const { path, responseDeserialize } = pairV1.PairServiceService.link;
    this.client = new Client(`unix:${pairSocketPath(runDir)}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    const encode = (request: pairV1.LinkRequest): Buffer => this.bytes ?? Buffer.from(pairV1.LinkRequest.encode(request).finish());
    this.call = this.client.makeBidiStreamRequest(path, encode, responseDeserialize);
    this.ended = new Promise((resolve) => this.call.on('status', resolve));
    this.call.on('error', () => undefined);
    this.call.on('data', ({ message }: pairV1.LinkResponse) => {
      if (message !== undefined) this.received.push(message);
    });
  }

  say(message: NonNullable<pairV1.LinkRequest['message']>): void {
    this.call.write({ message });
  }

  /** One message of these bytes. */
  sayBytes(bytes: Uint8Array): void {
    this.bytes = Buffer.from(bytes);
    this.call.write({ message: undefined });
  }

  close(): void {
    this.call.cancel();
    this.client.close();
  }
}

/** Stands at the agent's socket and says what the test wants it to say. */
export class RawAgent {
  readonly received: NonNullable<pairV1.LinkRequest['message']>[] = [];
  /** Streams that were opened here, ended ones included. */
  links = 0;
  private readonly server = new Server();
  private call: ServerDuplexStream<pairV1.LinkRequest, pairV1.LinkResponse> | null = null;

  private constructor() {
    this.server.addService(pairV1.PairServiceService, {
      link: (call: ServerDuplexStream<pairV1.LinkRequest, pairV1.LinkResponse>) => {
        this.links++;
        this.call = call;
        call.on('error', () => undefined);
        call.on('data', ({ message }: pairV1.LinkRequest) => {
          if (message !== undefined) this.received.push(message);
        });
        call.on('end', () => call.end());
      },
    });
  }

  static async start(runDir: string): Promise<RawAgent> {
    const agent = new RawAgent();
    await new Promise<void>((resolve, reject) => {
      agent.server.bindAsync(`unix:${pairSocketPath(runDir)}`, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    return agent;
  }

  say(message: NonNullable<pairV1.LinkResponse['message']>): void {
    this.call!.write({ message });
  }

  close(): void {
    this.server.forceShutdown();
  }
}
