/**
 * Files of manifests → policy objects, with every complaint and its place. Text in, data out: reading and watching a folder
 * is the agent's part.
 *
 * Invariant: objects are given out only when nothing was wrong; a half-read policy would be a wrong policy.
 */
import { POLICY_KINDS, type PolicyObjects } from '@tandem/core';
import { warnOfIdleExtensions } from './extensions.js';
import { Field, type MapField } from './field.js';
import { endpointSlice, namespace, pod, service } from './kubernetes-objects.js';
import { nearestHint, nearestWord } from './nearest.js';
import { readMetadata, type Metadata } from './metadata.js';
import { networkPolicy } from './network-policy.js';
import { policy } from './policy-object.js';
import { ProblemList, byText, type Problem } from './problem.js';
import { DOCUMENTS_MAX, VisitLimit, parseSource, type SourceFile } from './yaml-source.js';

export const FILES_MAX = 1000;

export interface LoadResult {
  /** null when any problem is an error. Lists are sorted by namespace and name. */
  readonly objects: PolicyObjects | null;
  /** All of them, by file, line and column. */
  readonly problems: readonly Problem[];
}

type Mutable = { -readonly [K in keyof PolicyObjects]: PolicyObjects[K][number][] };

interface Loading {
  readonly objects: Mutable;
  readonly problems: ProblemList;
  /** Where each object was first seen, by kind, namespace and name. */
  readonly seen: Map<string, string>;
  documents: number;
}

interface Kind {
  readonly apiVersion: string;
  /** Whether `metadata.namespace` applies. */
  readonly namespaced: boolean;
  readonly read: (object: MapField, metadata: Metadata, into: Mutable) => void;
}

const KINDS: Readonly<Record<string, Kind>> = {
  Pod: { apiVersion: 'v1', namespaced: true, read: (object, metadata, into) => into.pods.push(...pod(object, metadata)) },
  Namespace: {
    apiVersion: 'v1',
    namespaced: false,
    read: (_object, metadata, into) => into.namespaces.push(namespace(metadata)),
  },
  Service: {
    apiVersion: 'v1',
    namespaced: true,
    read: (object, metadata, into) => into.services.push(...service(object, metadata)),
  },
  EndpointSlice: {
    apiVersion: 'discovery.k8s.io/v1',
    namespaced: true,
    read: (object, metadata, into) => into.endpointSlices.push(...endpointSlice(object, metadata)),
  },
  CiliumNetworkPolicy: {
    apiVersion: 'cilium.io/v2',
    namespaced: true,
    read: (object, metadata, into) => into.policies.push(...policy(object, metadata, 'CiliumNetworkPolicy')),
  },
  CiliumClusterwideNetworkPolicy: {
    apiVersion: 'cilium.io/v2',
    namespaced: false,
    read: (object, metadata, into) => into.policies.push(...policy(object, metadata, 'CiliumClusterwideNetworkPolicy')),
  },
  NetworkPolicy: {
    apiVersion: 'networking.k8s.io/v1',
    namespaced: true,
    read: (object, metadata, into) => into.policies.push(...networkPolicy(object, metadata)),
  },
};
const LIST_KIND = 'List';

export function loadManifests(files: readonly SourceFile[]): LoadResult {
  const loading: Loading = {
    objects: { namespaces: [], pods: [], services: [], endpointSlices: [], policies: [] },
    problems: new ProblemList(),
    seen: new Map(),
    documents: 0,
  };
  const { problems } = loading;
  if (files.length > FILES_MAX) problems.addFile('', `${files.length} files; the limit is ${FILES_MAX}`);
  else for (const file of [...files].sort((a, b) => byText(a.path, b.path))) loadFile(file, loading);
  if (problems.hasErrors) return { objects: null, problems: problems.sorted() };
  return { objects: sortObjects(loading.objects), problems: problems.sorted() };
}

function loadFile(file: SourceFile, loading: Loading): void {
  const source = parseSource(file, loading.problems);
  if (source === null) return;
  let isBlank = true;
  try {
    for (const { contents, range } of source.documents) {
      if (contents === null) continue;
      const root = new Field(source, contents, { path: '', offset: range[0] });
      if (root.isNull) continue;
      isBlank = false;
      loadObject(root, loading);
    }
  } catch (error) {
    if (!(error instanceof VisitLimit)) throw error;
    loading.problems.addFile(file.path, 'its aliases stand for more than can be read; write the fields out');
  }
  if (isBlank && !source.hasFaults) loading.problems.addFile(file.path, 'holds no object', 'warning');
}

function loadObject(root: Field, loading: Loading): void {
  if (++loading.documents > DOCUMENTS_MAX) {
    if (loading.documents === DOCUMENTS_MAX + 1) root.error(`is object ${loading.documents}; the limit is ${DOCUMENTS_MAX}`);
    return;
  }
  const object = root.map();
  if (object === null) return;
  const apiVersion = required(object, 'apiVersion');
  const kindName = required(object, 'kind');
  if (apiVersion === null || kindName === null) return;
  if (kindName === LIST_KIND && apiVersion === 'v1') {
    for (const item of object.get('items')?.list() ?? []) loadObject(item, loading);
    return;
  }
  const kind = Object.hasOwn(KINDS, kindName) ? KINDS[kindName] : null;
  if (kind === null) {
    unknownKind(object, apiVersion, kindName);
    return;
  }
  if (apiVersion !== kind.apiVersion) {
    object.get('apiVersion')?.error(`is "${apiVersion}"; for ${kindName} it is "${kind.apiVersion}"`);
    return;
  }
  const metadata = readMetadata(object, kind.namespaced);
  if (!isFirst(kindName, metadata, loading)) return;
  if (!isPolicyKind(kindName)) warnOfIdleExtensions(metadata.annotations);
  kind.read(object, metadata, loading.objects);
}

function required(object: MapField, key: string): string | null {
  const field = object.get(key);
  if (field === null) return object.field.error(`has no ${key}`);
  return field.string();
}

/** A kind that was meant to be a policy must not fall away with a warning only. */
function unknownKind(object: MapField, apiVersion: string, kind: string): void {
  const field = object.keyField('kind');
  const singular = kind.endsWith(LIST_KIND) ? kind.slice(0, -LIST_KIND.length) : '';
  if (Object.hasOwn(KINDS, singular)) {
    field.error(`${kind} is not read; write a v1 List, or one document for each object`);
    return;
  }
  const nearest = nearestWord(kind, Object.keys(KINDS));
  const text = `${apiVersion} ${kind} is unknown and ignored${nearestHint(kind, Object.keys(KINDS))}`;
  if (nearest !== null && isPolicyKind(nearest)) field.error(text.replace(' and ignored', ''));
  else field.warning(text);
}

function isPolicyKind(kind: string): boolean {
  return POLICY_KINDS.some((one) => one === kind);
}

function isFirst(kind: string, { namespace: space, name, nameField }: Metadata, loading: Loading): boolean {
  if (nameField === null) return true;
  const key = `${kind} ${space === '' ? '' : `${space}/`}${name}`;
  const first = loading.seen.get(key);
  if (first === undefined) {
    loading.seen.set(key, nameField.placeText());
    return true;
  }
  nameField.error(`${key} is already written at ${first}`);
  return false;
}

function sortObjects(objects: Mutable): PolicyObjects {
  const byName = (a: { namespace: string; name: string }, b: { namespace: string; name: string }): number =>
    byText(a.namespace, b.namespace) || byText(a.name, b.name);
  return {
    namespaces: objects.namespaces.sort((a, b) => byText(a.name, b.name)),
    pods: objects.pods.sort(byName),
    services: objects.services.sort(byName),
    endpointSlices: objects.endpointSlices.sort(byName),
    policies: objects.policies.sort((a, b) => byText(a.kind, b.kind) || byName(a, b)),
  };
}
