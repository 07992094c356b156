/** `tandem cache export`: the look-ups that hold, as a file for `cache import` and `--tofqdns-pre-cache`, here or at Cilium. */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { AppError } from '@tandem/core';
import { type CacheEntry, ENTRIES_BYTES_MAX } from '@tandem/host';
import { ask } from '../client.js';
import { memberCommand, targetOf, type CommonOptions } from '../common-options.js';
import type { Io } from '../io.js';
import { printable, render } from '../output.js';
import { during } from '../progress.js';

/** What pods look up is nobody else's business. */
const PRIVATE_MODE = 0o600;

export function cacheExportCommand(io: Io): Command {
  return memberCommand('export', 'Write the learned mappings to a file that cache import and --tofqdns-pre-cache read.', [
    'tandem cache export mappings.json', 'tandem cache export | gzip > mappings.json.gz', 'tandem cache export mappings.json -o json --member dns-proxy',
  ])
    .argument('[FILE]', 'replaced if it is there; - is standard output', '-')
    .action(async (file: string, options: CommonOptions) => {
      if (file === '-' && options.output === 'yaml') throw new AppError('USAGE', 'what is exported is JSON; -o yaml is for the summary that is printed when a file is named');
      const entries = await during(io, 'reading the mappings', () => ask<CacheEntry[]>(targetOf(options, io.env), { method: 'GET', path: '/api/v1/fqdn/cache/export' }));
      const text = entries.length === 0 ? '[]\n' : `[\n${entries.map((entry) => JSON.stringify(entry)).join(',\n')}\n]\n`;
      const bytes = Buffer.byteLength(text);
      if (bytes > ENTRIES_BYTES_MAX) throw new AppError('LIMIT', `the export has ${bytes} bytes, and an import takes ${ENTRIES_BYTES_MAX}: nothing was written`);
      if (file === '-') {
        io.out(text);
        return;
      }
      publish(file, text);
      const mappings = entries.reduce((sum, { ips }) => sum + ips.length, 0);
      io.out(render({ file, entries: entries.length, mappings }, options.output, () => `${mappings} mappings of ${entries.length} look-ups written to ${printable(file)}\n`));
    });
}

/** Whole or not at all. */
function publish(file: string, text: string): void {
  const aside = `${file}.${process.pid}.part`;
  try {
    writeFileSync(aside, text, { mode: PRIVATE_MODE, flag: 'wx' });
    renameSync(aside, file);
  } catch (error) {
    rmSync(aside, { force: true });
    throw new AppError('UNAVAILABLE', `${file}: cannot be written: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
