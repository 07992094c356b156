/** `npm run bench:flows`: what flows cost while nobody watches. Options: compare.ts. */
import { compare } from './compare.js';

await compare({ name: 'with flows' }, { name: 'without', flags: ['--enable-hubble', 'false'] });
