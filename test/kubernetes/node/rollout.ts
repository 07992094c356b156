/**
 * What the DaemonSet controller of Kubernetes does next, as a pure function: which pods to create and which to delete, and the DaemonSet's
 * status. Update strategies OnDelete and RollingUpdate with maxUnavailable, maxSurge and minReadySeconds, as in Kubernetes 1.22 and newer.
 *
 * Invariant: of a DaemonSet there is at most one pod of the present template on a node, and with maxSurge 0 at most one pod at all.
 */
import { createHash } from 'node:crypto';
import { isAvailable, isReady } from './objects.js';
import type { DaemonSet, Pod } from './objects.js';

export const HASH_LABEL = 'controller-revision-hash';
/** Servers before 1.22 drop maxSurge: the stand-in takes it from here, too. */
export const SURGE_ANNOTATION = 'tandem.test/max-surge';
const HASH_LENGTH = 10;
const PERCENT = 100;

export interface Steps {
  /** Nodes that get a pod of the present template. */
  readonly create: readonly string[];
  /** Names of pods. */
  readonly remove: readonly string[];
}

export interface RolloutStatus {
  readonly observedGeneration: number;
  readonly desiredNumberScheduled: number;
  readonly currentNumberScheduled: number;
  readonly updatedNumberScheduled: number;
  readonly numberMisscheduled: number;
  readonly numberReady: number;
  readonly numberAvailable: number;
  readonly numberUnavailable: number;
}

export function templateHash(set: DaemonSet): string {
  return createHash('sha256').update(JSON.stringify(set.spec.template)).digest('hex').slice(0, HASH_LENGTH);
}

/** Pods of other sets, and of none, are not looked at. */
export function podsOf(set: DaemonSet, pods: readonly Pod[]): Pod[] {
  return pods.filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === set.metadata.uid));
}

/** `nowMs`: Unix time. */
export function nextSteps(set: DaemonSet, pods: readonly Pod[], nodes: readonly string[], nowMs: number): Steps {
  const present = templateHash(set);
  const own = podsOf(set, pods);
  const places = nodes.map((node) => {
    const here = own.filter(({ spec, metadata }) => spec.nodeName === node && metadata.deletionTimestamp === undefined);
    return {
      node,
      isEnding: own.some(({ spec, metadata }) => spec.nodeName === node && metadata.deletionTimestamp !== undefined),
      fresh: here.find(({ metadata }) => metadata.labels?.[HASH_LABEL] === present) ?? null,
      old: here.filter(({ metadata }) => metadata.labels?.[HASH_LABEL] !== present),
    };
  });
  // A pod that is ending keeps the next from being made, as with the real controller.
  const create = places.filter(({ isEnding, fresh, old }) => fresh === null && old.length === 0 && !isEnding).map(({ node }) => node);
  const remove = own.filter(({ spec, metadata }) => metadata.deletionTimestamp === undefined && !nodes.includes(spec.nodeName ?? '')).map(({ metadata }) => metadata.name);
  if (set.spec.updateStrategy?.type === 'OnDelete') return { create, remove };
  const { surge, unavailable } = bounds(set, nodes.length);
  const isUp = (pod: Pod): boolean => isAvailable(pod, set.spec.minReadySeconds ?? 0, nowMs);
  const more = surge > 0 ? surged(places, surge, isUp) : replaced(places, unavailable, isUp);
  return { create: [...create, ...more.create], remove: [...remove, ...more.remove] };
}

interface Place {
  readonly node: string;
  readonly isEnding: boolean;
  readonly fresh: Pod | null;
  readonly old: readonly Pod[];
}

/** Old first: those that are not available go at once, the others while no more than `unavailable` nodes are without an available pod. */
function replaced(places: readonly Place[], unavailable: number, isUp: (pod: Pod) => boolean): Steps {
  const remove: string[] = [];
  let without = places.filter(({ fresh, old }) => ![...(fresh === null ? [] : [fresh]), ...old].some(isUp)).length;
  for (const { old } of places) {
    for (const pod of old) {
      if (isUp(pod)) {
        if (without >= unavailable) continue;
        without++;
      }
      remove.push(pod.metadata.name);
    }
  }
  return { create: [], remove };
}

/** New first: an old one goes when the new one on its node is available. */
function surged(places: readonly Place[], surge: number, isUp: (pod: Pod) => boolean): Steps {
  const create: string[] = [];
  const remove: string[] = [];
  let under = places.filter(({ fresh, old }) => fresh !== null && old.length > 0 && !isUp(fresh)).length;
  for (const { node, fresh, old, isEnding } of places) {
    if (old.length === 0) continue;
    if (fresh !== null) {
      if (isUp(fresh)) remove.push(...old.map(({ metadata }) => metadata.name));
    } else if (!isEnding && (under < surge || !old.some(isUp))) {
      create.push(node);
      under++;
    }
  }
  return { create, remove };
}

/** A share of the nodes is rounded up, as there. */
function bounds(set: DaemonSet, nodes: number): { readonly surge: number; readonly unavailable: number } {
  const number = (value: number | string | undefined, fallback: number): number => {
    if (value === undefined) return fallback;
    const text = String(value);
    return text.endsWith('%') ? Math.ceil(Number(text.slice(0, -1)) * nodes / PERCENT) : Number(text);
  };
  const rolling = set.spec.updateStrategy?.rollingUpdate;
  return { surge: number(rolling?.maxSurge ?? set.metadata.annotations?.[SURGE_ANNOTATION], 0), unavailable: number(rolling?.maxUnavailable, 1) };
}

export function statusOf(set: DaemonSet, pods: readonly Pod[], nodes: readonly string[], nowMs: number): RolloutStatus {
  const own = podsOf(set, pods).filter(({ metadata, spec }) => metadata.deletionTimestamp === undefined && nodes.includes(spec.nodeName ?? ''));
  const present = templateHash(set);
  const nodesWith = (wanted: (pod: Pod) => boolean): number => new Set(own.filter(wanted).map(({ spec }) => spec.nodeName)).size;
  const available = nodesWith((pod) => isAvailable(pod, set.spec.minReadySeconds ?? 0, nowMs));
  return {
    observedGeneration: set.metadata.generation ?? 0, desiredNumberScheduled: nodes.length, currentNumberScheduled: nodesWith(() => true),
    updatedNumberScheduled: nodesWith(({ metadata }) => metadata.labels?.[HASH_LABEL] === present), numberMisscheduled: 0,
    numberReady: nodesWith(isReady), numberAvailable: available, numberUnavailable: nodes.length - available,
  };
}
