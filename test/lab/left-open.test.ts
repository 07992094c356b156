/** What was open once does not stay open for those who were never allowed: connections of a moment without tables, addresses of a pod that is gone. */
import t from 'tap';
import { DEADLINE_MS, until } from '../harness/until.js';
import { startEnforced } from './enforced.js';
import type { PodPlan } from './topology/plan.js';
import { namesPolicy } from './topology/policies.js';

/** For all of the file, on a machine that does much else. */
const FILE_DEADLINE_MS = 300_000;
const POLICIES = { 'policy-net.json': namesPolicy('net', { app: 'net' }, { dns: ['*'], reachable: ['*.k8s.intra'] }) };
const HOW = { wiring: 'veth', nfCall: 1, family: 4 } as const;
const DENIED = '198.51.100.30';
/** Tries until it is connected, then uses the connection until it breaks, and ends with it. */
const HOLD = `until exec 3<>/dev/tcp/${DENIED}/80; do :; done 2>/dev/null; echo connected; while printf . >&3; do sleep 0.1; done`;

/** Sends all the time, to whoever connects or has sent once; says how connections end. */
const SENDER = `
  const bytes = 'x'.repeat(1000);
  require('node:net').createServer((socket) => {
    const timer = setInterval(() => socket.write(bytes), 5);
    socket.resume().on('error', ({ code }) => console.log(code)).on('close', () => clearInterval(timer));
  }).listen(8080, '${DENIED}');
  const udp = require('node:dgram').createSocket('udp4').on('message', (_, from) => {
    setInterval(() => udp.send(bytes, from.port, from.address), 5);
  }).on('error', () => undefined).bind(8080, '${DENIED}', () => console.log('ready'));`;
/** Takes in what comes over both, and says every so often how much that was: "TCP UDP". */
const RECEIVER = `
  const got = [0, 0];
  require('node:net').connect(8080, '${DENIED}').on('data', () => got[0]++).on('error', () => undefined);
  const udp = require('node:dgram').createSocket('udp4').on('message', () => got[1]++).on('error', () => undefined);
  udp.bind(5000, () => udp.send('?', 8080, '${DENIED}', () => undefined));
  setInterval(() => { console.log(got.join(' ')); got.fill(0); }, 500);`;

t.setTimeout(FILE_DEADLINE_MS);

t.test('a connection over which the other end sends all the time ends with the policy that allowed it', async (t) => {
  const base = namesPolicy('net', { app: 'net' }, { dns: ['*'], reachable: ['*.k8s.intra'] }) as { readonly spec: { readonly egress: readonly object[] } };
  const wide = { ...base, spec: { ...base.spec, egress: [...base.spec.egress, { toCIDR: [`${DENIED}/32`] }] } };
  const { lab, stage, tandem } = await startEnforced(t, { how: HOW, scenario: '1', policies: { 'policy-net.json': wide } });
  const sender = lab.spawn('internet', [process.execPath, '-e', SENDER]);
  t.teardown(() => sender.stop('SIGKILL'));
  await until('the sender', DEADLINE_MS, () => (sender.output.includes('ready') ? true : null));
  const receiver = lab.spawn('net1', [process.execPath, '-e', RECEIVER]);
  t.teardown(() => receiver.stop('SIGKILL'));
  const last = (): readonly number[] => receiver.output.trim().split('\n').at(-1)!.split(' ').map(Number);
  await until('bytes over both', DEADLINE_MS, () => (last().length === 2 && last().every((count) => count > 0) ? true : null));
  await stage.policy('policy-net.json', base, [tandem]);
  await until('neither', DEADLINE_MS, () => (last().every((count) => count === 0) ? true : null));
  await until('the sender told', DEADLINE_MS, () => (sender.output.includes('ECONNRESET') ? true : null));
  const lines = receiver.output.split('\n').length;
  await until('some time', DEADLINE_MS, () => (receiver.output.split('\n').length > lines + 6 ? true : null));
  t.strictSame(receiver.output.trim().split('\n').slice(-6), Array.from({ length: 6 }, () => '0 0'), 'and it stays so');
  await stage.policy('policy-net.json', wide, [tandem]);
  await until('what may go on again', DEADLINE_MS, () => (last()[1] > 0 ? true : null));
});

t.test('a connection that began while the tables were deleted ends when they are written again', async (t) => {
  const { lab } = await startEnforced(t, { how: HOW, scenario: '1', policies: POLICIES });
  await until('the policy', DEADLINE_MS, async () => ((await lab.exec('net1', ['curl', '-sm1', `http://${DENIED}`])).code === 7 ? true : null));
  const pod = lab.spawn('net1', ['bash', '-c', HOLD]);
  t.teardown(() => pod.stop('SIGKILL'));
  await until('a connection that is not allowed', DEADLINE_MS, async () => {
    if (pod.output.includes('connected')) return true;
    await lab.exec('node1', ['nft', 'delete', 'table', 'inet', 'tandem']);
    return null;
  });
  await until('its end', DEADLINE_MS, () => (pod.exit === null ? null : true));
  t.pass('it was cut');
});

t.test('grant scope endpoint: who inherits an address inherits no open ones', async (t) => {
  const { lab, stage, tandem } = await startEnforced(t, { how: HOW, scenario: '1', policies: POLICIES, flags: ['--mode', 'transparent', '--grant-scope', 'endpoint'] });
  await stage.works('net1', 'http://echo.k8s.intra');
  await stage.worksAt('net1', 'echo.k8s.intra', '172.17.0.2');
  await stage.isDeniedAt('net2', 'echo.k8s.intra', '172.17.0.2');
  const before = await tandem.revision();
  const heir: PodPlan = { ...lab.pod('net1').plan, name: 'net9', uid: '5eed0000-0000-4000-8000-0000000000c9' };
  await lab.unplug('net1');
  lab.pods.delete('net1');
  await lab.addPod(heir, 'heir0');
  await tandem.enforced(before);
  await until('the heir to be known', DEADLINE_MS, async () => ((await stage.lookUp('net9', 'other.k8s.intra')).status === 'NOERROR' ? true : null));
  await stage.worksAt('net9', 'other.k8s.intra', '172.17.0.9');
  await stage.isDeniedAt('net9', 'echo.k8s.intra', '172.17.0.2');
});
