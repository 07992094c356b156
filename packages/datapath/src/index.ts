/** Who may connect where, in the kernel. */
export { DEFAULT_MARK_BASE, marksFrom, type Marks } from './names.js';
export { type FqdnGroup, fqdnGroups, fqdnSetName, type GrantScope } from './fqdn-groups.js';
export { logPrefix, type Logged } from './packet-log/prefix.js';
export { LinkWatch, type LinkWatchOptions } from './links/link-watch.js';
export type { KnownLink } from './links/link-table.js';
export { PacketLog, type PacketLogOptions } from './packet-log/packet-log.js';
