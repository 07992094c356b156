/** `tandem policy list`: the policies in force, and whom they select here. */
import type { Command } from 'commander';
import type { PolicyView } from '@tandem/host';
import { ask } from '../client.js';
import { memberCommand, targetOf, type CommonOptions } from '../common-options.js';
import type { Io } from '../io.js';
import { columns, render } from '../output.js';

export function policyListCommand(io: Io): Command {
  return memberCommand('list', 'List the policies in force, and the local endpoints that they select.', ['tandem policy list', 'tandem policy list -o yaml'])
    .action(async (options: CommonOptions) => {
      const rows = await ask<PolicyView[]>(targetOf(options, io.env), { method: 'GET', path: '/api/v1/policies' });
      io.out(render(rows, options.output, () => tableOf(rows)));
    });
}

function tableOf(rows: readonly PolicyView[]): string {
  return columns([
    ['Kind', 'Namespace', 'Name', 'Egress', 'Ingress', 'Endpoints'],
    ...rows.map((row) => [row.kind, row.namespace === '' ? '-' : row.namespace, row.name, directionText(row), directionText(row.ingress), row.endpoints.join(',') || '-']),
  ]);
}

/** How many rules, and whether all else is denied. */
function directionText({ rules, defaultDeny }: { readonly rules: number; readonly defaultDeny: boolean }): string {
  if (rules === 0 && !defaultDeny) return '-';
  return `${rules} ${rules === 1 ? 'rule' : 'rules'}${defaultDeny ? ', rest denied' : ''}`;
}
