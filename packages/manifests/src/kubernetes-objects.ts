/**
 * Pods, Namespaces, Services and EndpointSlices: only the fields that policy depends on are read; others may be present or
 * absent. A field that is read and has the wrong type is an error.
 */
import {
  L4_PROTOCOL,
  canonicalAddress,
  type EndpointSliceObject,
  type NamedPort,
  type NamespaceObject,
  type PodObject,
  type Protocol,
  type ServiceObject,
  type ServicePortObject,
  type SlicePortObject,
} from '@tandem/core';
import type { Field, MapField } from './field.js';
import { readLabels, type Metadata } from './metadata.js';
import { portProtocol, type PortProtocol } from './port-fields.js';

const PORT_MIN = 1;
const PORT_MAX = 65535;
const PHASES = ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'];
const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';
const NO_CLUSTER_ADDRESS = 'None';

export function namespace({ name, labels }: Metadata): NamespaceObject {
  return { name, labels };
}

export function pod(object: MapField, metadata: Metadata): PodObject[] {
  const spec = object.get('spec')?.map() ?? null;
  const status = object.get('status')?.map() ?? null;
  const phaseField = status?.get('phase') ?? null;
  const phase = phaseField?.string() ?? null;
  if (phase !== null && !PHASES.includes(phase)) phaseField?.error(`is "${phase}"; known are ${PHASES.join(', ')}`);
  const fields = [status?.get('podIP') ?? null];
  for (const item of status?.get('podIPs')?.list() ?? []) fields.push(item.map()?.get('ip') ?? null);
  return [
    {
      namespace: metadata.namespace,
      name: metadata.name,
      uid: metadata.uid,
      labels: metadata.labels,
      nodeName: textOrNull(spec, 'nodeName'),
      hostNetwork: spec?.get('hostNetwork')?.boolean() ?? false,
      serviceAccount: textOrNull(spec, 'serviceAccountName') ?? textOrNull(spec, 'serviceAccount'),
      phase,
      addresses: distinct(fields.flatMap(readAddress)),
      ports: (spec?.get('containers')?.list() ?? []).flatMap(containerPorts),
    },
  ];
}

export function service(object: MapField, metadata: Metadata): ServiceObject[] {
  const spec = object.get('spec')?.map() ?? null;
  if (spec === null) return [];
  const fields = [clusterAddress(spec.get('clusterIP'))];
  for (const item of spec.get('clusterIPs')?.list() ?? []) fields.push(clusterAddress(item));
  fields.push(...(spec.get('externalIPs')?.list() ?? []));
  const balancer = object.get('status')?.map()?.get('loadBalancer')?.map() ?? null;
  for (const item of balancer?.get('ingress')?.list() ?? []) fields.push(item.map()?.get('ip') ?? null);
  const selector = spec.get('selector');
  return [
    {
      namespace: metadata.namespace,
      name: metadata.name,
      labels: metadata.labels,
      addresses: distinct(fields.flatMap(readAddress)),
      ports: (spec.get('ports')?.list() ?? []).flatMap(servicePort),
      selector: selector === null ? null : readLabels(selector),
    },
  ];
}

export function endpointSlice(object: MapField, metadata: Metadata): EndpointSliceObject[] {
  const addresses: string[] = [];
  const isNames = object.get('addressType')?.string() === 'FQDN';
  for (const endpoint of object.get('endpoints')?.list() ?? []) {
    for (const item of endpoint.map()?.get('addresses')?.list() ?? []) {
      if (!isNames) addresses.push(...readAddress(item));
    }
  }
  const serviceName = Object.hasOwn(metadata.labels, SERVICE_NAME_LABEL) ? metadata.labels[SERVICE_NAME_LABEL] : null;
  return [
    {
      namespace: metadata.namespace,
      name: metadata.name,
      serviceName,
      addresses: distinct(addresses),
      ports: (object.get('ports')?.list() ?? []).flatMap(slicePort),
    },
  ];
}

function containerPorts(container: Field): NamedPort[] {
  const ports: NamedPort[] = [];
  for (const item of container.map()?.get('ports')?.list() ?? []) {
    const map = item.map();
    const name = map === null ? null : textOrNull(map, 'name');
    const port = map?.get('containerPort')?.integer(PORT_MIN, PORT_MAX) ?? null;
    const protocol = map === null ? null : readProtocol(map);
    if (name !== null && port !== null && protocol !== null) ports.push({ name, port, protocol });
  }
  return ports;
}

function servicePort(item: Field): ServicePortObject[] {
  const map = item.map();
  if (map === null) return [];
  const port = map.get('port')?.integer(PORT_MIN, PORT_MAX);
  if (port === undefined) item.error('has no port');
  const targetPort = map.get('targetPort')?.integerOrString(PORT_MIN, PORT_MAX) ?? null;
  const protocol = dnsProtocol(map);
  if (port === undefined || port === null || protocol === null) return [];
  return [{ name: textOrNull(map, 'name') ?? '', port, protocol, targetPort }];
}

function slicePort(item: Field): SlicePortObject[] {
  const map = item.map();
  const protocol = map === null ? null : dnsProtocol(map);
  if (map === null || protocol === null) return [];
  const port = map.get('port')?.integer(PORT_MIN, PORT_MAX) ?? null;
  return [{ name: textOrNull(map, 'name') ?? '', port, protocol }];
}

/** null also for what carries no DNS (SCTP): Services stand for their backends where DNS goes only. */
function dnsProtocol(map: MapField): Protocol | null {
  const protocol = readProtocol(map);
  return protocol === L4_PROTOCOL.sctp ? null : protocol;
}

/** null for what is no protocol (reported). TCP where absent, as in Kubernetes. */
function readProtocol(map: MapField): PortProtocol | null {
  const field = map.get('protocol');
  if (field === null) return L4_PROTOCOL.tcp;
  const text = field.string();
  return text === null ? null : (portProtocol(text) ?? field.error(`is "${text}"; known are TCP, UDP, SCTP`));
}

function clusterAddress(field: Field | null): Field | null {
  const text = field?.string();
  return text === NO_CLUSTER_ADDRESS || text === '' || text === null ? null : field;
}

function readAddress(field: Field | null): string[] {
  const text = field?.string() ?? null;
  if (field === null || text === null || text === '') return [];
  const address = canonicalAddress(text);
  if (address === null) field.error(`"${text}" is not an IP address`);
  return address === null ? [] : [address];
}

function textOrNull(map: MapField | null, key: string): string | null {
  const text = map?.get(key)?.string() ?? null;
  return text === '' ? null : text;
}

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}
