/**
 * What holds of pods of other nodes while the agent, from whom policy comes, is away: `--stale-source-limit` after the policy source was
 * last heard nothing that their labels allowed. An agent that is there says what holds.
 */
import type { Member } from '@tandem/host';

export function lapseWithoutAgent(member: Member): void {
  const { heard } = member;
  if (!member.peer.connected) heard.away();
  heard.watch(() => {
    const { snapshot } = member;
    if (snapshot === null || member.peer.connected) return;
    const lapsed = heard.asOfNow(snapshot);
    if (lapsed === snapshot) return;
    member.enforce(lapsed).catch((error: unknown) => {
      member.log.warn('the lapse was not applied', { reason: String(error) });
    });
  });
}
