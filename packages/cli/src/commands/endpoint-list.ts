/** `tandem endpoint list`: the local pods that the pair knows. */
import type { Command } from 'commander';
import type { EndpointView } from '@tandem/host';
import { ask } from '../client.js';
import { memberCommand, targetOf, type CommonOptions } from '../common-options.js';
import type { Io } from '../io.js';
import { columns, ownLabels, render } from '../output.js';

export function endpointListCommand(io: Io): Command {
  return memberCommand('list', 'List the local endpoints.', ['tandem endpoint list', 'tandem endpoint list -o json'])
    .action(async (options: CommonOptions) => {
      const rows = await ask<EndpointView[]>(targetOf(options, io.env), { method: 'GET', path: '/api/v1/endpoints' });
      io.out(render(rows, options.output, () => tableOf(rows)));
    });
}

function tableOf(rows: readonly EndpointView[]): string {
  return columns([
    ['Endpoint', 'Identity', 'Egress', 'Ingress', 'Pod', 'Addresses', 'Labels'],
    ...rows.map((row) => [
      String(row.id), String(row.identity), row.enforced ? 'enforced' : 'open', row.ingressClosed ? 'closed' : 'open', `${row.namespace}/${row.pod}`,
      row.addresses.join(','), ownLabels(row.labels),
    ]),
  ]);
}
