/**
 * An API server for tests, on real sockets: lists with pages and selectors, watches with bookmarks, status patches, and the faults that
 * real ones have. Objects are kept as they are put, so that they may have any shape.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { matchesFields, matchesLabels, type Selectable } from './label-selector.js';

export interface FakeObject extends Selectable {
  readonly metadata: Selectable['metadata'] & { readonly resourceVersion?: string; readonly generation?: number; readonly [key: string]: unknown };
  readonly [key: string]: unknown;
}

interface Change {
  readonly version: number;
  readonly path: string;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: FakeObject;
  readonly before: FakeObject | null;
}

interface Selection {
  readonly path: string;
  readonly namespace: string | null;
  readonly labels: string;
  readonly fields: string;
}

interface Watcher extends Selection {
  readonly response: ServerResponse;
}

/** What happens to a request in place of an answer. */
export type Fault =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  | 'drop' | 'stall' | { readonly raw: string };

export const COLLECTIONS = {
  pods: '/api/v1/pods', namespaces: '/api/v1/namespaces', services: '/api/v1/services', endpoints: '/api/v1/endpoints', nodes: '/api/v1/nodes',
  endpointSlices: '/apis/discovery.k8s.io/v1/endpointslices', endpointSlicesBeta: '/apis/discovery.k8s.io/v1beta1/endpointslices',
  networkPolicies: '/apis/networking.k8s.io/v1/networkpolicies',
  policies: '/apis/cilium.io/v2/ciliumnetworkpolicies', clusterwidePolicies: '/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies',
} as const;
export type Collection = keyof typeof COLLECTIONS;

export class FakeApiServer {
  readonly requests: { readonly method: string; readonly url: URL; readonly token: string | null }[] = [];
  readonly patches: { readonly path: string; readonly body: unknown }[] = [];
  /** Asked for each request, in order; null: none. */
  onRequest: (url: URL, method: string) => Fault | null = () => null;
  token: string | null = null;
  /** 410 as an event of a stream that is opened, in place of a status. */
  expiresByEvent = false;
  private readonly objects = new Map<string, Map<string, FakeObject>>();
  private history: Change[] = [];
  private version = 100;
  private compacted = 0;
  private readonly watchers = new Set<Watcher>();
  private readonly sockets = new Set<Socket>();
  private server: Server | null = null;
  private port = 0;

  constructor(absent: readonly Collection[] = []) {
    for (const [name, path] of Object.entries(COLLECTIONS)) if (!absent.includes(name as Collection)) this.objects.set(path, new Map());
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get watches(): number {
    return this.watchers.size;
  }

  async start(): Promise<this> {
    const server = createServer((request, response) => { this.serve(request, response); });
    server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
    await new Promise<void>((resolve) => { server.listen(this.port, '127.0.0.1', resolve); });
    this.port = (server.address() as AddressInfo).port;
    this.server = server;
    return this;
  }

  /** Gone, with all its connections; `start` brings it back at the same port. */
  async stop(): Promise<void> {
    const server = this.server;
    this.server = null;
    const closed = new Promise<void>((resolve) => { if (server === null) resolve(); else server.close(() => { resolve(); }); });
    this.dropConnections();
    await closed;
  }

  dropConnections(): void {
    for (const socket of this.sockets) socket.destroy();
    this.watchers.clear();
  }

  put(collection: Collection, object: FakeObject): void {
    const [path, objects] = this.collection(collection);
    const key = keyOf(object);
    const before = objects.get(key) ?? null;
    const versioned = { ...object, metadata: { ...object.metadata, resourceVersion: String(++this.version) } };
    objects.set(key, versioned);
    this.record({ version: this.version, path, type: before === null ? 'ADDED' : 'MODIFIED', object: versioned, before });
  }

  delete(collection: Collection, name: string): void {
    const [path, objects] = this.collection(collection);
    const before = objects.get(name);
    if (before === undefined) return;
    objects.delete(name);
    const object = { ...before, metadata: { ...before.metadata, resourceVersion: String(++this.version) } };
    this.record({ version: this.version, path, type: 'DELETED', object, before });
  }

  get(collection: Collection, name: string): FakeObject | undefined {
    return this.collection(collection)[1].get(name);
  }

  all(collection: Collection): FakeObject[] {
    return [...this.collection(collection)[1].values()];
  }

  /** A kind comes to be. */
  define(collection: Collection): void {
    this.objects.set(COLLECTIONS[collection], new Map());
  }

  /** Versions before now cannot be watched from. */
  compact(): void {
    this.history = [];
    this.compacted = this.version;
  }

  bookmark(): void {
    for (const { response } of this.watchers) send(response, { type: 'BOOKMARK', object: { metadata: { resourceVersion: String(this.version) } } });
  }

  /** Text as an event of every watch. */
  sendRaw(text: string): void {
    for (const { response } of this.watchers) response.write(text);
  }

  endWatches(): void {
    for (const { response } of this.watchers) response.end();
    this.watchers.clear();
  }

  private collection(collection: Collection): [string, Map<string, FakeObject>] {
    const path = COLLECTIONS[collection];
    const objects = this.objects.get(path);
    if (objects === undefined) throw new Error(`${collection} are absent`);
    return [path, objects];
  }

  private record(change: Change): void {
    this.history.push(change);
    for (const watcher of this.watchers) tell(watcher, change);
  }

  private serve(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', this.url);
    const token = request.headers.authorization?.replace('Bearer ', '') ?? null;
    this.requests.push({ method: request.method ?? '', url, token });
    const fault = this.onRequest(url, request.method ?? '');
    if (fault === 'drop') return void request.socket.destroy();
    if (fault === 'stall') return;
    if (fault !== null && 'raw' in fault) {
      response.writeHead(200);
      return void response.end(fault.raw);
    }
    if (fault !== null) {
      response.writeHead(fault.status, fault.headers);
      return void response.end(fault.body ?? '');
    }
    if (this.token !== null && token !== this.token) return refuse(response, 401, 'Unauthorized');
    if (url.pathname === '/readyz') return void response.end('ok');
    if (request.method === 'PATCH') return this.patch(url.pathname, request, response);
    const [, root, space, plural] = /^(.*)\/namespaces\/([^/]+)\/([^/]+)$/.exec(url.pathname) ?? [];
    const path = space === undefined ? url.pathname : `${root}/${plural}`;
    const objects = this.objects.get(path);
    if (objects === undefined) return refuse(response, 404, 'the server could not find the requested resource');
    const selection = { path, namespace: space ?? null, labels: url.searchParams.get('labelSelector') ?? '', fields: url.searchParams.get('fieldSelector') ?? '' };
    if (url.searchParams.get('watch') === '1') this.watch(url, { ...selection, response });
    else this.list(url, [...objects.values()].filter((object) => isSelected(object, selection)), response);
  }

  private list({ searchParams: query }: URL, wanted: readonly FakeObject[], response: ServerResponse): void {
    const [from, version] = (query.get('continue') ?? `0 ${this.version}`).split(' ').map(Number);
    if (version < this.compacted) return refuse(response, 410, 'the continue token is too old');
    const limit = query.get('resourceVersion') === '0' ? Infinity : Number(query.get('limit') ?? Infinity);
    const page = wanted.slice(from, from + limit);
    const isWhole = from + page.length >= wanted.length;
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({
      kind: 'List', apiVersion: 'v1', metadata: { resourceVersion: String(version), ...(isWhole ? {} : { continue: `${from + page.length} ${version}` }) }, items: page,
    }));
  }

  private watch(url: URL, watcher: Watcher): void {
    const { response } = watcher;
    const from = Number(url.searchParams.get('resourceVersion'));
    if (from < this.compacted) {
      const status = { kind: 'Status', code: 410, reason: 'Expired', message: `too old resource version: ${from}` };
      if (!this.expiresByEvent) return refuse(response, 410, status.message);
      response.writeHead(200);
      send(response, { type: 'ERROR', object: status });
      return void response.end();
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    for (const change of this.history) if (change.version > from) tell(watcher, change);
    this.watchers.add(watcher);
    response.once('close', () => this.watchers.delete(watcher));
  }

  private patch(path: string, request: IncomingMessage, response: ServerResponse): void {
    let text = '';
    request.on('data', (chunk: Buffer) => { text += chunk.toString('utf8'); });
    request.on('end', () => {
      const body = JSON.parse(text) as { metadata?: { resourceVersion?: string }; status?: object };
      this.patches.push({ path, body });
      const [, root, space, plural, name] = /^(.*)\/namespaces\/([^/]+)\/([^/]+)\/([^/]+)\/status$/.exec(path) ?? [];
      const [, clusterPath, clusterName] = /^(.*)\/([^/]+)\/status$/.exec(path) ?? [];
      const objects = this.objects.get(space === undefined ? clusterPath : `${root}/${plural}`);
      const key = space === undefined ? `/${clusterName}` : `${space}/${name}`;
      const object = objects?.get(key);
      if (objects === undefined || object === undefined) return refuse(response, 404, 'not found');
      if (body.metadata?.resourceVersion !== undefined && body.metadata.resourceVersion !== object.metadata.resourceVersion) return refuse(response, 409, 'conflict');
      const collection = (Object.keys(COLLECTIONS) as Collection[]).find((one) => this.objects.get(COLLECTIONS[one]) === objects)!;
      this.put(collection, { ...object, status: { ...(object.status ?? {}), ...body.status } });
      response.end(JSON.stringify(objects.get(key)));
    });
  }
}

function tell(watcher: Watcher, change: Change): void {
  if (watcher.path !== change.path) return;
  const was = change.before !== null && isSelected(change.before, watcher);
  const is = change.type !== 'DELETED' && isSelected(change.object, watcher);
  // Whoever stops matching a selector is gone for its watch.
  if (was || is) send(watcher.response, { type: is ? (was ? 'MODIFIED' : 'ADDED') : 'DELETED', object: change.object });
}

function isSelected(object: FakeObject, { namespace, labels, fields }: Selection): boolean {
  if (namespace !== null && object.metadata.namespace !== namespace) return false;
  return matchesLabels(labels, object.metadata.labels ?? {}) && matchesFields(fields, object);
}

export function keyOf({ metadata: { namespace = '', name } }: FakeObject): string {
  return `${namespace}/${name}`;
}

function send(response: ServerResponse, event: unknown): void {
  response.write(`${JSON.stringify(event)}\n`);
}

function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ kind: 'Status', code: status, message }));
}
