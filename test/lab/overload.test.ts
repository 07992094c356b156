/**
 * More questions than slots: an upstream that is slow holds every slot while one client asks far more than that upstream can answer. Whoever
 * holds most pays; a client that asks little loses nothing, and refusals need no upstream.
 */
import t from 'tap';
import { ownAddress } from '../harness/address.js';
import { baseManifests, CLIENT_A, CLIENT_B, dnsPolicy } from '../harness/manifests.js';
import { generate, startNative } from '../harness/native.js';
import { formatServer, Pair } from '../harness/pair.js';
import { until } from '../harness/until.js';

/** Of each member; 450 are for questions, so both together get through 1,500 a second. */
const SLOTS = 1024;
const UPSTREAM_DELAY_MS = 600;
const GREEDY_RATE = 8_000;
const POLITE_RATE = 100;
const SECONDS = 6;
const PATIENCE_MS = 5_000;
const POLITE_COUNT = POLITE_RATE * (SECONDS - 2);

const manifests = {
  ...baseManifests(ownAddress),
  'policy-a.json': dnsPolicy('policy-a', { app: 'a' }, ['*.bench.test'], ['*.bench.test']),
  'policy-b.json': dnsPolicy('policy-b', { app: 'b' }, ['*.bench.test'], ['*.bench.test']),
};

t.test('a client that exhausts the slots of a slow upstream costs a polite one nothing, and refusals flow on', async (t) => {
  const upstream = await startNative('upstream', ['--listen', `${ownAddress}:0`, '--delay-ms', String(UPSTREAM_DELAY_MS)]);
  t.teardown(() => upstream.child.stop());
  const pair = await Pair.start({ upstreams: [{ address: ownAddress, port: upstream.port }], manifests, flags: ['--slots', String(SLOTS)] });
  t.teardown(() => pair.stop());
  const ask = (client: string, ...more: string[]): ReturnType<typeof generate> =>
    generate(['--server', formatServer(pair.server), '--bind', client, '--timeout-ms', '15000', ...more]);

  const greedy = ask(CLIENT_A, '--clients', '16', '--window', '60000', '--rate', String(GREEDY_RATE), '--seconds', String(SECONDS));
  await until('the slots of both are taken', PATIENCE_MS, async () => ((await pair.counters('shed')).every((count) => count > 0) ? true : null));
  const rate = ['--rate', String(POLITE_RATE), '--window', '1000', '--count', String(POLITE_COUNT)];
  const [polite, refused] = await Promise.all([ask(CLIENT_B, ...rate), ask(CLIENT_B, ...rate, '--suffix', 'denied.test')]);
  const hog = await greedy;
  t.comment(`greedy: ${String(hog.sent)} asked, ${String(hog.answered - hog.failed)} answered, ${String(hog.failed)} turned away with SERVFAIL, ${String(hog.lost)} without answer`);
  t.comment(`polite: worst ${String(polite.maxUs / 1_000)} ms of an upstream that takes ${String(UPSTREAM_DELAY_MS)}; refused: worst ${String(refused.maxUs / 1_000)} ms`);

  t.ok(hog.failed > hog.sent / 4, 'the slots were short');
  t.match(hog, { lost: 0, wrong: 0, unexpected: 0 }, 'who is turned away is told so');
  t.match(polite, { sent: POLITE_COUNT, answered: POLITE_COUNT, lost: 0, wrong: 0, failed: 0, refused: 0 });
  t.match(refused, { sent: POLITE_COUNT, answered: POLITE_COUNT, lost: 0, wrong: 0, failed: 0, refused: POLITE_COUNT });
  const [shedByAgent, shedByProxy] = await pair.counters('shed');
  t.ok(shedByAgent > 0 && shedByProxy > 0, `shed: ${String(shedByAgent)} and ${String(shedByProxy)}`);
});
