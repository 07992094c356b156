/**
 * Who may import whom, as in ARCHITECTURE.md. A package that is not listed here may import nothing of ours.
 */
export const oursAllowed: Readonly<Record<string, readonly string[]>> = {
  'packages/dns': [],
  'packages/node-reuseport': [],
  'packages/status-page': [],
  'packages/core': ['@tandem/dns'],
  'packages/proto': ['@tandem/core'],
  'packages/manifests': ['@tandem/core'],
  'packages/host': ['@tandem/core', '@tandem/dns', '@tandem/proto', 'node-reuseport'],
  'packages/datapath': ['@tandem/core', 'node-reuseport'],
  'packages/agent': ['@tandem/core', '@tandem/proto', '@tandem/host', '@tandem/datapath', '@tandem/status-page', '@tandem/manifests'],
  'packages/dns-proxy': ['@tandem/core', '@tandem/proto', '@tandem/host', '@tandem/datapath', '@tandem/status-page'],
  'packages/cli': ['@tandem/core', '@tandem/dns', '@tandem/proto', '@tandem/host', '@tandem/datapath', '@tandem/manifests'],
  'packages/sim': ['@tandem/core', '@tandem/dns', '@tandem/proto'],
};

/** Packages that must run anywhere JavaScript does: no Node modules, and only these npm packages. */
export const pureNpmAllowed: Readonly<Record<string, readonly string[]>> = {
  'packages/core': ['lru-cache'],
  'packages/dns': [],
};

/** The second door of dns: it wraps dns-packet and may use what the package declares. */
export const codecFolder = 'packages/dns/src/codec/';
export const codecDoor = '@tandem/dns/codec';

export type Origin = 'relative' | 'node' | 'ours' | 'npm';

export function originOf(specifier: string): Origin {
  if (specifier.startsWith('.')) return 'relative';
  if (specifier.startsWith('node:')) return 'node';
  return specifier.startsWith('@tandem/') || specifier === 'node-reuseport' ? 'ours' : 'npm';
}

/** `@scope/name/sub` → `@scope/name`. */
export function packageOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}
