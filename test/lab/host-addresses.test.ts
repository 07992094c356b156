/** Addresses of the node that no object tells of, as a bridge's: connections from and to them outlive rewritten tables, as what the rules say of the host. */
import t from 'tap';
import { DEADLINE_MS, until } from '../harness/until.js';
import { startEnforced } from './enforced.js';
import { namesPolicy } from './topology/policies.js';

const BRIDGE = '10.244.1.1';
const POD = '10.244.1.12';
const OUTSIDE = '172.17.0.2';
const PORT = 8080;

const echo = (address: string): string => `
  require('node:net').createServer((socket) => { socket.on('error', () => undefined); socket.pipe(socket); }).listen(${String(PORT)}, '${address}', () => console.log('ready'));`;
/** A line for each answer, so that who watches sees it live. */
const talk = (address: string): string => `
  const s = require('node:net').connect(${String(PORT)}, '${address}');
  s.on('connect', () => { console.log('ready'); setInterval(() => s.write('x'), 100); });
  s.on('data', () => console.log('alive'));
  s.on('error', (e) => { console.log(e.code); process.exit(1); });`;

t.setTimeout(180_000);

t.test('connections between a pod and addresses of its own node outlive the leader, and a change of policy', async (t) => {
  const { lab, tandem } = await startEnforced(t, { how: { wiring: 'bridge', nfCall: 1, family: 4 }, scenario: '1', policies: { 'policy-net.json': policy(true) } });
  const start = async (who: string, script: string) => {
    const child = lab.spawn(who, [process.execPath, '-e', script]);
    t.teardown(() => child.stop('SIGKILL'));
    await until(`${who} to be ready`, DEADLINE_MS, () => (child.output.includes('ready') ? true : null));
    return child;
  };
  for (const [who, address] of [['node1', BRIDGE], ['net2', POD], ['internet', OUTSIDE]] as const) await start(who, echo(address));
  const living = [await start('net1', talk(BRIDGE)), await start('node1', talk(POD))];
  const witness = await start('net1', talk(OUTSIDE));
  for (const [from, to] of [['lab/net1', `${BRIDGE}:${String(PORT)}/TCP`], [BRIDGE, `lab/net2:${String(PORT)}/TCP`]]) {
    const { verdict } = await tandem.cliJson<{ readonly verdict: string }>('policy', 'trace', '--from', from, '--to', to, '-o', 'json');
    t.equal(verdict, 'allow', `the trace from ${from} to ${to}`);
  }
  const [leader, other] = (await tandem.metric('agent', 'datapath_leader')) === 1 ? ['agent', 'dns-proxy'] as const : ['dns-proxy', 'agent'] as const;
  await tandem.kill(leader, 'SIGKILL');
  await until('the other to write the tables', DEADLINE_MS, async () => ((await tandem.metric(other, 'datapath_changes_total')) > 0 ? true : null));
  if (leader === 'agent') tandem.launch('agent');
  await tandem.ready('agent');
  // Ended by a pass over all connections that began after the tables were written anew.
  lab.apply('policy-net.json', policy(false));
  await until('the witness to be cut', DEADLINE_MS, () => (witness.exit === null ? null : true));
  for (const child of living) {
    const before = child.output.length;
    await until('an answer, or the end', DEADLINE_MS, () => (child.output.length > before || child.exit !== null ? true : null));
    t.match(child.output.slice(before), 'alive');
  }
});

function policy(isOutside: boolean): object {
  const base = namesPolicy('net', { app: 'net' }, { dns: ['*'] }) as { readonly spec: { readonly egress: readonly object[] } };
  const egress = [...base.spec.egress, { toEntities: ['host'] }, ...(isOutside ? [{ toCIDR: [`${OUTSIDE}/32`] }] : [])];
  return { ...base, spec: { ...base.spec, egress, ingress: [{ fromEndpoints: [{ matchLabels: { app: 'nobody' } }] }] } };
}
