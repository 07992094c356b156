/**
 * CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy. Every field is known, or an error: a policy that is half
 * understood would be enforced wrongly. What Cilium knows and this version does not enforce is a warning where it has no
 * say in DNS or egress (ingress), else an error that says what to write instead.
 */
import { ANY_PEER, NO_EXTENSIONS, NOTHING_SAID, type PolicyKind, type PolicyObject, type PolicySpec, type RuleSpec } from '@tandem/core';
import type { Field, MapField } from './field.js';
import type { Metadata } from './metadata.js';
import { readFqdnSelectors } from './name-fields.js';
import { readPortSpec } from './port-fields.js';
import { readSelector } from './selector-fields.js';

const OBJECT_KEYS = ['apiVersion', 'kind', 'metadata', 'spec', 'specs', 'status'];
const SPEC_KEYS = [
  'endpointSelector', 'nodeSelector', 'egress', 'egressDeny', 'ingress', 'ingressDeny', 'enableDefaultDeny',
  'description', 'labels', 'log',
];
const EGRESS_KEYS = ['toEndpoints', 'toFQDNs', 'toPorts'];
/** Of Cilium's language, not enforced here: what to do instead. */
const EGRESS_UNSUPPORTED: Readonly<Record<string, string>> = {
  toCIDR: 'name servers by toEndpoints and other destinations by toFQDNs',
  toCIDRSet: 'name servers by toEndpoints and other destinations by toFQDNs',
  toEntities: 'name servers by toEndpoints; a rule with toPorts alone covers every server',
  toServices: 'select the pods behind the Service by toEndpoints',
  toNodes: 'name servers by toEndpoints',
  toGroups: 'name destinations by toFQDNs',
  toRequires: 'put the labels into toEndpoints',
  icmps: 'leave it out; rules for DNS name ports with toPorts',
  authentication: 'leave it out',
};
const POD_NAMESPACE_KEY = 'k8s:io.kubernetes.pod.namespace';

/** Empty when something was wrong (reported). */
export function policy(object: MapField, metadata: Metadata, kind: PolicyKind): PolicyObject[] {
  object.checkKeys(OBJECT_KEYS);
  const specs: PolicySpec[] = [];
  const single = object.get('spec');
  const several = object.get('specs');
  if (single === null && several === null) object.field.error('has neither spec nor specs');
  const fields = [...(single === null ? [] : [single]), ...(several?.list() ?? [])];
  for (const field of fields) {
    const map = field.map();
    if (map !== null) specs.push(...readSpec(map, metadata.namespace, kind));
  }
  return [{ kind, namespace: metadata.namespace, name: metadata.name, specs, extensions: NO_EXTENSIONS }];
}

function readSpec(spec: MapField, namespace: string, kind: PolicyKind): PolicySpec[] {
  spec.checkKeys(SPEC_KEYS);
  const subject = spec.get('endpointSelector');
  const node = spec.get('nodeSelector');
  if (subject === null && node === null) spec.field.error('has no endpointSelector; write "endpointSelector: {}" for all pods');
  if (subject !== null && node !== null) node.error('stands next to endpointSelector; one spec takes one of them');
  if (node !== null && kind === 'CiliumNetworkPolicy') node.error('belongs into a CiliumClusterwideNetworkPolicy');
  else if (node !== null && subject === null) spec.keyField('nodeSelector').warning('host policies are not enforced by this version');
  for (const key of ['ingress', 'ingressDeny']) {
    if (spec.get(key) !== null) spec.keyField(key).warning('is not enforced by this version; it has no effect on DNS');
  }
  if (spec.get('egressDeny') !== null) {
    spec.keyField('egressDeny').error('is not supported by this version; egress denies all that it does not allow, so allow less there');
  }
  const endpointSelector = subject === null ? null : readSelector(subject);
  const written = endpointSelector?.matchLabels[POD_NAMESPACE_KEY];
  if (namespace !== '' && written !== undefined && written !== namespace) {
    subject?.warning(`the namespace "${written}" has no effect: the policy selects pods of its own namespace "${namespace}"`);
  }
  const defaultDeny = spec.get('enableDefaultDeny')?.map() ?? null;
  defaultDeny?.checkKeys(['egress', 'ingress']);
  return [
    {
      path: spec.field.path,
      endpointSelector,
      egress: { allow: readEgress(spec.get('egress')), deny: null, defaultDeny: defaultDeny?.get('egress')?.boolean() ?? null },
      ingress: NOTHING_SAID,
    },
  ];
}

function readEgress(field: Field | null): RuleSpec[] | null {
  if (field === null) return null;
  const items = field.list();
  if (items === null) return null;
  if (items.length === 0) {
    field.warning('an empty list denies all egress here, while Cilium takes it for absent; write [{}] to deny all in both');
  }
  return items.flatMap((item) => {
    const map = item.map();
    return map === null ? [] : [readEgressRule(map)];
  });
}

function readEgressRule(rule: MapField): RuleSpec {
  for (const key of rule.keys()) {
    if (Object.hasOwn(EGRESS_UNSUPPORTED, key)) {
      rule.keyField(key).error(`is not supported by this version: ${EGRESS_UNSUPPORTED[key]}`);
    }
  }
  const supported = rule.keys().filter((key) => !Object.hasOwn(EGRESS_UNSUPPORTED, key));
  rule.checkKeys([...EGRESS_KEYS, ...rule.keys().filter((key) => !supported.includes(key))]);
  const endpoints = rule.get('toEndpoints');
  const names = rule.get('toFQDNs');
  const ports = rule.get('toPorts');
  if (endpoints !== null && names !== null) names.error('stands next to toEndpoints; write two egress rules');
  const toPorts = ports?.list()?.flatMap((item) => readPortSpec(item, names !== null)) ?? null;
  const selectors = endpoints?.list()?.flatMap((item) => readSelector(item) ?? []) ?? null;
  return { ...ANY_PEER, endpoints: selectors, fqdns: names === null ? null : readFqdnSelectors(names), ports: toPorts };
}
