/** A second member of a role that lacks something of the node ends while the first one serves on; what the first one has is no obstacle. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ownAddress, ownPort } from '../harness/address.js';
import type { Child } from '../harness/child.js';
import { formatServer, ROLES } from '../harness/pair.js';
import type { Launch, Pair, Role } from '../harness/pair.js';
import { replaced, startOwing } from '../harness/under-load.js';
import { DEADLINE_MS, until, within } from '../harness/until.js';

/** Whoever is started so may not administer the network. */
const UNPRIVILEGED = process.getuid?.() === 0 ? ['setpriv', '--bounding-set', '-net_admin,-net_raw', '--inh-caps', '-net_admin,-net_raw'] : [];

interface Refusal {
  readonly flags: readonly string[];
  readonly code: number;
  readonly says: RegExp;
}

/** A second one with these flags ends, and the first one is where it was. */
async function refused(t: Test, pair: Pair, role: Role, { flags, code, says }: Refusal, how: Launch = {}): Promise<void> {
  const { pid } = await pair.status(role);
  const second = pair.launch(role, flags, { sameHttp: true, ...how });
  t.same(await within('its end', DEADLINE_MS, second.exited), { code, signal: null });
  t.match(second.output, says);
  t.notMatch(second.output, /this process succeeds another/);
  t.equal((await pair.status(role)).pid, pid);
}

/** The first ones. They end with the test: `launch` has put others in their place. */
function firstOf(t: Test, pair: Pair): readonly Child[] {
  const former = [...pair.members.values()];
  t.teardown(() => Promise.all(former.map((one) => one.stop('SIGINT'))));
  return former;
}

t.test('a second one that lacks what its datapath needs, or its sockets, ends before the first one has left', async (t) => {
  t.setTimeout(DEADLINE_MS * 3);
  // In transparent mode each pod names its servers itself.
  const pair = await startOwing(t, { upstreams: [] });
  const former = firstOf(t, pair);
  const lacking = (...flags: readonly string[]): Refusal => ({ flags: ['--mode', 'transparent', ...flags], code: 69, says: /CAP_NET_ADMIN/ });
  for (const role of ROLES) await refused(t, pair, role, lacking(), { prefix: UNPRIVILEGED });
  await refused(t, pair, 'dns-proxy', lacking('--datapath', 'none', '--cilium-agent', '127.0.0.1:1'), { prefix: UNPRIVILEGED });
  for (const one of former) t.notMatch(one.output, /a successor takes over/);
});

t.test('so does one whose address, port or certificate is not to be had', async (t) => {
  t.setTimeout(DEADLINE_MS * 4);
  const taken = createServer().listen(0, ownAddress);
  t.teardown(() => taken.close());
  await once(taken, 'listening');
  const http = { address: ownAddress, port: (taken.address() as AddressInfo).port };
  const at = formatServer(http);
  const [hubble, link] = [ownPort(), ownPort()].map((port) => formatServer({ address: ownAddress, port }));
  const pair = await startOwing(t, { roles: ['agent'] });
  writeFileSync(join(pair.folder, 'plain'), '');
  const port = (flag: string): Refusal => ({ flags: [flag, at], code: 69, says: new RegExp(`${flag} ${at}: the port is taken`) });
  const tls = ['cert', 'key', 'ca'].flatMap((file) => [`--pair-tls-${file}`, '/nowhere']);
  const [former] = firstOf(t, pair);
  await refused(t, pair, 'agent', { ...port('--http-listen'), flags: [] }, { http });
  for (const refusal of [
    port('--hubble-listen'),
    port('--standalone-dns-proxy-listen'),
    { ...port('--pair-listen'), flags: ['--pair-listen', at, ...tls] },
    { flags: ['--pair-listen', `[::]:${String(http.port)}`, ...tls], code: 69, says: /--pair-listen \[::\]:\d+: the port is taken/ },
    { flags: ['--pair-listen', link, ...tls], code: 65, says: /--pair-tls-cert \/nowhere cannot be read/ },
    { flags: ['--hubble-listen', hubble, '--hubble-tls-cert-file', '/nowhere', '--hubble-tls-key-file', '/nowhere'], code: 65, says: /--hubble-tls-cert-file \/nowhere cannot be read/ },
    { flags: ['--hubble-listen', `unix:${join(pair.folder, 'plain')}`], code: 69, says: /it is there and no socket/ },
    { flags: ['--hubble-listen', `unix:${join(pair.folder, 'nowhere', 'hubble.sock')}`], code: 69, says: /cannot listen at .*choose another --hubble-listen/ },
    { flags: ['--listen', '192.0.2.1:53'], code: 69, says: /--listen 192\.0\.2\.1:53: this host has no such address/ },
  ]) await refused(t, pair, 'agent', refusal);
  t.notMatch(former.output, /a successor takes over/);
});

t.test('a second one takes the ports that the first one had, and further addresses', async (t) => {
  t.setTimeout(DEADLINE_MS * 4);
  const [hubble, link] = [ownPort(), ownPort()].map((port) => formatServer({ address: ownAddress, port }));
  const other = { address: ownAddress, port: ownPort() };
  const flags = ['--hubble-listen', hubble, '--standalone-dns-proxy-listen', link];
  const pair = await startOwing(t, { roles: ['agent'], flags });
  firstOf(t, pair);
  await replaced(pair, 'agent');
  const [second] = firstOf(t, pair);
  await replaced(pair, 'agent', {}, ['--listen', formatServer(other)]);
  const third = pair.member('agent');
  for (const one of [second, third]) t.match(one.output, /this process succeeds another/);
  const { port } = other;
  await until('the further address', DEADLINE_MS, () => (third.output.includes(`"address":"${ownAddress}","port":${String(port)}`) ? true : null));
});
