/**
 * `npm run bench:start`: how long a member takes from its start to its first answer, alone on the node, with policy and mappings on its
 * disk from its last life: few mappings, then many. Prints a line per role and number of mappings, in milliseconds.
 */
import { ownAddress } from '../harness/address.js';
import { UdpClient } from '../harness/clients.js';
import { baseManifests, CLIENT_A, dnsPolicy } from '../harness/manifests.js';
import { generate, startNative } from '../harness/native.js';
import { formatServer, Pair, ROLES } from '../harness/pair.js';
import { buildQuery } from '../harness/wire.js';

const STARTS = 7;
/** Each has an IPv4 and an IPv6 address. */
const NAMES = [50, 5_000];
const LEARN_SECONDS = 2;
const ASK_EVERY_MS = 2;
const TYPE_A = 1;
const RCODE_BYTE = 3;
const RCODE_MASK = 0x0f;

const upstream = await startNative('upstream', ['--listen', `${ownAddress}:0`]);
const pair = await Pair.start({
  upstreams: [{ address: ownAddress, port: upstream.port }],
  manifests: { ...baseManifests(ownAddress), 'policy-a.json': dnsPolicy('policy-a', { app: 'a' }, ['*.bench.test'], ['*.bench.test']) },
});
try {
  for (const names of NAMES) await measure(names);
} finally {
  await pair.stop();
  await upstream.child.stop();
}

async function measure(names: number): Promise<void> {
  await generate(['--server', formatServer(pair.server), '--bind', CLIENT_A, '--names', String(names), '--seconds', String(LEARN_SECONDS)]);
  for (const role of ROLES) await pair.member(role).stop();
  for (const role of ROLES) {
    const taken: number[] = [];
    for (let n = 0; n < STARTS; n++) taken.push(await start(role));
    taken.sort((a, b) => a - b);
    process.stdout.write(`${role}, ${String(2 * names)} mappings: first answer after ${taken.map((ms) => ms.toFixed(0)).join(', ')} ms; median ${taken[Math.floor(STARTS / 2)].toFixed(0)}\n`);
  }
  for (const role of ROLES) pair.launch(role);
  await pair.inTouch();
}

async function start(role: (typeof ROLES)[number]): Promise<number> {
  const client = await UdpClient.open(CLIENT_A, pair.server);
  const query = buildQuery({ name: 'h1.bench.test', type: TYPE_A });
  const beganMs = performance.now();
  pair.launch(role);
  const asking = setInterval(() => { client.send(query); }, ASK_EVERY_MS);
  const answer = await client.ask(query);
  const tookMs = performance.now() - beganMs;
  clearInterval(asking);
  client.close();
  if ((answer[RCODE_BYTE] & RCODE_MASK) !== 0) throw new Error(`${role}: the first answer is a refusal`);
  await pair.ready(role);
  await pair.member(role).stop();
  return tookMs;
}
