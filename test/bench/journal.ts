/**
 * `npm run bench:journal`: what the journal costs: a member as it is, and one on a build of the addon that keeps none (private memory, no
 * state words). Options: compare.ts.
 */
import { join } from 'node:path';
import { run } from '../harness/child.js';
import { repositoryRoot } from '../harness/repository.js';
import { compare } from './compare.js';

const BUILD_DEADLINE_MS = 300_000;

const addon = join(repositoryRoot, 'packages/node-reuseport');
const built = await run(join(addon, 'tools/build'), ['plain'], BUILD_DEADLINE_MS);
if (built.code !== 0) throw new Error(built.output);
await compare({ name: 'with journal' }, { name: 'without', environment: { NODE_REUSEPORT_BINARY: join(addon, 'build/Plain/node_reuseport.node') } });
