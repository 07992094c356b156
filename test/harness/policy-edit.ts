/**
 * Measures how a policy edit takes effect while queries keep coming. Two policies contradict each other in two names, so
 * every answer tells which of them gave it: a client that sees the old one again after the new one saw half a policy.
 */
import { UdpClient } from './clients.js';
import { CLIENT_A, dnsPolicy } from './manifests.js';
import { ROLES } from './pair.js';
import type { Pair } from './pair.js';
import { until } from './until.js';
import { buildQuery, RCODE, readMessage, TYPE } from './wire.js';

const NAMES = ['odd.test', 'even.test'];
const FILE = 'policy-a.json';
const SETTLE_DEADLINE_MS = 5_000;

/** Content of `policy-a.json`: version 0 allows odd.test alone, version 1 even.test alone. */
export const POLICY_VERSIONS = NAMES.map((name) => dnsPolicy('policy-a', { app: 'a' }, [name]));

export interface EditReport {
  readonly queries: number;
  /** From an edit to the sending of the last query that was judged by the policy before it. */
  readonly slowestMs: number;
  /** Times that a client saw the old policy after the new one. */
  readonly mixed: number;
}

interface Verdict {
  readonly sentMs: number;
  readonly version: number;
}

/** Revision that both enforce, once it differs from `old`. */
export function settled(pair: Pair, old: number | null): Promise<number> {
  return until('both on the new policy', SETTLE_DEADLINE_MS, async () => {
    const [a, b] = await Promise.all(ROLES.map(async (role) => (await pair.status(role)).policy));
    return a.revision !== old && a.hash === b.hash ? a.revision : null;
  });
}

/** Edits policy-a `edits` times, each as soon as the one before rules; `clients` sockets ask meanwhile. Leaves version 0 or 1 by parity. */
export async function measureEdits(pair: Pair, plan: { readonly clients: number; readonly edits: number }): Promise<EditReport> {
  let { revision } = (await pair.status('agent')).policy;
  pair.writeManifest(FILE, POLICY_VERSIONS[0]);
  revision = await settled(pair, revision);
  const state = { stop: false };
  const load = Promise.all(Array.from({ length: plan.clients }, () => askOn(pair, state)));
  const editsMs: number[] = [];
  try {
    for (let edit = 1; edit <= plan.edits; edit++) {
      editsMs.push(performance.now());
      pair.writeManifest(FILE, POLICY_VERSIONS[edit % 2]);
      revision = await settled(pair, revision);
    }
  } finally {
    state.stop = true;
  }
  editsMs.push(Infinity);
  return judge(await load, editsMs);
}

function judge(perClient: readonly (readonly Verdict[])[], editsMs: readonly number[]): EditReport {
  let slowestMs = 0;
  let mixed = 0;
  for (const verdicts of perClient) {
    for (let edit = 0; edit + 1 < editsMs.length; edit++) {
      const epoch = verdicts.filter(({ sentMs }) => sentMs >= editsMs[edit] && sentMs < editsMs[edit + 1]);
      const wanted = (edit + 1) % 2;
      const firstNew = epoch.findIndex(({ version }) => version === wanted);
      const lastOld = epoch.findLastIndex(({ version }) => version !== wanted);
      if (lastOld >= 0) slowestMs = Math.max(slowestMs, epoch[lastOld].sentMs - editsMs[edit]);
      if (firstNew >= 0 && lastOld > firstNew) mixed++;
    }
  }
  return { queries: perClient.flat().length, slowestMs, mixed };
}

/** Asks both names in turn, one query at a time, until told to stop. */
async function askOn(pair: Pair, state: { readonly stop: boolean }): Promise<Verdict[]> {
  const client = await UdpClient.open(CLIENT_A, pair.server);
  const verdicts: Verdict[] = [];
  try {
    for (let turn = 0; !state.stop; turn++) {
      const sentMs = performance.now();
      const { rcode } = readMessage(await client.ask(buildQuery({ name: NAMES[turn % 2], type: TYPE.A })));
      if (rcode !== RCODE.noError && rcode !== RCODE.refused) throw new Error(`response code ${String(rcode)}`);
      verdicts.push({ sentMs, version: rcode === RCODE.noError ? turn % 2 : 1 - (turn % 2) });
    }
  } finally {
    client.close();
  }
  return verdicts;
}
