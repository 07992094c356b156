/** `metadata` of any object: name, namespace, UID and labels. Other fields are not looked at. */
import type { Labels } from '@tandem/core';
import type { Field, MapField } from './field.js';

export interface Metadata {
  /** '' for kinds without one. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string | null;
  readonly labels: Labels;
  /** Where to complain about the object's name. */
  readonly nameField: Field;
}

const DEFAULT_NAMESPACE = 'default';
/** DNS-1123 subdomain: what Kubernetes takes as a name. */
const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const NAMESPACE_NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const UID_CHARACTERS_MAX = 128;
const LABEL_CHARACTERS_MAX = 512;

/** null when the object has no usable name: reported. */
export function readMetadata(object: MapField, namespaced: boolean): Metadata | null {
  const metadata = object.get('metadata');
  if (metadata === null) return object.field.error('has no metadata');
  const map = metadata.map();
  if (map === null) return null;
  const nameField = map.get('name');
  if (nameField === null) return metadata.error('has no name');
  const name = nameField.string();
  if (name === null) return null;
  if (!NAME.test(name)) return nameField.error(`"${name}" is no name: lower-case letters, digits, "-" and "." are allowed`);
  const namespace = readNamespace(map, namespaced);
  if (namespace === null) return null;
  const uidField = map.get('uid');
  const uid = uidField?.string() ?? null;
  if (uidField !== null && uid !== null && (uid === '' || uid.length > UID_CHARACTERS_MAX)) {
    return uidField.error(`must have 1 to ${UID_CHARACTERS_MAX} characters`);
  }
  return { namespace, name, uid, labels: readLabels(map.get('labels')), nameField };
}

function readNamespace(map: MapField, namespaced: boolean): string | null {
  const field = map.get('namespace');
  if (field === null) return namespaced ? DEFAULT_NAMESPACE : '';
  if (!namespaced) return field.error('objects of this kind belong to no namespace; leave it out');
  const namespace = field.string();
  if (namespace === null) return null;
  if (!NAMESPACE_NAME.test(namespace)) {
    return field.error(`"${namespace}" is no namespace: lower-case letters, digits and "-" are allowed, 63 at most`);
  }
  return namespace;
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
