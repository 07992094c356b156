import t from 'tap';
import { ownAddress } from '../harness/address.js';
import { baseManifests, CLIENT_B, dnsPolicy } from '../harness/manifests.js';
import { generate } from '../harness/native.js';
import { formatServer } from '../harness/pair.js';
import { measureEdits } from '../harness/policy-edit.js';
import { checkAlive, startLoaded } from './start.js';

const NEW_VERDICT_MS_MAX = 1_000;
/** At most, and no more than half of what the machine can: beyond that it is overload that is seen. */
const LOAD_QPS = 20_000;
const LOAD_SECONDS = 8;
const EDITS = 10;
const WARM_UP_QUERIES = 100_000;

const pair = await startLoaded(t, { manifests: { ...baseManifests(ownAddress), 'policy-b.json': dnsPolicy('policy-b', { app: 'b' }, ['*.bench.test'], ['*.bench.test']) } });

t.test(`under up to ${String(LOAD_QPS)} queries/s a policy edit rules within a second, and the load does not notice`, async (t) => {
  // Its names have been learned by then: 40,000 mappings in the first second, on two cores that the load keeps busy, are another matter.
  const { qps } = await generate(['--server', formatServer(pair.server), '--bind', CLIENT_B, '--clients', '200', '--window', '400', '--count', String(WARM_UP_QUERIES)]);
  const rate = Math.min(LOAD_QPS, Math.floor(qps / 2));
  const load = generate(['--server', formatServer(pair.server), '--bind', CLIENT_B, '--clients', '200', '--window', '1000', '--seconds', String(LOAD_SECONDS), '--rate', String(rate)]);
  const { queries, slowestMs, mixed } = await measureEdits(pair, { clients: 40, edits: EDITS });
  t.comment(`${String(EDITS)} edits, ${String(queries)} queries of those concerned: the last old verdict was asked for ${slowestMs.toFixed(0)} ms after the edit`);
  t.ok(slowestMs <= NEW_VERDICT_MS_MAX, `no old verdict after ${String(NEW_VERDICT_MS_MAX)} ms`);
  t.equal(mixed, 0, 'no client saw half a policy');
  const result = await load;
  t.match(result, { lost: 0, wrong: 0, refused: 0, failed: 0, unexpected: 0 });
  t.comment(`the load: ${result.qps.toFixed(0)} queries/s of ${qps.toFixed(0)} that the machine can, p99 ${String(result.p99Us)} µs, longest ${String(result.maxUs)} µs`);
  checkAlive(t, pair, 'edits under load');
});
