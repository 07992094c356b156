/** `tandem-dns-proxy`: takes its policy from the agent over the pair link, and from disk while the agent is away. */
import { createRequire } from 'node:module';
import { beginDataPlane } from '@tandem/host/thread';

// Before all other modules are loaded: hence no static imports of them.
beginDataPlane();
const [{ runDaemon }, { startDnsProxy }] = await Promise.all([import('@tandem/host'), import('./dns-proxy.js')]);

const { version } = createRequire(import.meta.url)('../package.json') as { readonly version: string };

await runDaemon('dns-proxy', version, startDnsProxy);
