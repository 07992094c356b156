/**
 * Files of manifests → policy objects, with every complaint and its place. Text in, data out: reading and watching a folder
 * is the agent's part.
 *
 * Invariant: objects are given out only when nothing was wrong; a half-read policy would be a wrong policy. Those of a file whose
 * text has not changed are the very same objects as before, so that a compile knows what is new.
 */
import { nearestName, type PolicyObjects } from '@tandem/core';
import { Field, type MapField } from './field.js';
import { isObjectKind, isPolicyKind, KINDS, noObjects, readKind, type Mutable } from './kinds.js';
import { nearestHint } from './nearest.js';
import { readMetadata, type Metadata } from './metadata.js';
import { ProblemList, byText, type Problem } from './problem.js';
import { DOCUMENTS_MAX, VisitLimit, parseSource, type SourceFile } from './yaml-source.js';

export const FILES_MAX = 1000;

export interface LoadResult {
  /** null when any problem is an error. Lists are sorted by namespace and name. */
  readonly objects: PolicyObjects | null;
  /** All of them, by file, line and column. */
  readonly problems: readonly Problem[];
}

/** One file, read. */
interface Loading {
  readonly text: string;
  readonly objects: Mutable;
  readonly problems: ProblemList;
  /** Each object's kind, namespace and name, and the complaint for when another has them, too. */
  readonly names: { readonly key: string; readonly again: Problem }[];
  documents: number;
}

const LIST_KIND = 'List';

export function loadManifests(files: readonly SourceFile[]): LoadResult {
  return new ManifestLoader().load(files);
}

export class ManifestLoader {
  /** The files of the load before, by path. */
  private known = new Map<string, Loading>();

  load(files: readonly SourceFile[]): LoadResult {
    const problems = new ProblemList();
    const before = this.known;
    this.known = new Map();
    if (files.length > FILES_MAX) {
      problems.addFile('', `${files.length} files; the limit is ${FILES_MAX}`);
      return { objects: null, problems: problems.sorted() };
    }
    const objects: Mutable = noObjects();
    const seen = new Map<string, Problem>();
    let documents = 0;
    for (const file of [...files].sort((a, b) => byText(a.path, b.path))) {
      const known = before.get(file.path);
      const loaded = known?.text === file.text ? known : loadFile(file);
      this.known.set(file.path, loaded);
      problems.addAll(loaded.problems);
      refuseRepeated(loaded, seen, problems);
      documents += loaded.documents;
      if (documents > DOCUMENTS_MAX) {
        // Within one file it has been told.
        if (loaded.documents <= DOCUMENTS_MAX) problems.addFile(file.path, `brings the objects to ${documents}; the limit is ${DOCUMENTS_MAX}`);
        break;
      }
      for (const list of LISTS) for (const object of loaded.objects[list]) (objects[list] as unknown[]).push(object);
    }
    return { objects: problems.hasErrors ? null : sortObjects(objects), problems: problems.sorted() };
  }
}

const LISTS = ['namespaces', 'pods', 'services', 'endpointSlices', 'policies'] as const;

/** Two objects of one kind, namespace and name: nobody could say which of them counts. */
function refuseRepeated({ names }: Loading, seen: Map<string, Problem>, problems: ProblemList): void {
  for (const { key, again } of names) {
    const first = seen.get(key);
    if (first === undefined) seen.set(key, again);
    else problems.add({ ...again, message: `${key} is already written at ${first.file}:${first.line}:${first.column}` });
  }
}

function loadFile(file: SourceFile): Loading {
  const loading: Loading = {
    text: file.text,
    objects: noObjects(),
    problems: new ProblemList(),
    names: [],
    documents: 0,
  };
  readFile(file, loading);
  return loading;
}

function readFile(file: SourceFile, loading: Loading): void {
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
  if (!isObjectKind(kindName)) {
    unknownKind(object, apiVersion, kindName);
    return;
  }
  const kind = KINDS[kindName];
  if (apiVersion !== kind.apiVersion) {
    object.get('apiVersion')?.error(`is "${apiVersion}"; for ${kindName} it is "${kind.apiVersion}"`);
    return;
  }
  const metadata = readMetadata(object, kind.namespaced);
  rememberName(kindName, metadata, loading);
  readKind(kindName, { object, metadata }, loading.objects);
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
  if (isObjectKind(singular)) {
    field.error(`${kind} is not read; write a v1 List, or one document for each object`);
    return;
  }
  const nearest = nearestName(kind, Object.keys(KINDS));
  const text = `${apiVersion} ${kind} is unknown and ignored${nearestHint(kind, Object.keys(KINDS))}`;
  if (nearest !== null && isPolicyKind(nearest)) field.error(text.replace(' and ignored', ''));
  else field.warning(text);
}

function rememberName(kind: string, { namespace: space, name, nameField }: Metadata, { names }: Loading): void {
  if (nameField === null) return;
  const key = `${kind} ${space === '' ? '' : `${space}/`}${name}`;
  names.push({ key, again: nameField.problem(`${key} is written twice`) });
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
