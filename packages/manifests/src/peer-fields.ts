/** Entities and Services as peers of a rule. */
import { ENTITIES, type Entity, type ServiceReference } from '@tandem/core';
import type { Field, MapField } from './field.js';
import { nearestHint } from './nearest.js';
import { readSelector } from './selector-fields.js';

/** Cilium knows them, and no endpoint here is of their kind. */
const EMPTY_ENTITIES: readonly Entity[] = ['init', 'ingress', 'unmanaged', 'health'];
const SERVICE_KEYS = ['k8sService', 'k8sServiceSelector'];
const NAME_KEYS = ['serviceName', 'namespace'];
const SELECTOR_KEYS = ['selector', 'namespace'];
/** DNS-1123 label: what Kubernetes takes as the name of a Service or namespace. */
const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

export function readEntities(field: Field): Entity[] {
  return (field.list() ?? []).flatMap((item) => {
    const text = item.string();
    if (text === null) return [];
    const entity = ENTITIES.find((one) => one === text) ?? null;
    if (entity === null) {
      const hint = nearestHint(text, ENTITIES);
      item.error(`"${text}" is no entity${hint === '' ? `; known are ${ENTITIES.join(', ')}` : hint}`);
      return [];
    }
    if (EMPTY_ENTITIES.includes(entity)) item.warning(`"${entity}" selects nothing here: there are no such endpoints`);
    return [entity];
  });
}

/** An entry with a name and a selector means both Services, and one without a namespace those of all, as in Cilium. */
export function readServices(field: Field): ServiceReference[] {
  return (field.list() ?? []).flatMap((item) => {
    const map = item.map();
    if (map === null) return [];
    map.checkKeys(SERVICE_KEYS);
    const byName = map.get('k8sService')?.map() ?? null;
    const bySelector = map.get('k8sServiceSelector')?.map() ?? null;
    if (map.getRaw('k8sService') === null && map.getRaw('k8sServiceSelector') === null) item.error('has neither k8sService nor k8sServiceSelector');
    return [
      ...(byName === null ? [] : readNamed(byName)),
      ...(bySelector === null ? [] : readSelected(bySelector)),
    ];
  });
}

function readNamed(map: MapField): ServiceReference[] {
  map.checkKeys(NAME_KEYS);
  const name = readLabel(map.get('serviceName'), 'Service');
  if (map.getRaw('serviceName') === null) map.field.error('has no serviceName');
  const namespace = readLabel(map.get('namespace'), 'namespace');
  return name === null ? [] : [{ namespace, name, selector: null }];
}

function readSelected(map: MapField): ServiceReference[] {
  map.checkKeys(SELECTOR_KEYS);
  const field = map.get('selector');
  if (map.getRaw('selector') === null) map.field.error('has no selector; write "selector: {}" for every Service');
  const selector = field === null ? null : readSelector(field, 'plain');
  const namespace = readLabel(map.get('namespace'), 'namespace');
  return selector === null ? [] : [{ namespace, name: null, selector }];
}

function readLabel(field: Field | null, what: string): string | null {
  const text = field?.string() ?? null;
  if (text === null || LABEL.test(text)) return text;
  return field?.error(`"${text}" is no name of a ${what}: lower-case letters, digits and "-" are allowed, 63 at most`) ?? null;
}
