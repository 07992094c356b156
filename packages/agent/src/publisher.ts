/**
 * Objects from the policy source → snapshots in force, one revision per change. Keeps the numbers that it allots, so
 * that endpoints and identities are the same after a restart.
 *
 * Invariant: with any error in the source the snapshot before stays. A revision is larger than every one that this
 * agent has enforced or its peers have named since they last lost their state. As long as the source has said nothing good in
 * this process, the policy with the highest revision counts, stored here or at the peer.
 */
import { join } from 'node:path';
import {
  type Allotment, allotmentOf, AppError, type Doubt, type Locations, type Log, parseAllotment, type PolicyObjects, type Settings, type Snapshot,
  SnapshotCompiler, withLocations,
} from '@tandem/core';
import { KeptState, type Member, sha256, SNAPSHOT_BYTES_MAX, StateFile } from '@tandem/host';
import { formatProblem } from '@tandem/manifests';
import type { LoadedManifests } from './manifest-folder.js';

/** Where pods' addresses are seen on this node: what endpoints are pinned to. */
export type Places = Pick<Locations, 'boot' | 'seen'>;

const DOUBTS: Readonly<Record<Doubt, string>> = {
  unseen: 'seen nowhere yet',
  gone: 'seen nowhere any more',
  ambiguous: 'seen at several places: it is a stranger until it is at one',
  shared: 'seen where another pod is: it is a stranger',
  moved: 'seen elsewhere than where this pod is: a stranger there (IDENTITY_STALE) until the policy source names the new pod',
};

/** Addresses that are not at their place, shown one by one up to here. */
const DOUBTS_MAX = 20;

const ALLOTMENT_FILE_BYTES_MAX = 32 * 1024 * 1024;

export class Publisher {
  private readonly member: Member;
  private readonly places: Places | null;
  private readonly settings: Settings;
  private readonly log: Log;
  private readonly store: KeptState<Allotment>;
  private readonly compiler = new SnapshotCompiler(sha256);
  private allotment: Allotment | null;
  /** The policy in force is what the source of this process said, and not one of an earlier process or the peer's. */
  private isOwn = false;
  /** The newest that a peer named. */
  private revisionSeen = 0;
  private hasErrors = false;
  private notices: readonly string[] = [];
  /** Of the source, as told last. */
  private problems: readonly string[] = [];

  constructor(member: Member, places: Places | null = null) {
    this.member = member;
    this.places = places;
    this.settings = member.settings;
    this.log = member.log;
    const file = new StateFile<Allotment>(join(member.settings.stateDir, 'allotment.json'), {
      bytesMax: ALLOTMENT_FILE_BYTES_MAX,
      parse: (content) => {
        const allotment = parseAllotment(content);
        if (allotment === null) throw new AppError('CONFIGURATION', 'not an allotment');
        return allotment;
      },
      log: member.log,
    });
    this.store = member.keeps(new KeptState(file, { isSame: () => false }));
    this.allotment = this.store.read();
    const { manifestsDir, kubernetes } = this.settings;
    if (manifestsDir === null && !kubernetes) member.heard.away();
    member.heard.watch(() => { this.lapse(); });
  }

  /** What the policy source says now. */
  async publish(loaded: LoadedManifests): Promise<void> {
    const problems = loaded.problems.map(formatProblem);
    const told = new Set(this.problems);
    this.problems = problems;
    this.member.sourceProblems = problems;
    for (const problem of problems) if (!told.has(problem)) this.log.warn(problem);
    if (loaded.objects === null || loaded.isAway === true) this.member.heard.away();
    if (loaded.objects === null) {
      // An API server says one thing after the other; a folder is read again when it was changed.
      if (!this.settings.kubernetes || !this.hasErrors) this.log.error(`${this.settings.kubernetes ? 'the API server has not said all yet' : 'the manifests have errors'}; the policy before them stays`, { problems: loaded.problems.length });
      this.hasErrors = true;
      return;
    }
    if (this.hasErrors) this.log.info(`${this.settings.kubernetes ? 'what the API server says is' : 'the manifests are'} good again`);
    this.hasErrors = false;
    if (loaded.isAway !== true) this.member.heard.heard();
    await this.compile(loaded.objects, problems);
  }

  /** The peer enforces another snapshot with this revision: ours must be newer, or it would look older. */
  async outrun(revision: number): Promise<void> {
    if (revision <= this.revisionSeen) return;
    this.revisionSeen = revision;
    const { snapshot } = this.member;
    // The same content under a later number.
    if (this.isOwn && snapshot !== null && snapshot.revision <= revision) await this.member.enforce({ ...snapshot, revision: revision + 1 });
  }

  /** The source has said nothing good for so long that what it said of other nodes' pods holds no more. */
  private lapse(): void {
    const { heard, snapshot } = this.member;
    if (snapshot === null) return;
    const lapsed = heard.asOfNow(snapshot);
    if (lapsed === snapshot) return;
    this.member.enforce({ ...lapsed, revision: Math.max(snapshot.revision, this.revisionSeen) + 1 }).catch((error: unknown) => {
      this.log.warn('the lapse was not applied', { reason: String(error) });
    });
  }

  /** Addresses are seen elsewhere than before: endpoints that have no place yet may have one now. */
  async relocated(): Promise<void> {
    const { snapshot } = this.member;
    if (snapshot === null) return;
    const located = this.located(snapshot);
    if (located === snapshot) return;
    await this.member.enforce({ ...located, revision: Math.max(snapshot.revision, this.revisionSeen) + 1 });
  }

  /** The peer's policy, for as long as there is none of our own, or an older one. @throws AppError SNAPSHOT_REFUSED else. */
  async adopt(snapshot: Snapshot): Promise<void> {
    const { snapshot: before } = this.member;
    if (this.isOwn) throw new AppError('SNAPSHOT_REFUSED', 'the agent has a policy of its own');
    if (before !== null && before.revision >= snapshot.revision) throw new AppError('SNAPSHOT_REFUSED', `the agent has revision ${before.revision}`);
    this.revisionSeen = Math.max(this.revisionSeen, snapshot.revision);
    // An earlier process has made it, with numbers that may be later than those on this disk.
    this.allotment = allotmentOf(snapshot);
    await this.member.enforce(this.member.heard.asOfNow(snapshot));
    this.log.warn(`the peer's policy is in force until ${this.settings.kubernetes ? 'the API server says' : 'the manifests say'} better`, { revision: snapshot.revision, hash: snapshot.hash });
  }

  /** `problems`: of the source, to which the compiler's are added. */
  private async compile(objects: PolicyObjects, problems: readonly string[]): Promise<void> {
    const before = this.member.snapshot;
    const revision = Math.max(before?.revision ?? 0, this.revisionSeen) + 1;
    const { nodeName, enablePolicy } = this.settings;
    const startedAtMs = performance.now();
    this.allotment ??= before === null ? null : allotmentOf(before);
    let result;
    try {
      result = this.compiler.compile(objects, { nodeName, enablePolicy, allotment: this.allotment, revision });
      checkSize(result.snapshot);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.hasErrors = true;
      this.member.sourceProblems = [...problems, `error: ${error.message}`];
      this.log.error('the policy cannot be compiled; the one before stays', { reason: error.message });
      return;
    }
    this.notice(problems, result.notices);
    const snapshot = this.located(this.member.heard.asOfNow(result.snapshot));
    this.isOwn = true;
    if (snapshot.hash === before?.hash && before.revision > this.revisionSeen) return;
    this.allotment = result.allotment;
    this.store.keep(result.allotment);
    await this.member.enforce(snapshot);
    this.log.info('policy is in force', {
      revision,
      hash: snapshot.hash,
      endpoints: snapshot.endpoints.length,
      ruleSets: snapshot.ruleSets.length,
      tookMs: Math.round(performance.now() - startedAtMs),
    });
  }

  /** With each endpoint at the place where it was first seen. */
  private located(snapshot: Snapshot): Snapshot {
    if (this.places === null) return snapshot;
    const { boot, seen } = this.places;
    const { snapshot: located, doubtful } = withLocations(snapshot, { boot, seen, before: this.member.snapshot }, sha256);
    const stale = doubtful.filter(({ doubt }) => doubt !== 'unseen' && doubt !== 'gone')
      .map(({ endpoint, address, doubt }) => `pod ${endpoint.namespace}/${endpoint.pod}: ${address} is ${DOUBTS[doubt]}`);
    for (const text of stale) if (!this.member.locationProblems.includes(text)) this.log.warn(text);
    this.member.locationProblems = stale.length <= DOUBTS_MAX ? stale : [...stale.slice(0, DOUBTS_MAX), `${stale.length - DOUBTS_MAX} more addresses are not at their pod's place`];
    return located;
  }

  /** Shown for as long as they hold, logged once. */
  private notice(problems: readonly string[], notices: readonly string[]): void {
    for (const notice of notices) if (!this.notices.includes(notice)) this.log.warn(notice);
    this.notices = notices;
    this.member.sourceProblems = [...new Set([...problems, ...notices.map((notice) => `warning: ${notice}`)])];
  }
}

/** What the peer could not take is not enforced here either: the two would judge by different policies. */
function checkSize(snapshot: Snapshot): void {
  const bytes = Buffer.byteLength(JSON.stringify(snapshot));
  if (bytes <= SNAPSHOT_BYTES_MAX) return;
  throw new AppError('LIMIT', `the compiled policy has ${bytes} bytes; ${SNAPSHOT_BYTES_MAX} are the most`);
}
