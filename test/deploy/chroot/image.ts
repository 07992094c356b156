/**
 * The file tree of an image, put together from the Dockerfile without a container engine: the packages of the base image (test/deploy/run
 * gets them), the pinned Node in its place, and what the COPY instructions of the stage bring. `collect` runs as in the build stage.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readRepositoryFile, repositoryRoot } from '../../harness/repository.js';
import { temporaryFolder } from '../../harness/temporary.js';
import { type Stage, stageOf } from '../image-file.js';

const BASE = join(repositoryRoot, 'test/dist/deploy/base/tree');
const COLLECT = join(repositoryRoot, 'deploy/images/collect');
/** A runtime makes these, for what it mounts. */
const MOUNT_POINTS = ['proc', 'sys', 'dev', 'tmp', 'run/tandem', 'etc/tandem', 'var/lib/tandem/agent', 'var/lib/tandem/dns-proxy'];

export interface Image {
  readonly tree: string;
  readonly stage: Stage;
}

export function assemble(target: 'agent' | 'dns-proxy'): Image {
  if (!existsSync(BASE)) throw new Error('the packages of the base image are not there: run test/deploy/run');
  const dockerfile = readRepositoryFile('deploy/images/Dockerfile');
  const stage = stageOf(dockerfile, target);
  const folder = temporaryFolder(`tandem-image-${target}-`);
  const [tree, built] = [join(folder, 'tree'), join(folder, 'built')];
  cpSync(BASE, tree, { recursive: true, verbatimSymlinks: true });
  mkdirSync(join(tree, 'nodejs/bin'), { recursive: true });
  // A test runs under the pinned Node.
  copyFileSync(process.execPath, join(tree, 'nodejs/bin/node'));
  for (const { from, source, destination } of stage.copies) {
    if (from !== 'build') throw new Error(`COPY from ${from ?? 'the context'} is not known here`);
    const role = /^\/out\/([a-z-]+)\/$/.exec(source)?.[1];
    if (role === undefined) throw new Error(`COPY of ${source} is not known here`);
    const out = join(built, source);
    mkdirSync(dirname(out), { recursive: true });
    execFileSync('env', ['-u', 'NODE_OPTIONS', COLLECT, role, out], { stdio: ['ignore', 'ignore', 'inherit'] });
    cpSync(out, join(tree, destination), { recursive: true, verbatimSymlinks: true });
  }
  for (const path of MOUNT_POINTS) mkdirSync(join(tree, path), { recursive: true });
  return { tree, stage };
}
