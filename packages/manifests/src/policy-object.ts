/**
 * CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy. Every field is known, or an error: a policy that is half
 * understood would be enforced wrongly. What Cilium knows and this version does not enforce is an error that says what to write
 * instead, or a warning where it selects no pod (host policies).
 */
import type { DirectionSpec, PolicyKind, PolicyObject, PolicySpec, RuleSpec } from '@tandem/core';
import { readExtensions } from './extensions.js';
import type { MapField } from './field.js';
import type { Metadata } from './metadata.js';
import { readRule, type RulePlace } from './rule-fields.js';
import { readSelector } from './selector-fields.js';

const OBJECT_KEYS = ['apiVersion', 'kind', 'metadata', 'spec', 'specs', 'status'];
const SECTION_KEYS = ['egress', 'egressDeny', 'ingress', 'ingressDeny'];
const SPEC_KEYS = ['endpointSelector', 'nodeSelector', ...SECTION_KEYS, 'enableDefaultDeny', 'description', 'labels', 'log'];
const POD_NAMESPACE_KEY = 'k8s:io.kubernetes.pod.namespace';

/** Empty when something was wrong (reported). */
export function policy(object: MapField, metadata: Metadata, kind: PolicyKind): PolicyObject[] {
  object.checkKeys(OBJECT_KEYS);
  const specs: PolicySpec[] = [];
  const single = object.get('spec');
  const several = object.get('specs');
  if (single === null && several === null) object.field.error('has neither spec nor specs');
  const list = several?.list() ?? [];
  if (single === null && several !== null && list.length === 0) several.warning('is an empty list: the policy does nothing');
  const fields = [...(single === null ? [] : [single]), ...list];
  for (const field of fields) {
    const map = field.map();
    if (map !== null) specs.push(readSpec(map, metadata.namespace, kind));
  }
  return [{ kind, namespace: metadata.namespace, name: metadata.name, specs, extensions: readExtensions(metadata.annotations, specs) }];
}

function readSpec(spec: MapField, namespace: string, kind: PolicyKind): PolicySpec {
  spec.checkKeys(SPEC_KEYS);
  const subject = spec.get('endpointSelector');
  const node = spec.get('nodeSelector');
  if (subject === null && node === null) spec.field.error('has no endpointSelector; write "endpointSelector: {}" for all pods');
  if (subject !== null && node !== null) node.error('stands next to endpointSelector; one spec takes one of them');
  if (node !== null && kind === 'CiliumNetworkPolicy') node.error('belongs into a CiliumClusterwideNetworkPolicy');
  else if (node !== null && subject === null) spec.keyField('nodeSelector').warning('host policies are not enforced by this version');
  if (node !== null) readSelector(node, 'sourced');
  const endpointSelector = subject === null ? null : readSelector(subject, 'sourced');
  const written = endpointSelector?.matchLabels[POD_NAMESPACE_KEY];
  if (namespace !== '' && written !== undefined && written !== namespace) {
    subject?.warning(`the namespace "${written}" has no effect: the policy selects pods of its own namespace "${namespace}"`);
  }
  const defaultDeny = spec.get('enableDefaultDeny')?.map() ?? null;
  defaultDeny?.checkKeys(['egress', 'ingress']);
  const isUnderstood = spec.keys().every((key) => SPEC_KEYS.includes(key));
  if (isUnderstood && SECTION_KEYS.every((key) => spec.getRaw(key) === null)) {
    spec.field.warning('has no rules; Cilium refuses such a policy; write "egress: [{}]" or "ingress: [{}]" to deny all');
  }
  return {
    path: spec.field.path,
    endpointSelector,
    egress: readDirection(spec, defaultDeny, 'egress'),
    ingress: readDirection(spec, defaultDeny, 'ingress'),
  };
}

function readDirection(spec: MapField, defaultDeny: MapField | null, direction: RulePlace['direction']): DirectionSpec {
  return {
    allow: readSection(spec, { direction, deny: false }),
    deny: readSection(spec, { direction, deny: true }),
    defaultDeny: defaultDeny?.get(direction)?.boolean() ?? null,
  };
}

function readSection(spec: MapField, place: RulePlace): RuleSpec[] | null {
  const field = spec.get(place.deny ? `${place.direction}Deny` : place.direction);
  const items = field?.list() ?? null;
  if (field === null || items === null) return null;
  if (items.length === 0) {
    const instead = place.deny ? 'leave it out' : 'write [{}] to deny all';
    field.warning(`is an empty list, which says nothing (as in Cilium); ${instead}`);
    return null;
  }
  return items.flatMap((item) => {
    const map = item.map();
    return map === null ? [] : [readRule(map, place)];
  });
}
