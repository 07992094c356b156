/**
 * Objects from the policy source → snapshots in force, one revision per change. Keeps the numbers that it allots, so
 * that endpoints and identities are the same after a restart.
 *
 * Invariant: with any error in the source the snapshot before stays; revisions only grow.
 */
import { join } from 'node:path';
import { type Allotment, AppError, compileSnapshot, type Log, parseAllotment, type PolicyObjects, type Settings } from '@tandem/core';
import { type Member, StateFile } from '@tandem/host';
import { formatProblem } from '@tandem/manifests';
import type { LoadedManifests } from './manifest-folder.js';

const ALLOTMENT_FILE_BYTES_MAX = 32 * 1024 * 1024;

export class Publisher {
  private readonly member: Member;
  private readonly settings: Settings;
  private readonly log: Log;
  private readonly store: StateFile<Allotment>;
  private readonly onPublished: () => void;
  private allotment: Allotment | null;
  private objects: PolicyObjects | null = null;
  private revisionSeen = 0;

  constructor(member: Member, onPublished: () => void) {
    this.member = member;
    this.settings = member.settings;
    this.log = member.log;
    this.onPublished = onPublished;
    this.store = new StateFile(join(member.settings.stateDir, 'allotment.json'), {
      bytesMax: ALLOTMENT_FILE_BYTES_MAX,
      parse: (content) => {
        const allotment = parseAllotment(content);
        if (allotment === null) throw new AppError('CONFIGURATION', 'not an allotment');
        return allotment;
      },
      log: member.log,
    });
    this.allotment = this.store.read();
  }

  /** What the policy source says now. */
  async publish(loaded: LoadedManifests): Promise<void> {
    this.member.problems = loaded.problems.map(formatProblem);
    for (const problem of this.member.problems) this.log.warn(problem);
    if (loaded.objects === null) {
      this.log.error('the manifests have errors; the policy before them stays', { problems: loaded.problems.length });
      return;
    }
    this.objects = loaded.objects;
    await this.compile();
  }

  /** The peer enforces another snapshot with this revision: ours must be newer, or it would look older. */
  async outrun(revision: number): Promise<void> {
    if (revision <= this.revisionSeen) return;
    this.revisionSeen = revision;
    if (this.objects !== null && (this.member.snapshot?.revision ?? 0) <= revision) await this.compile();
  }

  private async compile(): Promise<void> {
    const before = this.member.snapshot;
    const revision = Math.max(before?.revision ?? 0, this.revisionSeen) + 1;
    const { nodeName, enablePolicy } = this.settings;
    const startedAtMs = performance.now();
    let result;
    try {
      result = compileSnapshot(this.objects!, { nodeName, enablePolicy, allotment: this.allotment, revision });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.member.problems = [...this.member.problems, error.message];
      this.log.error('the policy cannot be compiled; the one before stays', { reason: error.message });
      return;
    }
    for (const notice of result.notices) this.log.warn(notice);
    const { snapshot } = result;
    if (snapshot.hash === before?.hash && before.revision > this.revisionSeen) return;
    this.allotment = result.allotment;
    this.store.write(result.allotment);
    await this.member.enforce(snapshot);
    this.log.info('policy is in force', {
      revision,
      hash: snapshot.hash,
      endpoints: snapshot.endpoints.length,
      ruleSets: snapshot.ruleSets.length,
      tookMs: Math.round(performance.now() - startedAtMs),
    });
    this.onPublished();
  }
}
