/** Cuts a node of the lab off from the API server, by nftables in its namespace: packets of both directions go without a word. */
import type { Lab } from '../lab/topology/lab.js';
import type { NodeNumber } from '../lab/topology/plan.js';

export interface ServerAt {
  readonly address: string;
  readonly port: number;
}

/** Shell commands for the node. */
export function cutScripts({ address, port }: ServerAt): { readonly off: string; readonly on: string } {
  return {
    off: `nft -f - <<'END'
table inet cut {
  chain out { type filter hook output priority 0; ip daddr ${address} tcp dport ${String(port)} drop; }
  chain in { type filter hook input priority 0; ip saddr ${address} tcp sport ${String(port)} drop; }
}
END`,
    on: 'nft delete table inet cut 2>/dev/null || true',
  };
}

export async function cutOff(lab: Lab, node: NodeNumber, server: ServerAt): Promise<void> {
  await lab.shell(`node${String(node)}`, cutScripts(server).off);
}

export async function join(lab: Lab, node: NodeNumber, server: ServerAt): Promise<void> {
  await lab.shell(`node${String(node)}`, cutScripts(server).on);
}
