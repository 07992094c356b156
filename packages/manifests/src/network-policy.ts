/**
 * NetworkPolicy of networking.k8s.io/v1, said in the terms of Cilium's policies as Cilium does it (pkg/k8s/network_policy.go):
 * keys of selectors get the source `k8s:`, those of namespaces their prefix too. As there, `ipBlock` selects no pods.
 *
 * Invariant: "any peer" is said as the entity `all`, for a rule that names nobody allows nothing in Cilium's language. A selector of namespaces
 * selects what has a namespace, which neither the world nor a node has: NotIn and DoesNotExist alone would hold for them, too.
 */
import {
  NOTHING_SAID, type CidrSpec, type DirectionSpec, type LabelSelector, type NamedPortRef, type PolicyObject, type PolicySpec, type PortRange,
  type PortSpec, type RuleSpec,
} from '@tandem/core';
import { readIpBlock } from './cidr-fields.js';
import { readExtensions } from './extensions.js';
import type { Field, MapField } from './field.js';
import type { Metadata } from './metadata.js';
import { nearestHint } from './nearest.js';
import { namedPort, portProtocol } from './port-fields.js';
import { readSelector } from './selector-fields.js';

type Direction = 'egress' | 'ingress';

const OBJECT_KEYS = ['apiVersion', 'kind', 'metadata', 'spec', 'status'];
const SPEC_KEYS = ['podSelector', 'policyTypes', 'ingress', 'egress'];
const POLICY_TYPES = { ingress: 'Ingress', egress: 'Egress' } as const;
const PEER_KEYS = ['podSelector', 'namespaceSelector', 'ipBlock'];
const PORT_KEYS = ['port', 'endPort', 'protocol'];
const PORT_MIN = 1;
const PORT_MAX = 65535;
const SOURCE = 'k8s:';
const POD_NAMESPACE_KEY = 'k8s:io.kubernetes.pod.namespace';
const NAMESPACE_LABELS_PREFIX = 'k8s:io.cilium.k8s.namespace.labels.';
const EMPTY_SELECTOR: LabelSelector = { matchLabels: {}, matchExpressions: [] };

/** Empty when it has no spec (reported). */
export function networkPolicy(object: MapField, metadata: Metadata): PolicyObject[] {
  object.checkKeys(OBJECT_KEYS);
  const { namespace, name } = metadata;
  const field = object.get('spec');
  if (field === null && object.getRaw('spec') === null) object.field.error('has no spec');
  const spec = field?.map() ?? null;
  if (spec === null) return [];
  spec.checkKeys(SPEC_KEYS);
  const subject = spec.get('podSelector');
  if (spec.getRaw('podSelector') === null) spec.field.warning('has no podSelector: the policy selects all pods of its namespace');
  const types = readTypes(spec);
  const specs: PolicySpec[] = [
    {
      path: spec.field.path,
      endpointSelector: prefixed(subject === null ? EMPTY_SELECTOR : (readSelector(subject, 'plain') ?? EMPTY_SELECTOR), SOURCE),
      egress: readDirection(spec, { direction: 'egress', namespace, types }),
      ingress: readDirection(spec, { direction: 'ingress', namespace, types }),
    },
  ];
  return [{ kind: 'NetworkPolicy', namespace, name, specs, extensions: readExtensions(metadata.annotations, specs) }];
}

/** null where it is not said. */
function readTypes(spec: MapField): Direction[] | null {
  const items = spec.get('policyTypes')?.list() ?? null;
  if (items === null || items.length === 0) return null;
  return items.flatMap((item) => {
    const text = item.string();
    if (text === POLICY_TYPES.ingress) return ['ingress'];
    if (text === POLICY_TYPES.egress) return ['egress'];
    if (text !== null) item.error(`is "${text}"; known are Ingress and Egress${nearestHint(text, Object.values(POLICY_TYPES))}`);
    return [];
  });
}

interface DirectionPlace {
  readonly direction: Direction;
  readonly namespace: string;
  readonly types: readonly Direction[] | null;
}

function readDirection(spec: MapField, { direction, namespace, types }: DirectionPlace): DirectionSpec {
  const field = spec.get(direction);
  const items = field?.list() ?? [];
  const rules = items.flatMap((item) => {
    const map = item.map();
    return map === null ? [] : [readRule(map, direction, namespace)];
  });
  const isNamed = types === null ? direction === 'ingress' : types.includes(direction);
  if (!isNamed && items.length === 0) {
    field?.warning(`is empty, and policyTypes does not name ${POLICY_TYPES[direction]}: it has no effect`);
    return NOTHING_SAID;
  }
  if (!isNamed && types !== null) {
    field?.warning(`is enforced although policyTypes does not name ${POLICY_TYPES[direction]} (as in Cilium; by Kubernetes' documentation it has no effect)`);
  }
  return { allow: rules, deny: null, defaultDeny: null };
}

function readRule(rule: MapField, direction: Direction, namespace: string): RuleSpec {
  const peersKey = direction === 'egress' ? 'to' : 'from';
  rule.checkKeys([peersKey, 'ports']);
  const peers = rule.get(peersKey)?.list() ?? [];
  const portItems = rule.get('ports')?.list() ?? [];
  const ports = portItems.length === 0 ? null : portItems.flatMap(readPort);
  const plain = { services: null, fqdns: null, ports };
  if (peers.length === 0) return { ...plain, endpoints: null, cidrs: null, entities: ['all'] };
  const endpoints: LabelSelector[] = [];
  const cidrs: CidrSpec[] = [];
  for (const peer of peers) {
    const map = peer.map();
    if (map === null) continue;
    map.checkKeys(PEER_KEYS);
    const block = map.get('ipBlock');
    const pods = map.get('podSelector');
    const namespaces = map.get('namespaceSelector');
    if (block !== null) cidrs.push(...readIpBlock(block));
    if (block !== null && (pods !== null || namespaces !== null)) block.error('stands next to a selector; write two peers');
    else if (pods !== null || namespaces !== null) endpoints.push(peerSelector(pods, namespaces, namespace));
    else if (map.keys().length === 0) peer.error('is empty; a peer has a podSelector, a namespaceSelector or an ipBlock');
  }
  return { ...plain, entities: null, endpoints: endpoints.length === 0 ? null : endpoints, cidrs: cidrs.length === 0 ? null : cidrs };
}

function peerSelector(pods: Field | null, namespaces: Field | null, ownNamespace: string): LabelSelector {
  const ofPods = prefixed(pods === null ? EMPTY_SELECTOR : (readSelector(pods, 'plain') ?? EMPTY_SELECTOR), SOURCE);
  if (namespaces === null) return { ...ofPods, matchLabels: { ...ofPods.matchLabels, [POD_NAMESPACE_KEY]: ownNamespace } };
  const given = prefixed(readSelector(namespaces, 'plain') ?? EMPTY_SELECTOR, NAMESPACE_LABELS_PREFIX);
  return {
    matchLabels: { ...ofPods.matchLabels, ...given.matchLabels },
    matchExpressions: [...ofPods.matchExpressions, ...given.matchExpressions, { key: POD_NAMESPACE_KEY, operator: 'Exists', values: [] }],
  };
}

function prefixed({ matchLabels, matchExpressions }: LabelSelector, prefix: string): LabelSelector {
  return {
    matchLabels: Object.fromEntries(Object.entries(matchLabels).map(([key, value]) => [`${prefix}${key}`, value])),
    matchExpressions: matchExpressions.map((one) => ({ ...one, key: `${prefix}${one.key}` })),
  };
}

/** Each port stands for itself: Kubernetes has no limit on how many there are. */
function readPort(item: Field): PortSpec[] {
  const map = item.map();
  if (map === null) return [];
  map.checkKeys(PORT_KEYS);
  const protocolField = map.get('protocol');
  const protocolText = protocolField === null ? 'TCP' : protocolField.string();
  const protocol = protocolText === null ? null : portProtocol(protocolText);
  if (protocolText !== null && protocol === null) protocolField?.error(`"${protocolText}" is no protocol; TCP, UDP and SCTP are`);
  const portField = map.get('port');
  const port = portField?.integerOrString(PORT_MIN, PORT_MAX) ?? null;
  const endField = map.get('endPort');
  const end = endField?.integer(PORT_MIN, PORT_MAX) ?? null;
  if (protocol === null || (portField !== null && port === null)) return [];
  if (typeof port !== 'number' && end !== null) endField?.error('needs a port as a number before it');
  let one: PortRange | NamedPortRef;
  if (typeof port === 'string') {
    const portName = namedPort(port);
    if (portName === null) {
      portField?.error(/^[0-9]+$/.test(port) ? `is a string; write ${port} without quotes` : `"${port}" is no port; write a number or the name of a container port`);
      return [];
    }
    one = { portName, protocol };
  } else if (port === null) {
    one = { first: 0, last: PORT_MAX, protocol };
  } else {
    if (end !== null && end < port) endField?.error(`is ${end}, below port ${port}`);
    one = { first: port, last: Math.max(port, end ?? port), protocol };
  }
  return [{ path: item.step, ports: [one], dns: null }];
}
