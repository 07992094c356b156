/**
 * The wire-up of `tandem-dns-proxy`.
 *
 * Order matters: policy first, then the shared addresses. A member that joins the group without policy would refuse
 * what its peer allows. And what this process needs is looked for before a predecessor is succeeded (`startMember`): that one is no longer there to go on.
 */
import type { Snapshot } from '@tandem/core';
import { NodeDatapath } from '@tandem/datapath';
import { CiliumLink, type DaemonContext, POLICY_FROM_ANYWHERE_MS, type Running, serveFlows, startMember, startPairClient } from '@tandem/host';
import { statusPageFiles } from '@tandem/status-page';
import { lapseWithoutAgent } from './lapse.js';

/** How long a start waits for the policy of an agent that is there before it goes on with the stored one. */
const POLICY_FROM_AGENT_MS = 500;

export async function startDnsProxy(context: DaemonContext): Promise<Running> {
  const { settings, log, fail, onStop } = context;
  const datapath = settings.datapath === 'none' ? null : await NodeDatapath.start({ settings, log });
  if (datapath !== null) onStop(() => datapath.close());
  const { member, http, sockets } = await startMember(context, datapath, statusPageFiles());

  const stored = member.storedSnapshot();
  const unreached = Promise.withResolvers<void>();
  const source = {
    member,
    onUnreached: (): void => { unreached.resolve(); },
    onSnapshot: async (snapshot: Snapshot): Promise<void> => {
      await member.enforce(snapshot);
      const isStored = stored !== null && snapshot.hash === member.heard.asOfNow(stored).hash;
      const message = isStored ? 'stored policy in force: the agent has no other, or an older one' : 'policy from the agent is in force';
      log.info(message, { revision: snapshot.revision, hash: snapshot.hash });
    },
  };
  const agent = settings.ciliumAgent === null ? startPairClient(source) : new CiliumLink(source);
  onStop(() => agent.close());
  if (stored === null) await member.policyWithin(POLICY_FROM_ANYWHERE_MS);
  else await Promise.race([member.policyWithin(POLICY_FROM_AGENT_MS), unreached.promise]);
  if (settings.ciliumAgent === null) lapseWithoutAgent(member);
  if (member.snapshot === null && stored !== null) {
    await member.enforce(member.heard.asOfNow(stored));
    log.warn('the agent is away: the stored policy is enforced', { revision: stored.revision, hash: stored.hash });
  }
  if (member.snapshot === null) log.warn('no policy from the agent and none stored: every query is refused');

  onStop(({ awaitsPeer }) => member.stop(awaitsPeer));
  const plane = await member.serve(sockets);
  const hubble = await serveFlows(member, fail);
  if (hubble !== null) onStop(() => hubble.close());
  log.info('serving', { listen: plane.addresses, http: http.listen, hubble: hubble?.address ?? 'off' });
  return { reload: () => undefined };
}
