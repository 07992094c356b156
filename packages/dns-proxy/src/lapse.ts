/**
 * What holds of pods of other nodes while the agent, from whom policy comes, is away: after `--stale-source-limit` nothing that their
 * labels allowed. An agent that is back says again what holds.
 */
import { withoutRemotePods } from '@tandem/core';
import { type Member, sha256 } from '@tandem/host';

const LOOK_MS = 1000;

/** Returns what ends it. */
export function lapseWithoutAgent(member: Member): () => void {
  const { staleSourceLimitSeconds } = member.settings;
  if (staleSourceLimitSeconds === 0) return () => undefined;
  const startedAtMs = performance.now();
  let heardAtMs = startedAtMs;
  const timer = setInterval(() => {
    if (member.peer.connected) heardAtMs = performance.now();
    const { snapshot } = member;
    if (snapshot === null || performance.now() - heardAtMs < staleSourceLimitSeconds * 1000) return;
    const lapsed = withoutRemotePods(snapshot, sha256);
    if (lapsed === snapshot) return;
    member.log.warn('the agent has been away for too long: pods of other nodes lose what their labels allowed', { limitSeconds: staleSourceLimitSeconds });
    member.enforce(lapsed).catch((error: unknown) => {
      member.log.warn('the lapse was not applied', { reason: String(error) });
    });
  }, LOOK_MS);
  timer.unref();
  return () => { clearInterval(timer); };
}
