/** Who may connect where, in the kernel. */
export { DEFAULT_MARK_BASE, marksFrom, type Marks } from './names.js';
export { type FqdnGroup, fqdnGroups, fqdnSetName, type GrantScope } from './fqdn-groups.js';
export { logPrefix, type Logged } from './packet-log/prefix.js';
