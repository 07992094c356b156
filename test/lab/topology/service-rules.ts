/** What kube-proxy would do: Service addresses are translated to one of the backends at random, for pods and for the node itself. */
import { isSelected, podAddress, podNetwork, SERVICES } from './plan.js';
import type { Both, NodeNumber, PodPlan } from './plan.js';

export const SERVICE_TABLE = 'lab-services';

function addressOf(both: Both, family: 'ip' | 'ip6'): string {
  return family === 'ip' ? both.v4 : both.v6;
}

function rules(family: 'ip' | 'ip6', pods: readonly PodPlan[]): string[] {
  return SERVICES.flatMap((service) => {
    const backends = pods.filter((pod) => isSelected(service, pod));
    return service.ports.map(({ protocol, port, targetPort }) => {
      const match = `${family} daddr ${addressOf(service.address, family)} ${protocol.toLowerCase()} dport ${String(port)}`;
      if (backends.length === 0) return `${match} counter drop`;
      const choices = backends.map((pod, index) => `${String(index)} : ${addressOf(podAddress(pod), family)} . ${String(targetPort)}`);
      return `${match} dnat ${family} to numgen random mod ${String(backends.length)} map { ${choices.join(', ')} }`;
    });
  });
}

/**
 * The text for `nft -f -`, which replaces what was there. `masquerade`: where a bridge does not call iptables, an answer from a pod on the same bridge would
 * go past the translation; so such queries come from the node, as with kube-proxy's --masquerade-all.
 */
export function serviceRules(node: NodeNumber, pods: readonly PodPlan[], masquerade: boolean): string {
  const { network } = podNetwork(node);
  return (['ip', 'ip6'] as const).map((family) => {
    const own = addressOf(network, family);
    return `table ${family} ${SERVICE_TABLE}
delete table ${family} ${SERVICE_TABLE}
table ${family} ${SERVICE_TABLE} {
  chain services {
    ${rules(family, pods).join('\n    ')}
  }
  chain prerouting { type nat hook prerouting priority dstnat; jump services; }
  chain output { type nat hook output priority -100; jump services; }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ${masquerade ? `ct status dnat ${family} saddr ${own} ${family} daddr ${own} masquerade` : ''}
  }
}`;
  }).join('\n');
}
