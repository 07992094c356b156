/** `tandem cache clean`: forgets mappings on both members. Asks first, as Cilium's does. */
import type { Command } from 'commander';
import { AppError } from '@tandem/core';
import type { CacheCleaned } from '@tandem/host';
import { ask } from '../client.js';
import { memberCommand, targetOf, type CommonOptions } from '../common-options.js';
import type { Io } from '../io.js';
import { render } from '../output.js';

interface Options extends CommonOptions {
  readonly force?: boolean;
  readonly matchpattern?: string;
}

export function cacheCleanCommand(io: Io): Command {
  return memberCommand('clean', 'Forget learned mappings; pods have to look the names up again.', [
    'tandem cache clean', "tandem cache clean -f -p '*.shop.example'",
  ])
    .option('-f, --force', 'do not ask')
    .option('-p, --matchpattern <PATTERN>', 'names that match this pattern only')
    .action(async (options: Options) => {
      if (options.force !== true && !(await isConfirmed(io, options.matchpattern))) {
        io.err('nothing was changed\n');
        return;
      }
      const query = options.matchpattern === undefined ? '' : `?${new URLSearchParams({ matchPattern: options.matchpattern }).toString()}`;
      const cleaned = await ask<CacheCleaned>(targetOf(options, io.env), { method: 'DELETE', path: `/api/v1/fqdn/cache${query}` });
      io.out(render(cleaned, options.output, () => 'FQDN proxy cache cleared\n'));
    });
}

async function isConfirmed(io: Io, pattern: string | undefined): Promise<boolean> {
  const which = pattern === undefined ? 'all mappings' : `the mappings of names that match ${JSON.stringify(pattern)}`;
  const answer = await io.confirm(`Forget ${which}?`);
  if (answer === null) throw new AppError('USAGE', 'cache clean asks before it acts, and there is no terminal; say -f');
  return answer;
}
