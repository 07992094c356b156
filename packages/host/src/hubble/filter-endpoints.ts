/** The fields of a flow filter that are about who is at one end: once for the source, once for the destination. */
import { AppError } from '@tandem/core';
import type { Endpoint, Flow, FlowFilter, Service, Workload } from '@tandem/proto';
import { equalityTest, fieldTest, type FlowTest } from './filter-fields.js';
import { labelTest } from './filter-labels.js';
import { addressTest, domainTest, namespacedTest, quoted } from './filter-names.js';

const PORT_MAX = 65_535;

/** What a filter wants of one end, and where a flow has it. */
interface Side {
  readonly name: 'source' | 'destination';
  readonly ip: readonly string[];
  readonly pod: readonly string[];
  readonly fqdn: readonly string[];
  readonly label: readonly string[];
  readonly service: readonly string[];
  readonly port: readonly string[];
  readonly identity: readonly number[];
  readonly workload: readonly Workload[];
  readonly clusterName: readonly string[];
  readonly endpointOf: (flow: Flow) => Endpoint | undefined;
  readonly serviceOf: (flow: Flow) => Service | undefined;
  readonly addressOf: (flow: Flow) => string;
  readonly namesOf: (flow: Flow) => readonly string[];
  readonly portOf: (flow: Flow) => number | undefined;
}

/** @throws AppError USAGE. */
export function endpointTests(filter: FlowFilter): FlowTest[] {
  return [
    ...sideTests({
      name: 'source', ip: filter.sourceIp, pod: filter.sourcePod, fqdn: filter.sourceFqdn, label: filter.sourceLabel,
      service: filter.sourceService, port: filter.sourcePort, identity: filter.sourceIdentity, workload: filter.sourceWorkload,
      clusterName: filter.sourceClusterName, endpointOf: (flow) => flow.source, serviceOf: (flow) => flow.sourceService,
      addressOf: (flow) => flow.IP?.source ?? '', namesOf: (flow) => flow.sourceNames, portOf: (flow) => portsOf(flow)?.sourcePort,
    }),
    ...sideTests({
      name: 'destination', ip: filter.destinationIp, pod: filter.destinationPod, fqdn: filter.destinationFqdn, label: filter.destinationLabel,
      service: filter.destinationService, port: filter.destinationPort, identity: filter.destinationIdentity, workload: filter.destinationWorkload,
      clusterName: filter.destinationClusterName, endpointOf: (flow) => flow.destination, serviceOf: (flow) => flow.destinationService,
      addressOf: (flow) => flow.IP?.destination ?? '', namesOf: (flow) => flow.destinationNames, portOf: (flow) => portsOf(flow)?.destinationPort,
    }),
    ...fieldTest('source_ip_xlated', filter.sourceIpXlated, addressTest, (flow, matches) => isPresent(flow.IP?.sourceXlated, matches)),
  ];
}

function sideTests(side: Side): FlowTest[] {
  const { name, endpointOf, serviceOf, addressOf, namesOf, portOf } = side;
  return [
    ...equalityTest(side.identity, (flow) => endpointOf(flow)?.identity ?? 0),
    ...fieldTest(`${name}_port`, side.port, portNumber, (flow, port) => portOf(flow) === port),
    ...fieldTest(`${name}_ip`, side.ip, addressTest, (flow, matches) => isPresent(addressOf(flow), matches)),
    ...fieldTest(`${name}_pod`, side.pod, namespacedTest, (flow, matches) => {
      const endpoint = endpointOf(flow);
      return endpoint !== undefined && isNamed(endpoint.namespace, endpoint.podName) && matches(endpoint.namespace, endpoint.podName);
    }),
    ...fieldTest(`${name}_service`, side.service, namespacedTest, (flow, matches) => {
      const service = serviceOf(flow);
      return service !== undefined && isNamed(service.namespace, service.name) && matches(service.namespace, service.name);
    }),
    ...fieldTest(`${name}_workload`, side.workload, (wanted) => wanted, (flow, { name: wantedName, kind }) => (
      endpointOf(flow)?.workloads.some((workload) => (wantedName === '' || wantedName === workload.name) && (kind === '' || kind === workload.kind)) ?? false
    )),
    ...equalityTest(side.clusterName.map((cluster) => named(`${name}_cluster_name`, cluster)), (flow) => endpointOf(flow)?.clusterName),
    ...fieldTest(`${name}_fqdn`, side.fqdn, domainTest, (flow, matches) => namesOf(flow).some(matches)),
    ...fieldTest(`${name}_label`, side.label, labelTest, (flow, matches) => matches(endpointOf(flow)?.labels ?? NO_LABELS)),
  ];
}

const NO_LABELS: readonly string[] = [];

function portsOf(flow: Flow): { readonly sourcePort: number; readonly destinationPort: number } | undefined {
  const protocol = flow.l4?.protocol;
  switch (protocol?.$case) {
    case 'TCP':
    case 'UDP':
    case 'SCTP':
      return protocol.value;
    case 'ICMPv4':
    case 'ICMPv6':
    case undefined:
      return undefined;
  }
}

function portNumber(text: string): number {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : Infinity;
  if (port > PORT_MAX) throw new AppError('USAGE', `${quoted(text)} is no port from 0 to ${PORT_MAX}`);
  return port;
}

function named(field: string, cluster: string): string {
  if (cluster === '') throw new AppError('USAGE', `${field}: a cluster has a name`);
  return cluster;
}

function isPresent(text: string | undefined, matches: (text: string) => boolean): boolean {
  return text !== undefined && text !== '' && matches(text);
}

function isNamed(namespace: string, name: string): boolean {
  return namespace !== '' || name !== '';
}
