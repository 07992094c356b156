/**
 * The policies of a run, compiled by core as the agent does it, and who may ask what by each of them, said a second time
 * and independently.
 *
 * Even and odd revisions give each pod the other of two sets of names, both numbered by revision, and one pod gives way to
 * another with the same address. So half of one revision with half of another has verdicts that neither has.
 */
import {
  type Allotment, ANY_PEER, compileSnapshot, NO_EXTENSIONS, NOTHING_SAID, type PodObject, type PolicyObject, type PolicyObjects, type Snapshot,
} from '@tandem/core';
import { nameFromString } from '@tandem/dns';
import { frozen, PolicyMemory } from './policy-memory.js';

export const REVISIONS_MAX = 8;
/** Pods that may ask. The last has no policy; the one before it changes with each revision. */
export const PODS = 6;
const OPEN_POD = PODS - 1;
export const CHANGING_POD = PODS - 2;

export type NameKind = 'common' | 'denied' | 'x' | 'y' | 'poison';

export interface SimName {
  readonly text: string;
  readonly wire: Uint8Array;
  readonly kind: NameKind;
  /** Of `x` and `y`: the revision that has it. */
  readonly revision: number;
}

const COMMON_NAMES = 40;
const HOSTS_PER_REVISION = 2;

function nameOf(text: string, kind: NameKind, revision = 0): SimName {
  return { text, wire: nameFromString(text)!, kind, revision };
}

export const NAMES: readonly SimName[] = [
  ...Array.from({ length: COMMON_NAMES }, (_, i) => nameOf(`n${i}.ok.test.`, 'common')),
  nameOf('poison.ok.test.', 'poison'),
  ...Array.from({ length: 4 }, (_, i) => nameOf(`n${i}.denied.test.`, 'denied')),
  ...Array.from({ length: REVISIONS_MAX }, (_, i) => i + 1).flatMap((revision) => (
    Array.from({ length: HOSTS_PER_REVISION }, (_, host) => [
      nameOf(`h${host}.x${revision}.test.`, 'x', revision),
      nameOf(`h${host}.y${revision}.test.`, 'y', revision),
    ]).flat()
  )),
];

export const POISON_NAME = NAMES.findIndex(({ kind }) => kind === 'poison');

/** Presentation form of the pod's address; a stranger's is −1. */
export function podAddress(pod: number): readonly [number, number, number, number] {
  return pod < 0 ? [127, 0, 9, 9] : [127, 0, 1, pod + 1];
}

/** The oracle: may the pod ask for the name by this revision? */
export function mayAsk(revision: number, pod: number, name: SimName): boolean {
  if (pod < 0) return false;
  if (pod === OPEN_POD) return true;
  switch (name.kind) {
    case 'common':
    case 'poison':
      return true;
    case 'denied':
      return false;
    case 'x':
      return name.revision === revision && (pod + revision) % 2 === 0;
    case 'y':
      return name.revision === revision && (pod + revision) % 2 === 1;
  }
}

/** UID of who has the pod's address by this revision. */
export function uidOf(revision: number, pod: number): string {
  return pod === CHANGING_POD ? `uid-${pod}-${revision % 2}` : `uid-${pod}`;
}

export interface PolicyStep {
  readonly snapshot: Snapshot;
}

export class Policies {
  readonly memory = new PolicyMemory();
  private readonly steps: PolicyStep[] = [];
  /** For a planted defect. */
  readonly openToAll: Snapshot;

  constructor() {
    let allotment: Allotment | null = null;
    for (let revision = 1; revision <= REVISIONS_MAX; revision++) {
      const result = compileSnapshot(objectsOf(revision, 'default'), { nodeName: 'node', enablePolicy: 'default', allotment, revision });
      allotment = result.allotment;
      this.steps.push({ snapshot: frozen(result.snapshot) });
    }
    this.openToAll = frozen(compileSnapshot(objectsOf(1, 'none'), { nodeName: 'node', enablePolicy: 'default', allotment: null, revision: 1 }).snapshot);
  }

  at(revision: number): PolicyStep {
    return this.steps[revision - 1];
  }
}

function objectsOf(revision: number, policies: 'default' | 'none'): PolicyObjects {
  const pods = Array.from({ length: PODS }, (_, pod) => podOf(revision, pod));
  return {
    namespaces: [{ name: 'default', labels: {} }],
    pods,
    services: [],
    endpointSlices: [],
    policies: policies === 'none' ? [] : pods.slice(0, OPEN_POD).map((_, pod) => policyOf(revision, pod)),
  };
}

function podOf(revision: number, pod: number): PodObject {
  return {
    namespace: 'default',
    name: uidOf(revision, pod).replace('uid', 'pod'),
    uid: uidOf(revision, pod),
    labels: { pod: String(pod) },
    nodeName: null,
    hostNetwork: false,
    serviceAccount: null,
    phase: 'Running',
    addresses: [podAddress(pod).join('.')],
    ports: [],
  };
}

function policyOf(revision: number, pod: number): PolicyObject {
  const side = (pod + revision) % 2 === 0 ? 'x' : 'y';
  return {
    kind: 'CiliumNetworkPolicy',
    namespace: 'default',
    name: `policy-${pod}`,
    specs: [{
      path: 'spec',
      endpointSelector: { matchLabels: { pod: String(pod) }, matchExpressions: [] },
      egress: {
        allow: [{
          ...ANY_PEER,
          ports: [{
            path: 'toPorts[0]',
            ports: [{ first: 53, last: 53, protocol: null }],
            dns: [
              { matchName: null, matchPattern: '*.ok.test.' },
              { matchName: null, matchPattern: `*.${side}${revision}.test.` },
            ],
          }],
        }],
        deny: null,
        defaultDeny: null,
      },
      ingress: NOTHING_SAID,
    }],
    extensions: NO_EXTENSIONS,
  };
}
