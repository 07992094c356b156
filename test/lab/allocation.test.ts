/**
 * The data plane's thread allocates nothing for a query by UDP whose name is known: in a million of them it collects nothing. One number
 * that is handed over as a fraction, 16 bytes a query, would be sixteen collections; 55 bytes a turn were one to three.
 */
import t from 'tap';
import { ownAddress } from '../harness/address.js';
import { baseManifests, CLIENT_A, dnsPolicy } from '../harness/manifests.js';
import { generate, startNative } from '../harness/native.js';
import { formatServer, Pair } from '../harness/pair.js';

const WARM_UP_QUERIES = 500_000;
const QUERIES = 1_000_000;
/**
 * Twice as many: what was left over before, and learning them again every half minute, may fill the heap's megabyte once. Few names, for
 * a mapping that is learned is an object.
 */
const TIMES = 2;
const COLLECTIONS_MAX = 1;
/** Each is asked for A and for AAAA. */
const NAMES = 500;
const EXTENSION_SECONDS = 30;
/** Enough for who answers them to collect. */
const SCRAPES = 50;

t.setTimeout(600_000);

t.test('a million queries in steady state', async (t) => {
  const upstream = await startNative('upstream', ['--listen', `${ownAddress}:0`]);
  t.teardown(() => upstream.child.stop());
  const manifests = { ...baseManifests(ownAddress), 'policy-a.json': dnsPolicy('policy-a', { app: 'a' }, ['*.bench.test'], ['*.bench.test']) };
  const pair = await Pair.start({
    upstreams: [{ address: ownAddress, port: upstream.port }], manifests, roles: ['agent'], environment: { TANDEM_NODE_FLAGS: '--trace-gc' },
  });
  t.teardown(() => pair.stop());
  // V8 says of each collection whose heap it was.
  const collections = (): string[] => [...pair.member('agent').output.matchAll(/:(0x[0-9a-f]+)\].*\b(?:Scavenge|Mark-Compact)\b/g)].map(([, heap]) => heap);
  const load = async (count: number): Promise<void> => {
    t.match(await generate(['--server', formatServer(pair.server), '--bind', CLIENT_A, '--window', '256', '--names', String(NAMES), '--count', String(count)]), { answered: count, lost: 0, wrong: 0 });
  };

  await load(WARM_UP_QUERIES);
  t.equal(new Set(collections()).size, 2, 'the control thread and the data plane have collected');
  const before = collections().length;
  for (let scrape = 0; scrape < SCRAPES; scrape++) await pair.metric('agent', 'learned_total');
  const [controlThread, ...others] = new Set(collections().slice(before));
  t.ok(controlThread !== undefined && others.length === 0, 'who collects while it is asked for its metrics is the control thread');
  const learnedBefore = await pair.metric('agent', 'learned_total');
  const beganMs = performance.now();
  const ofDataPlane: number[] = [];
  for (let time = 0; time < TIMES; time++) {
    const seen = collections().length;
    await load(QUERIES);
    ofDataPlane.push(collections().slice(seen).filter((heap) => heap !== controlThread).length);
  }
  const seconds = (performance.now() - beganMs) / 1e3;
  const learned = await pair.metric('agent', 'learned_total') - learnedBefore;
  t.comment(`each time ${String(QUERIES)} queries, ${seconds.toFixed(0)} s in all: the data plane collected ${ofDataPlane.join(', then ')} times; ${String(learned)} mappings were learned again`);
  t.equal(Math.min(...ofDataPlane), 0);
  t.ok(ofDataPlane.reduce((sum, count) => sum + count) <= COLLECTIONS_MAX, 'once at most');
  t.ok(learned <= 2 * NAMES * (1 + Math.ceil(seconds / EXTENSION_SECONDS)), 'nothing is learned twice in half a minute');
});
