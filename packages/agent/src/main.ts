/** `tandem-agent`: compiles policy from its source, enforces it, and hands it to the DNS proxy. */
import { createRequire } from 'node:module';
import { beginDataPlane } from '@tandem/host/thread';

// Before all other modules are loaded: hence no static imports of them.
beginDataPlane();
const [{ runDaemon }, { startAgent }] = await Promise.all([import('@tandem/host'), import('./agent.js')]);

const { version } = createRequire(import.meta.url)('../package.json') as { readonly version: string };

await runDaemon('agent', version, startAgent);
