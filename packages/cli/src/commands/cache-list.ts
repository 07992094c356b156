/** `tandem cache list`: the learned mappings, in Cilium's columns. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { CacheRow } from '@tandem/host';
import { ask } from '../client.js';
import { memberCommand, targetOf, type CommonOptions } from '../common-options.js';
import type { Io } from '../io.js';
import { columns, render } from '../output.js';

interface Options extends CommonOptions {
  readonly endpoint?: string;
  readonly matchpattern?: string;
  readonly source?: string;
}

export function cacheListCommand(io: Io): Command {
  return memberCommand('list', 'List the learned mappings of names to addresses.', [
    'tandem cache list', "tandem cache list -p '*.shop.example' --member dns-proxy", 'tandem cache list -e 7 -s lookup -o json',
  ])
    .option('-e, --endpoint <ID>', 'of this endpoint only', endpointId)
    .option('-p, --matchpattern <PATTERN>', 'names that match this pattern only')
    .addOption(new Option('-s, --source <SOURCE>', 'from this source only').choices(['lookup', 'connection']))
    .action(async (options: Options) => {
      const rows = await ask<CacheRow[]>(targetOf(options, io.env), { method: 'GET', path: `/api/v1/fqdn/cache${queryOf(options)}` });
      io.out(render(rows, options.output, () => tableOf(rows)));
    });
}

function queryOf(options: Options): string {
  const query = new URLSearchParams();
  if (options.endpoint !== undefined) query.set('endpoint', options.endpoint);
  if (options.matchpattern !== undefined) query.set('matchPattern', options.matchpattern);
  if (options.source !== undefined) query.set('source', options.source);
  return query.size === 0 ? '' : `?${query.toString()}`;
}

function tableOf(rows: readonly CacheRow[]): string {
  return columns([
    ['Endpoint', 'Source', 'FQDN', 'TTL', 'ExpirationTime', 'IPs'],
    ...rows.map((row) => [String(row['endpoint-id']), row.source, row.fqdn, String(row.ttl), row['expiration-time'], row.ips.join(',')]),
  ]);
}

function endpointId(text: string): string {
  if (!/^[0-9]{1,5}$/.test(text)) throw new InvalidArgumentError("an endpoint's number is expected; see 'tandem endpoint list'.");
  return text;
}
