/** With every agent dead: names that nobody has asked for, a connection right behind each answer, one attempt. */
import { join } from 'node:path';
import t from 'tap';
import { startEnforced, where } from './enforced.js';
import { BRIDGE, ofThisRun, VETH } from './scenarios/run.js';
import type { FirstConnections } from './topology/first-connections.js';
import { FRESH_NAMES, KUBE_DNS } from './topology/plan.js';
import { namesPolicy } from './topology/policies.js';

const DEADLINE_MS = 120_000;
const PROGRAM = join(import.meta.dirname, 'topology/first-connections.js');

t.setTimeout(4 * DEADLINE_MS);

for (const how of ofThisRun([...VETH, ...BRIDGE], true)) {
  t.test(`with every agent dead, the first attempt connects, ${String(FRESH_NAMES)} times, over ${where(how)}`, async (t) => {
    const policies = { 'policy-net.json': namesPolicy('net', { app: 'net' }, { dns: ['**.k8s.intra'], reachable: ['**.k8s.intra'] }) };
    const { lab, tandem } = await startEnforced(t, { how, scenario: '1', policies });
    await tandem.redundant();
    await tandem.end('agent', 'SIGKILL');
    const { code, output, standardOutput } = await lab.exec('net1', [process.execPath, PROGRAM, lab.address(KUBE_DNS.address), String(how.family), String(FRESH_NAMES)], DEADLINE_MS);
    t.equal(code, 0, 'the pod has tried all of them', { output });
    const { connected, failures, slowestLookUpMs } = JSON.parse(standardOutput) as FirstConnections;
    t.strictSame(failures, []);
    t.equal(connected, FRESH_NAMES);
    t.comment(`slowest look-up ${String(slowestLookUpMs)} ms`);
    if (failures.length > 0) t.comment((await tandem.cli('status', '--member', 'dns-proxy', '-o', 'json')).output);
  });
}
