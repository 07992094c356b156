/** All tables of questions. */
import type { Group } from './case.js';
import { cidr } from './cidr.js';
import { defaultDeny } from './default-deny.js';
import { deny } from './deny.js';
import { dnsNames } from './dns-names.js';
import { dnsServers } from './dns-servers.js';
import { entities } from './entities.js';
import { extensions } from './extensions.js';
import { icmp } from './icmp.js';
import { ingress } from './ingress.js';
import { l4 } from './l4.js';
import { modes } from './modes.js';
import { namedPorts } from './named-ports.js';
import { namespaces } from './namespaces.js';
import { networkPolicy } from './network-policy.js';
import { services } from './services.js';

export const tables: readonly Group[] = [
  ...dnsNames, ...dnsServers, ...cidr, ...entities, ...namespaces, ...deny, ...l4, ...namedPorts, ...icmp, ...services, ...defaultDeny, ...ingress,
  ...networkPolicy, ...extensions, ...modes,
];
