/**
 * A pair that owes answers at any time, load while something happens to it, and what that must not cost.
 */
import type { Test } from 'tap';
import { ownAddress } from './address.js';
import { baseManifests, CLIENT_A, dnsPolicy } from './manifests.js';
import { generate, startNative } from './native.js';
import type { Load } from './native.js';
import { formatServer, Pair } from './pair.js';
import type { PairOptions, Role } from './pair.js';
import { DEADLINE_MS, until } from './until.js';

/** A kill proves something only while answers are outstanding, also where the load stood still for some milliseconds just before. */
const UPSTREAM_DELAY_MS = 40;
/** Queries a second. */
const RATE = 4_000;

/** When something is to happen. */
export interface Moment {
  readonly pair: Pair;
  readonly role: Role;
  /** Once this metric of the member has grown by more than so much. */
  readonly metric: string;
  readonly growth: number;
}

/** An upstream that answers everything, some milliseconds later, and a pair whose client A may ask it for `*.bench.test`. Both end with the test. */
export async function startOwing(t: Test, options: Partial<PairOptions> = {}): Promise<Pair> {
  const upstream = await startNative('upstream', ['--listen', `${ownAddress}:0`, '--delay-ms', String(UPSTREAM_DELAY_MS)]);
  t.teardown(() => upstream.child.stop());
  const pair = await Pair.start({
    upstreams: [{ address: ownAddress, port: upstream.port }],
    manifests: { ...baseManifests(ownAddress), 'policy-a.json': dnsPolicy('policy-a', { app: 'a' }, ['*.bench.test'], ['*.bench.test']) },
    ...options,
  });
  t.teardown(() => pair.stop());
  return pair;
}

/** Load of client A, from 200 ports. */
export function loadFor(seconds: number, pair: Pair): Promise<Load> {
  return generate([
    '--server', formatServer(pair.server), '--bind', CLIENT_A, '--clients', '200', '--window', '4000',
    '--rate', String(RATE), '--seconds', String(seconds),
  ]);
}

/** What the load came to that was started, and during which `fault` happened. */
export async function underLoad<L>(start: () => Promise<L>, { pair, role, metric, growth }: Moment, fault: () => Promise<void>): Promise<L> {
  const before = await pair.metric(role, metric);
  const load = start();
  await until(metric, DEADLINE_MS, async () => ((await pair.metric(role, metric)) - before > growth ? true : null));
  await fault();
  return load;
}

/**
 * Nothing of this load was lost, or answered wrongly. Nothing was answered twice, but for an answer whose sender the scheduler stopped in the
 * midst of sending it, so that its peer took it over (DESIGN §5): such are rare, and counted by those who live.
 */
export async function nothingLost(t: Test, pair: Pair, { lost, wrong, unexpected }: Load): Promise<void> {
  t.same({ lost, wrong }, { lost: 0, wrong: 0 });
  const living = [...pair.members].flatMap(([role, { exit }]) => (exit === null ? role : []));
  const crossed = (await Promise.all(living.map((role) => pair.metric(role, 'crossed')))).reduce((sum, count) => sum + count, 0);
  t.ok(unexpected <= crossed, `${String(unexpected)} answered twice, ${String(crossed)} crossed`);
}

export async function kill(pair: Pair, role: Role): Promise<void> {
  pair.member(role).process.kill('SIGKILL');
  await pair.member(role).exited;
}

/** Starts a successor while the member lives, and resolves once it answers in the former one's place. */
export async function replaced(pair: Pair, role: Role, environment: Readonly<Record<string, string>> = {}, flags: readonly string[] = []): Promise<void> {
  const former = pair.member(role);
  const successor = pair.launch(role, flags, { sameHttp: true, environment });
  await until('the successor', DEADLINE_MS, async () => {
    // While the socket is handed over, a request may find nobody for a moment.
    const status = await pair.status(role).catch(() => null);
    return status?.pid === successor.pid && status.readiness.ready ? true : null;
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}\nformer: ${former.output.slice(-3_000)}\nsuccessor: ${successor.output}`);
  });
}

export async function restartBySigterm(t: Test, pair: Pair, role: Role): Promise<void> {
  pair.member(role).process.kill('SIGTERM');
  t.same(await pair.member(role).exited, { code: 0, signal: null });
  pair.launch(role);
  await pair.ready(role);
}
