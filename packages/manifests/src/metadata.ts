/**
 * `metadata` of any object: name, namespace, UID and labels; annotations are left to the reader of the kind. Other fields of
 * ObjectMeta are not looked at; a key that is none is an error, since a misspelt `namespace` would move a policy to other pods.
 *
 * Invariant: reading always goes on. What is wrong is reported and stands as a placeholder, so that all of an object's
 * problems come out at once; the error keeps the placeholder from getting anywhere.
 */
import type { Labels } from '@tandem/core';
import type { Field, MapField } from './field.js';
import { nearestHint } from './nearest.js';

export interface Metadata {
  /** '' for kinds without one, and as a placeholder. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string | null;
  readonly labels: Labels;
  /** null where there are none. */
  readonly annotations: Field | null;
  /** Where to complain about the object's name; null where name or namespace are placeholders: it is like no other object. */
  readonly nameField: Field | null;
}

const DEFAULT_NAMESPACE = 'default';
/** DNS-1123 subdomain: what Kubernetes takes as a name. */
const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const NAMESPACE_NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const UID_CHARACTERS_MAX = 128;
const LABEL_CHARACTERS_MAX = 512;
/** ObjectMeta of Kubernetes' API machinery (meta/v1). */
const KEYS = [
  'name', 'namespace', 'labels', 'annotations', 'uid', 'generateName', 'generation', 'resourceVersion', 'selfLink', 'finalizers',
  'ownerReferences', 'managedFields', 'creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds',
];
const PLACEHOLDER: Metadata = { namespace: '', name: '', uid: null, labels: {}, annotations: null, nameField: null };

export function readMetadata(object: MapField, namespaced: boolean): Metadata {
  const metadata = object.get('metadata');
  if (metadata === null) object.field.error('has no metadata');
  const map = metadata?.map() ?? null;
  if (metadata === null || map === null) return PLACEHOLDER;
  for (const key of map.keys()) if (!KEYS.includes(key)) map.keyField(key).error(`is unknown${nearestHint(key, KEYS)}`);
  const nameField = map.get('name');
  if (nameField === null) metadata.error('has no name');
  const name = nameField === null ? null : readName(nameField);
  const namespace = readNamespace(map, namespaced);
  return {
    namespace: namespace ?? PLACEHOLDER.namespace,
    name: name ?? PLACEHOLDER.name,
    uid: readUid(map.get('uid')),
    labels: readLabels(map.get('labels')),
    annotations: map.get('annotations'),
    nameField: name === null || namespace === null ? null : nameField,
  };
}

function readName(field: Field): string | null {
  const name = field.string();
  if (name === null || NAME.test(name)) return name;
  return field.error(`"${name}" is no name: lower-case letters, digits, "-" and "." are allowed`);
}

function readUid(field: Field | null): string | null {
  const uid = field?.string() ?? null;
  if (uid !== null && (uid === '' || uid.length > UID_CHARACTERS_MAX)) field?.error(`must have 1 to ${UID_CHARACTERS_MAX} characters`);
  return uid;
}

function readNamespace(map: MapField, namespaced: boolean): string | null {
  const field = map.getRaw('namespace');
  if (field === null) {
    if (namespaced) map.field.warning(`has no namespace: the object is taken to be in "${DEFAULT_NAMESPACE}"`);
    return namespaced ? DEFAULT_NAMESPACE : '';
  }
  if (!namespaced) return field.error('objects of this kind belong to no namespace; leave it out');
  if (field.isNull) return map.keyField('namespace').error('has no value; leave the field out or give it one');
  const namespace = field.string();
  if (namespace === null || NAMESPACE_NAME.test(namespace)) return namespace;
  return field.error(`"${namespace}" is no namespace: lower-case letters, digits and "-" are allowed, 63 at most`);
}

/** A mapping of strings to strings; {} when absent or wrong (reported). */
export function readLabels(field: Field | null): Labels {
  const labels: Record<string, string> = {};
  const map = field?.map() ?? null;
  if (map === null) return labels;
  for (const key of map.keys()) {
    const value = map.getRaw(key)?.string() ?? null;
    if (value === null) continue;
    if (key === '' || key.length + value.length > LABEL_CHARACTERS_MAX) {
      map.keyField(key).error(`a label has a key, and ${LABEL_CHARACTERS_MAX} characters at most`);
      continue;
    }
    // Plain assignment would lose a key named __proto__.
    Object.defineProperty(labels, key, { value, enumerable: true, writable: true, configurable: true });
  }
  return labels;
}
