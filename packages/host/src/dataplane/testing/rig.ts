/** A data plane on loopback with an upstream in the same process, for tests. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EndpointRecord, ruleSetKey, type Settings, type Snapshot, snapshotHash, type SocketAddress } from '@tandem/core';
import { freeAddress } from '../../testing/free-address.js';
import { DataPlane } from '../data-plane.js';
import type { MappingRecord } from '../mapping-record.js';
import { addressFor } from './messages.js';
import { TestUpstream, type Zone } from './upstream.js';
import { DEADLINE_MS, until } from './wait.js';

const FIRST_IDENTITY = 256;
const FIRST_TURN_MS = DEADLINE_MS;

/** Endpoint 1 is 127.0.0.1, 2 is ::1, 3 is 127.0.0.3; with `denied`, 127.0.0.1 may ask nothing, else all may ask all. */
export function snapshotOf(revision: number, options: { readonly denied?: boolean } = {}): Snapshot {
  const endpoints = ['127.0.0.1', '::1', '127.0.0.3'].map((address, i): EndpointRecord => ({
    id: i + 1, uid: `uid-${i + 1}`, namespace: 'shop', pod: `pod-${i + 1}`, identity: FIRST_IDENTITY, addresses: [address],
    ruleSet: options.denied === true && i === 0 ? 0 : null,
  }));
  const content = {
    nodeName: 'node',
    endpoints,
    identities: [{ identity: FIRST_IDENTITY, labels: ['k8s:app=shop'], addresses: ['127.0.0.1', '127.0.0.3', '::1'] }],
    services: [],
    ruleSets: options.denied === true ? [{ key: ruleSetKey({ rules: [] }), rules: [] }] : [],
    fqdnSelectors: [],
    policies: [],
  };
  return { revision, hash: snapshotHash(content), ...content };
}

/** A folder of the test's own; remove it with `rmSync`. */
export function newDir(): string {
  return mkdtempSync(join(tmpdir(), 'tandem-'));
}

/** `dir` is run-dir and state-dir. */
export function settingsOf(dir: string, listen: readonly SocketAddress[], upstreams: readonly SocketAddress[]): Settings {
  return {
    role: 'agent', mode: 'explicit', datapath: 'none', grantScope: 'node', clientAddressUpstream: false, podCidrs: [], packetMark: 1, routeTable: 1, staleSourceLimitSeconds: 0,
    listen, upstreams, policyPort: 53, manifestsDir: null, kubernetes: false, kubeconfig: null, clusterCidrs: [], nodeName: 'node', runDir: dir, stateDir: dir,
    httpListen: { address: '127.0.0.1', family: 4, port: 0 }, unknownEndpoint: 'refuse', enablePolicy: 'default', auditMode: false,
    enableHubble: true, flowCapacity: 1023, workers: 1, slots: 1024, upstreamPorts: 64, tcpIdleTimeoutMs: 10_000, tcpConnections: 1024, tcpConnectionsPerClient: 128,
    rejectResponseCode: 'refused', refusedSearchExpansions: 'refuse', clusterDomain: 'cluster.local', searchDomains: [], dnsCompression: true, minTtlSeconds: 0, maxIpsPerHostname: 1000,
    maxDeferredDeletes: 10_000, idleConnectionGraceMs: 0, gcIntervalMs: 60_000,
    connectionGcIntervalMs: 60_000, preCachePath: null, responseMaxDelayMs: 100,
    concurrencyLimit: 0, concurrencyGraceMs: 0, pairListen: null, pairConnect: null, ciliumAgent: null, standaloneProxyListen: null, pairTlsCert: null, pairTlsKey: null, pairTlsCa: null,
    hubbleListen: null, hubbleTlsCertFile: null, hubbleTlsKeyFile: null, hubbleTlsClientCaFiles: [],
    metricsCiliumPrefix: 'cilium_', logLevel: 'error', logFormat: 'json',
  };
}

export interface RigOptions {
  /** Addresses to listen at; a free port of each is taken. */
  readonly listen?: readonly string[];
  readonly settings?: Partial<Settings>;
  readonly snapshot?: Snapshot | null;
  /** Answers every question with an address unless said otherwise. */
  readonly zone?: Zone;
  readonly upstream?: string;
  /** Asked after the rig's own. */
  readonly moreUpstreams?: readonly SocketAddress[];
}

export class Rig {
  readonly plane: DataPlane;
  readonly upstream: TestUpstream;
  readonly mappings: MappingRecord[];
  readonly applied: number[];
  readonly crashes: Error[];
  readonly warnings: string[];
  /** Before the first query. */
  readonly slotsFree: number;
  private readonly dir: string;
  private stopped: Promise<void> | null = null;

  private constructor(plane: DataPlane, upstream: TestUpstream, seen: Pick<Rig, 'mappings' | 'applied' | 'crashes' | 'warnings'> & { readonly dir: string }) {
    this.plane = plane;
    this.upstream = upstream;
    this.mappings = seen.mappings;
    this.applied = seen.applied;
    this.crashes = seen.crashes;
    this.warnings = seen.warnings;
    this.dir = seen.dir;
    this.slotsFree = plane.gauges().freeSlots;
  }

  static async start(options: RigOptions = {}): Promise<Rig> {
    const upstream = await TestUpstream.start(options.upstream ?? '127.0.0.1', options.zone ?? ((asked) => asked.answer(addressFor(asked.query))));
    const listen: SocketAddress[] = [];
    for (const address of options.listen ?? ['127.0.0.1']) listen.push(await freeAddress(address));
    const dir = newDir();
    const seen = { mappings: [] as MappingRecord[], applied: [] as number[], crashes: [] as Error[], warnings: [] as string[], dir };
    const settings: Settings = { ...settingsOf(dir, listen, [upstream.address, ...(options.moreUpstreams ?? [])]), ...options.settings };
    const plane = await DataPlane.start(settings, options.snapshot === undefined ? snapshotOf(1) : options.snapshot, {
      onMappings: (records) => seen.mappings.push(...records),
      onPolicyApplied: (revision) => seen.applied.push(revision),
      onWarning: (message) => seen.warnings.push(message),
      onCrash: (error) => seen.crashes.push(error),
    });
    // Any message makes it turn.
    plane.forgetMappings(null);
    await until('the first turn of the data plane', FIRST_TURN_MS, () => plane.gauges().heartbeatMs > 0);
    return new Rig(plane, upstream, seen);
  }

  /** Where clients ask. */
  get server(): SocketAddress {
    return this.plane.addresses[0];
  }

  stopPlane(): Promise<void> {
    return (this.stopped ??= this.plane.stop());
  }

  async stop(): Promise<void> {
    await this.stopPlane();
    await this.upstream.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
