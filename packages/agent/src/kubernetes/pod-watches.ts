/**
 * The watches of other nodes' pods and of nodes: one for each need. A watch that is needed no more ends only when all that took its place
 * have listed, so nothing that a policy is about is ever unknown in between.
 */
import type { PodObject } from '@tandem/core';
import { type Kept, NODES, podsOf } from './kept-objects.js';
import { type Needs, needKey, type PodNeed } from './needs.js';
import { Reflector, type ReflectorSeams } from './reflector.js';

export class PodWatches {
  private readonly seams: ReflectorSeams;
  private readonly nodeName: string;
  private readonly running = new Map<string, Reflector<Kept<PodObject>>>();
  private wanted = new Set<string>();
  /** What was wanted when all of it had been listed last. */
  private served = new Set<string>();

  constructor(seams: ReflectorSeams, nodeName: string) {
    this.seams = seams;
    this.nodeName = nodeName;
  }

  get reflectors(): readonly Reflector<Kept<PodObject>>[] {
    return [...this.running.values()];
  }

  /** Whether all that is needed has been listed. Starts what is missing, and ends what is over. */
  serve({ pods, nodes }: Needs): boolean {
    const wanted = new Map(pods.map((need) => [needKey(need), need]));
    this.wanted = new Set([...wanted.keys(), ...(nodes ? [NODES.resource] : [])]);
    for (const key of this.wanted) {
      if (this.running.has(key)) continue;
      const need = wanted.get(key);
      const reflector = new Reflector(need === undefined ? NODES : this.watchedFor(need), this.seams);
      this.running.set(key, reflector);
      reflector.start();
    }
    const isServed = [...this.wanted].every((key) => this.running.get(key)?.isSynced === true);
    if (isServed) this.served = this.wanted;
    for (const [key, reflector] of this.running) {
      if (this.wanted.has(key) || this.served.has(key)) continue;
      reflector.close();
      this.running.delete(key);
    }
    return isServed;
  }

  close(): void {
    for (const reflector of this.running.values()) reflector.close();
  }

  /** This node's own are watched apart, whatever policies say. */
  private watchedFor({ namespace, labels }: PodNeed): ReturnType<typeof podsOf> {
    const path = namespace === null ? '/api/v1/pods' : `/api/v1/namespaces/${namespace}/pods`;
    const fieldSelector = `spec.nodeName!=${this.nodeName}`;
    return podsOf(path, { fieldSelector, ...(labels === '' ? {} : { labelSelector: labels }) }, 'remote pods');
  }
}
