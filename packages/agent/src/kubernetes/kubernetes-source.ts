/**
 * The API server as policy source: watches what policy needs, and publishes all of it as one state whenever it changed.
 *
 * Invariant: nothing is published before everything that is watched was listed once, also what a new policy or pod needs besides: half
 * a list would be a wrong policy. While the server is away, what is known stays. Publications happen one after another.
 */
import type { Log, PolicyObjects, Settings } from '@tandem/core';
import type { Problem } from '@tandem/manifests';
import type { LoadedManifests } from '../manifest-folder.js';
import { ApiClient } from './api-client.js';
import { Assembler } from './assemble.js';
import type { ClusterConfig } from './cluster-config.js';
import { ENDPOINT_SLICES, type Kept, NAMESPACES, podsOf, POLICIES, SERVICES } from './kept-objects.js';
import { type Needs, needsOf } from './needs.js';
import { PodWatches } from './pod-watches.js';
import { Reachability } from './reachability.js';
import { Reflector, REFLECTOR_TIMES, type ReflectorSeams, type ReflectorTimes } from './reflector.js';
import { SourceCounts } from './source-counts.js';
import { StatusWriter } from './status-writer.js';

/** Changes come in bursts: so long after one, more of them are waited for, */
const SETTLE_MS = 30;
/** but no longer than this. */
const SETTLE_MS_MAX = 200;
/** The start of a member waits so long for the first state. */
const FIRST_MS = 3_000;
/** Whether the server is away is looked at so often. */
const LOOK_EVERY_MS = 1_000;
/** Complaints shown one by one. */
const PROBLEMS_MAX = 100;
const STATUS_WAIT_MS_MAX = 5_000;
/** Kinds with a status of ours. */
const WITH_STATUS = POLICIES.filter(({ resource }) => resource.startsWith('cilium')).map(({ resource }) => resource);

export interface KubernetesSourceOptions {
  readonly config: ClusterConfig;
  readonly settings: Pick<Settings, 'nodeName' | 'enablePolicy' | 'clusterCidrs'>;
  readonly version: string;
  readonly log: Log;
  readonly publish: (loaded: LoadedManifests) => Promise<void>;
  readonly fail: (error: Error) => void;
  /** For tests. */
  readonly times?: ReflectorTimes;
  readonly statusWaitMsMax?: number;
}

/** What was published last. */
interface Published {
  readonly objects: PolicyObjects | null;
  readonly problems: string;
  readonly isAway: boolean;
}

export class KubernetesSource {
  readonly counts = new SourceCounts();
  private readonly options: KubernetesSourceOptions;
  private readonly client: ApiClient;
  private readonly reachability: Reachability;
  private readonly writer: StatusWriter;
  private readonly ownPods;
  private readonly namespaces;
  private readonly services;
  private readonly slices;
  private readonly policies;
  private readonly others: PodWatches;
  private readonly assembler = new Assembler();
  /** Of what is watched anyway. */
  private readonly forNeeds = new Assembler();
  private needs: { readonly of: PolicyObjects; readonly needs: Needs } | null = null;
  private published: Published | null = null;
  private settling: NodeJS.Timeout | null = null;
  private changedAtMs = 0;
  private looking: NodeJS.Timeout | null = null;
  private isBusy = false;
  private isAgain = false;
  private isForced = false;
  /** Something was heard since the state was put together. */
  private isNews = true;
  private state: PolicyObjects | null = null;
  /** About objects. */
  private complaints: readonly Problem[] = [];
  /** Something that is needed has not been listed since. */
  private waitingSinceMs: number | null = performance.now();
  private isClosed = false;
  private readonly startedAtMs = performance.now();
  private first: () => void = () => undefined;

  constructor(options: KubernetesSourceOptions) {
    const { config, version, settings, log, times = REFLECTOR_TIMES, fail } = options;
    this.options = options;
    this.client = new ApiClient(config, { version });
    this.reachability = new Reachability(this.client, () => { for (const one of this.reflectors) one.kick(); });
    const changed = (): void => {
      this.isNews = true;
      this.changed();
    };
    const seams: ReflectorSeams = {
      client: this.client, counts: this.counts, times, random: Math.random, onChange: changed, onSynced: changed,
      onUnreachable: () => { this.reachability.lost(); }, onOpened: () => { this.reachability.opened(); }, fail,
    };
    this.ownPods = new Reflector(podsOf('/api/v1/pods', { fieldSelector: `spec.nodeName=${settings.nodeName}` }), seams);
    this.namespaces = new Reflector(NAMESPACES, seams);
    this.services = new Reflector(SERVICES, seams);
    this.slices = new Reflector(ENDPOINT_SLICES, seams);
    this.policies = POLICIES.map((watched) => new Reflector(watched, seams));
    this.others = new PodWatches(seams, settings.nodeName);
    this.writer = new StatusWriter({ client: this.client, log, counts: this.counts, random: Math.random, nodeName: settings.nodeName, waitMsMax: options.statusWaitMsMax ?? STATUS_WAIT_MS_MAX });
  }

  /** Resolves once something was published: the first state, or that there is none yet. */
  start(): Promise<void> {
    const first = new Promise<void>((resolve) => { this.first = resolve; });
    for (const reflector of this.fixed) reflector.start();
    this.looking = setInterval(() => { this.changed(); }, LOOK_EVERY_MS);
    this.looking.unref();
    return first;
  }

  /** Publishes again although nothing changed (SIGHUP). */
  reload(): void {
    this.isForced = true;
    this.changed();
  }

  close(): void {
    this.isClosed = true;
    if (this.settling !== null) clearTimeout(this.settling);
    if (this.looking !== null) clearInterval(this.looking);
    for (const reflector of this.reflectors) reflector.close();
    this.reachability.close();
    this.writer.close();
    this.client.close();
  }

  private get fixed(): readonly Reflector<Kept<unknown>>[] {
    return [this.ownPods, this.namespaces, this.services, this.slices, ...this.policies];
  }

  private get reflectors(): readonly Reflector<Kept<unknown>>[] {
    return [...this.fixed, ...this.others.reflectors];
  }

  private changed(): void {
    if (this.isClosed) return;
    const now = performance.now();
    if (this.settling === null) this.changedAtMs = now;
    else if (now - this.changedAtMs > SETTLE_MS_MAX - SETTLE_MS) return;
    else clearTimeout(this.settling);
    this.settling = setTimeout(() => {
      this.settling = null;
      this.flush();
    }, SETTLE_MS);
  }

  private flush(): void {
    if (this.isBusy) {
      this.isAgain = true;
      return;
    }
    this.isBusy = true;
    this.publish().catch((error: unknown) => { this.options.fail(error instanceof Error ? error : new Error(String(error))); }).finally(() => {
      this.isBusy = false;
      if (!this.isAgain) return;
      this.isAgain = false;
      this.changed();
    });
  }

  private async publish(): Promise<void> {
    if (this.isNews) this.take();
    const objects = this.state;
    this.count(objects !== null);
    if (objects === null && this.published === null && performance.now() - this.startedAtMs < FIRST_MS) return;
    // Of a state that is being completed the one before stays, and so does what was said of it.
    const problems = this.problems();
    const next: Published = { objects: objects ?? this.published?.objects ?? null, problems: JSON.stringify(problems), isAway: this.isAway };
    const before = this.published;
    if (before !== null && !this.isForced && before.objects === next.objects && before.problems === next.problems && before.isAway === next.isAway) return;
    this.isForced = false;
    this.published = next;
    await this.options.publish({ objects: next.objects, problems, isAway: next.isAway });
    this.first();
  }

  /** What has been heard. */
  private take(): void {
    this.isNews = false;
    this.state = this.assembled();
    this.waitingSinceMs = this.state !== null ? null : (this.waitingSinceMs ?? performance.now());
    this.complaints = this.reflectors.flatMap(({ objects }) => [...objects.values()].flatMap(({ problems }) => problems));
    this.tellWriter();
  }

  /** null while something that is needed has not been listed yet. */
  private assembled(): PolicyObjects | null {
    if (!this.fixed.every(({ isSynced }) => isSynced)) return null;
    const held = {
      ownPods: [...this.ownPods.objects.values()], namespaces: [...this.namespaces.objects.values()], services: [...this.services.objects.values()],
      endpointSlices: [...this.slices.objects.values()], policies: this.policies.flatMap(({ objects }) => [...objects.values()]),
    };
    const needs = this.needsOf({ ...held, otherPods: [] });
    if (!this.others.serve(needs)) return null;
    return this.assembler.assemble({ ...held, otherPods: this.others.reflectors.flatMap(({ objects }) => [...objects.values()]) }, needs);
  }

  private needsOf(held: Parameters<Assembler['assemble']>[0]): Needs {
    const objects = this.forNeeds.assemble(held, { serviceBackends: false });
    if (this.needs?.of !== objects) this.needs = { of: objects, needs: needsOf(objects, this.options.settings) };
    return this.needs.needs;
  }

  private tellWriter(): void {
    const listed = this.policies.filter(({ watched, isSynced }) => isSynced && WITH_STATUS.includes(watched.resource));
    const targets = listed.flatMap(({ watched: { paths }, objects }) => [...objects.values()].map(({ status }) => ({ path: paths[0], status })));
    this.writer.set(targets, listed.map(({ watched: { paths } }) => paths[0]));
  }

  /** What is known of other nodes' pods is old; or nothing is known yet. */
  private get isAway(): boolean {
    const watches = this.published?.objects === null || this.published === null ? this.reflectors : this.others.reflectors;
    return watches.some(({ trouble, isNone }) => trouble !== null && !isNone);
  }

  private count(isSynced: boolean): void {
    const reflectors = this.reflectors;
    this.counts.isSynced ||= isSynced;
    this.counts.isAway = reflectors.some(({ trouble, isNone }) => trouble !== null && !isNone);
    this.counts.objects = reflectors.reduce((sum, { objects }) => sum + objects.size, 0);
    this.counts.watches = reflectors.length;
  }

  private problems(): Problem[] {
    const { origin } = this.client.config.server;
    const say = (field: string, message: string, severity: Problem['severity']): Problem => ({ file: `API server ${origin}`, line: 0, column: 0, field, message, severity });
    const found: Problem[] = [];
    const troubled = this.reflectors.flatMap(({ trouble, watched, isNone }) => (trouble === null ? [] : [{ trouble, watched, isNone }]));
    const cut = troubled.find(({ trouble }) => trouble.code === 'connect');
    if (cut !== undefined) found.push(say('', `cannot be reached (${cut.trouble.message}); what is known stays in force`, 'error'));
    for (const { trouble: { code, message }, watched: { resource }, isNone } of troubled) {
      if (code === 'connect') continue;
      if (isNone) found.push(say(resource, 'this kind is not there: taken as none', 'warning'));
      else found.push(say(resource, `${code}: ${message}; what is known stays in force`, 'error'));
    }
    const isWaiting = this.waitingSinceMs !== null && performance.now() - this.waitingSinceMs >= (this.options.times ?? REFLECTOR_TIMES).grace;
    const waiting = !isWaiting ? [] : this.reflectors.filter(({ isSynced }) => !isSynced).map(({ watched: { resource } }) => resource);
    if (waiting.length > 0) found.push(say('', `not listed yet: ${[...new Set(waiting)].join(', ')}; until then the policy of before stays`, 'error'));
    const distinct = [...new Map([...found, ...this.complaints].map((one) => [JSON.stringify(one), one])).values()];
    if (distinct.length <= PROBLEMS_MAX) return distinct;
    return [...distinct.slice(0, PROBLEMS_MAX), say('', `${distinct.length - PROBLEMS_MAX} more complaints are not shown`, 'warning')];
  }
}
