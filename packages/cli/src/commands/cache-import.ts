/** `tandem cache import`: teaches a running pair the mappings of a file, all or, where one entry is bad, none. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { AppError } from '@tandem/core';
import { type CacheImported, ENTRIES_BYTES_MAX } from '@tandem/host';
import { ask } from '../client.js';
import { memberCommand, targetOf, type CommonOptions } from '../common-options.js';
import type { Io } from '../io.js';
import { render } from '../output.js';
import { during } from '../progress.js';

/** The largest file takes seconds, and many where the disk is slow. */
const TIMEOUT_MS = 60_000;

export function cacheImportCommand(io: Io): Command {
  return memberCommand('import', 'Teach the pair the mappings of a file that cache export wrote, or of a pre-cache of Cilium.', [
    'tandem cache import mappings.json', 'ssh other-node tandem cache export | tandem cache import -', 'tandem cache import mappings.json -o json',
  ])
    .argument('<FILE>', '- is standard input')
    .action(async (file: string, options: CommonOptions) => {
      const where = file === '-' ? 'standard input' : file;
      const body = jsonOf(where, file === '-' ? await io.readInput(ENTRIES_BYTES_MAX) : readBounded(file));
      const imported = await during(io, 'the member is taking the mappings in', () => ask<CacheImported>(targetOf(options, io.env), { method: 'POST', path: '/api/v1/fqdn/cache/import', body, timeoutMs: TIMEOUT_MS })).catch((error: unknown) => {
        if (!(error instanceof AppError) || error.code !== 'CONFIGURATION') throw error;
        throw new AppError('CONFIGURATION', `${where}: ${error.message}; nothing was imported`, { cause: error });
      });
      io.out(render(imported, options.output, () => summary(imported)));
    });
}

function summary({ read, learned, known, expired, strangers, cleaned, evicted }: CacheImported): string {
  const rest = [
    [known, 'known already'], [expired, 'expired'], [strangers, 'of pods that are not here'], [cleaned, 'looked up before a forced clean'],
    [evicted, 'without room'],
  ] as const;
  const notes = rest.filter(([count]) => count > 0).map(([count, what]) => `, ${count} ${what}`).join('');
  return `${read} mappings read: ${learned} learned${notes}\n`;
}

function readBounded(file: string): Uint8Array | null {
  try {
    const descriptor = openSync(file, 'r');
    try {
      return fstatSync(descriptor).size > ENTRIES_BYTES_MAX ? null : readFileSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw new AppError('USAGE', `${file}: cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function jsonOf(where: string, bytes: Uint8Array | null): unknown {
  if (bytes === null) throw new AppError('USAGE', `${where}: longer than ${ENTRIES_BYTES_MAX} bytes`);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
  } catch (error) {
    throw new AppError('CONFIGURATION', `${where}: is not JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
