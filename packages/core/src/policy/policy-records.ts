/**
 * What a snapshot tells of the policies themselves, for people: each with its specs, whom they select and whether they close
 * egress. Rule sets cannot tell it: a policy without rules, or one that selects nobody, leaves no trace in them.
 *
 * Does not know: verdicts; nothing is decided by these records.
 */
import { AppError } from '../base/app-error.js';
import type { FlatSpec } from './flatten.js';
import { SNAPSHOT_LIMITS } from './limits.js';
import type { PolicyRecord, PolicySpecRecord } from './snapshot.js';

/** `mayClose`: no without enforcement. `specs` in the order of their policies; `selected`: for each endpoint its id and the indexes of the specs that select it. */
export function policyRecords(
  specs: readonly FlatSpec[],
  selected: readonly { readonly id: number; readonly specs: readonly number[] }[],
  mayClose: boolean,
): PolicyRecord[] {
  let total = 0;
  const ids: number[][] = specs.map(() => []);
  for (const { id, specs: indexes } of selected) {
    total += indexes.length;
    // Counted before it is kept: what is over the limit must not fill the memory first.
    if (total > SNAPSHOT_LIMITS.policyEndpoints) {
      throw new AppError('SNAPSHOT_REFUSED', `the policies select local endpoints more than ${SNAPSHOT_LIMITS.policyEndpoints} times in all`);
    }
    for (const index of indexes) ids[index].push(id);
  }
  const records = new Map<string, Omit<PolicyRecord, 'specs'> & { readonly specs: PolicySpecRecord[] }>();
  specs.forEach(({ origin: { kind, namespace, name, path }, egress, ingress }, index) => {
    const key = `${kind} ${namespace}/${name}`;
    let record = records.get(key);
    if (record === undefined) {
      record = { kind, namespace, name, specs: [] };
      records.set(key, record);
    }
    record.specs.push({
      path,
      rules: egress.rules.length,
      defaultDeny: mayClose && egress.defaultDeny,
      ...(ingress.isSaid || ingress.defaultDeny ? { ingress: { rules: ingress.rules.length, defaultDeny: mayClose && ingress.defaultDeny } } : {}),
      endpoints: ids[index].sort((a, b) => a - b),
    });
  });
  return [...records.values()];
}
