/**
 * One object as an API server gives it, parsed JSON, → policy objects: the same readers as for files, so there is one language. A
 * complaint names kind, namespace and name where one about a file names the file and its line.
 *
 * Invariant: reading never throws, whatever was sent, and takes bounded time.
 * Does not know: lists, watches, what was read before.
 */
import { LineCounter, type Node, Pair, Scalar, YAMLMap, YAMLSeq } from 'yaml';
import type { PolicyObjects } from '@tandem/core';
import { Field } from './field.js';
import { KINDS, noObjects, readKind, type ObjectKind } from './kinds.js';
import { readMetadata } from './metadata.js';
import { ProblemList, type Problem } from './problem.js';
import { DEPTH_MAX, TOO_DEEP, VisitLimit, YamlSource } from './yaml-source.js';

export interface ReadObject {
  /** What could be read, errors or not; whoever takes it despite errors knows that fields are missing. */
  readonly objects: PolicyObjects;
  readonly problems: readonly Problem[];
  readonly hasErrors: boolean;
}

/** Of ObjectMeta; the rest is the server's, and new servers may have more of it. */
const METADATA_KEYS = ['name', 'namespace', 'uid', 'labels', 'annotations'];
const NO_PLACE = { path: '', offset: 0 } as const;

/** `object` needs no `apiVersion` and `kind`: lists have none in their items. */
export function readObject(kind: ObjectKind, object: unknown): ReadObject {
  const problems = new ProblemList();
  const objects = noObjects();
  const file = `${kind} ${nameOf(object)}`;
  try {
    if (isTooDeep(object)) problems.addFile(file, TOO_DEEP);
    else read(kind, object, { file, problems, objects });
  } catch (error) {
    if (!(error instanceof VisitLimit)) throw error;
    problems.addFile(file, 'has more fields than can be read');
  }
  return { objects, problems: problems.sorted(), hasErrors: problems.hasErrors };
}

interface Reading {
  readonly file: string;
  readonly problems: ProblemList;
  readonly objects: ReturnType<typeof noObjects>;
}

function read(kind: ObjectKind, raw: unknown, { file, problems, objects }: Reading): void {
  const contents = nodeOf(trimmed(raw));
  const source = new YamlSource(file, { documents: [], hasFaults: false, problems, lines: new LineCounter(), targets: new Map() });
  const object = new Field(source, contents, NO_PLACE).map();
  if (object === null) return;
  const metadata = readMetadata(object, KINDS[kind].namespaced);
  readKind(kind, { object, metadata }, objects);
}

/** The library's own way looks for a tag for each value, which takes several times as long. Its depth has been looked at. */
function nodeOf(value: unknown): Node {
  if (Array.isArray(value)) {
    const list = new YAMLSeq();
    for (const item of value as unknown[]) list.items.push(nodeOf(item));
    return list;
  }
  if (!isRecord(value)) return new Scalar(value ?? null);
  const map = new YAMLMap();
  for (const [key, item] of Object.entries(value)) if (item !== undefined) map.items.push(new Pair(new Scalar(key), nodeOf(item)));
  return map;
}

/** Without what no reader wants; the status of a policy is written by many, and none of its meaning. */
function trimmed(raw: unknown): unknown {
  if (!isRecord(raw)) return raw;
  const { metadata } = raw;
  if (!isRecord(metadata)) return raw;
  return { ...raw, metadata: Object.fromEntries(METADATA_KEYS.filter((key) => metadata[key] !== undefined).map((key) => [key, metadata[key]])) };
}

function nameOf(raw: unknown): string {
  const metadata = isRecord(raw) && isRecord(raw.metadata) ? raw.metadata : {};
  const name = typeof metadata.name === 'string' ? metadata.name : '(nameless)';
  return typeof metadata.namespace === 'string' ? `${metadata.namespace}/${name}` : name;
}

/** Without recursion: it is what guards those who recurse. */
function isTooDeep(raw: unknown): boolean {
  let level: object[] = isContainer(raw) ? [raw] : [];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > DEPTH_MAX) return true;
    level = level.flatMap((one) => (Object.values(one) as unknown[]).filter(isContainer));
  }
  return false;
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return isContainer(value) && !Array.isArray(value);
}
