/** The lab's IPv6 addresses, given to `lo` of its network namespace by test/lab/run. */
import { ownAddress, ownPort } from '../harness/address.js';
import type { Server } from '../harness/clients.js';
import { baseManifests, CLIENT_A, CLIENT_B, pod } from '../harness/manifests.js';

export const SERVER_V6 = 'fd53::53';
export const CLIENT_A_V6 = 'fd53::a1';
export const CLIENT_B_V6 = 'fd53::a2';
export const STRANGER_V6 = 'fd53::99';

/** One shared address of each family. */
export function bothFamilies(): Server[] {
  return [{ address: ownAddress, port: ownPort() }, { address: SERVER_V6, port: ownPort() }];
}

/** The base manifests with clients that have an address of each family. */
export function dualStackManifests(dnsServer: string): Record<string, object> {
  return {
    ...baseManifests(dnsServer),
    'pods.json': {
      apiVersion: 'v1',
      kind: 'List',
      items: [
        pod({ name: 'client-a', labels: { app: 'a' }, addresses: [CLIENT_A, CLIENT_A_V6] }),
        pod({ name: 'client-b', labels: { app: 'b' }, addresses: [CLIENT_B, CLIENT_B_V6] }),
        pod({ name: 'kube-dns', namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' }, addresses: [dnsServer], nodeName: 'node-2' }),
      ],
    },
  };
}
