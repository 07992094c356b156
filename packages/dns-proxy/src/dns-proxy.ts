/**
 * The wire-up of `tandem-dns-proxy`.
 *
 * Order matters: policy first, then the shared addresses. A member that joins the group without policy would refuse
 * what its peer allows.
 */
import { apiSocketPath, Member, MemberView, type Running, startHttpServers, startPairClient, type DaemonContext } from '@tandem/host';

/** How long a start waits for the agent's policy before it goes on with the stored one. */
const POLICY_FROM_AGENT_MS = 500;
/** Without a stored one: how long before it binds anyway, and refuses everything until policy comes. */
const POLICY_FROM_ANYWHERE_MS = 5000;

export async function startDnsProxy({ settings, version, log, fail }: DaemonContext): Promise<Running> {
  const member = new Member({ settings, version, log, fail });
  const http = await startHttpServers(
    { listen: settings.httpListen, unixPath: apiSocketPath(settings.runDir, settings.role), log },
    new MemberView(member),
  );

  const stored = member.storedSnapshot();
  let firstPolicy: () => void = () => undefined;
  const fromAgent = new Promise<void>((resolve) => {
    firstPolicy = resolve;
  });
  const pair = startPairClient({
    member,
    onSnapshot: async (snapshot) => {
      await member.enforce(snapshot, { store: snapshot.hash !== stored?.hash });
      log.info('policy from the agent is in force', { revision: snapshot.revision, hash: snapshot.hash });
      firstPolicy();
    },
  });
  await Promise.race([fromAgent, after(stored === null ? POLICY_FROM_ANYWHERE_MS : POLICY_FROM_AGENT_MS)]);
  if (member.snapshot === null && stored !== null) {
    await member.enforce(stored, { store: false });
    log.warn('the agent is away: the stored policy is enforced', { revision: stored.revision, hash: stored.hash });
  }
  if (member.snapshot === null) log.warn('no policy from the agent and none stored: every query is refused');

  const plane = await member.serve();
  log.info('serving', { listen: plane.addresses, http: http.listen });
  return {
    stop: async () => {
      await member.stop();
      pair.close();
      await http.close();
    },
    reload: () => undefined,
  };
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
