import t from 'tap';
import type { StatusView } from '@tandem/host';
import type { PairStatusView } from '../status/pair-status.js';
import { folder, pair, tandem } from '../testing/rig.js';

t.test('both members stand side by side, on one screen of 80 by 24', async (t) => {
  const { runDir } = await pair(t);
  const { out, code } = await tandem(runDir, ['status']);
  t.equal(code, 0);
  t.match(out, /^Tandem on node-a: each member could answer for the other\n +agent +dns-proxy\n/);
  t.match(out, /^Process +0\.1\.0, pid \d+, up 1h2m +0\.1\.0, pid \d+, up 1h2m$/m);
  t.match(out, /^Answered +9 \(50 %\) +9 \(50 %\)\n of these +3 refused, 0 failed +3 refused, 0 failed\n/m);
  t.match(out, /^Heartbeat +4 ms ago +4 ms ago$/m);
  t.match(out, /^Slots +2 of 8192 in use +2 of 8192 in use$/m);
  t.match(out, /^Policy +revision 4 \(0123456789ab\) +revision 4 \(0123456789ab\)$/m);
  t.match(out, /^Datapath +none: explicit mode /m);
  t.match(out, /Look at\n {2}agent: web\.yaml:12:9: .*\n {2}dns-proxy: web\.yaml:12:9/);
  const lines = out.trimEnd().split('\n');
  t.ok(lines.length < 24, `${lines.length} lines`);
  t.strictSame(lines.filter((line) => line.length > 80), []);
  t.notMatch(out, '\x1b', 'no colours where there is no terminal');
});

t.test('a dead member has a column, and a reason', async (t) => {
  const { runDir, close } = await pair(t);
  await close(0);
  const { out, code } = await tandem(runDir, ['status']);
  t.equal(code, 0);
  t.match(out, /^Tandem on node-a: NOT REDUNDANT\n/);
  t.match(out, /^Process +- +0\.1\.0, pid/m);
  t.match(out, /Look at\n {2}agent does not answer: not running\n/);
  t.match(JSON.parse((await tandem(runDir, ['status', '-o', 'json'])).out), {
    redundant: false, share: { 'agent': null, 'dns-proxy': 1 },
    members: { 'agent': { reachable: false, reason: 'not running' }, 'dns-proxy': { reachable: true, status: { role: 'dns-proxy' } } },
  });
});

t.test('the JSON form has both, and one member\'s alone is that of the API', async (t) => {
  const { runDir } = await pair(t);
  const both = JSON.parse((await tandem(runDir, ['status', '-o', 'json'])).out) as PairStatusView;
  t.strictSame([both.redundant, both.attention, both.share], [true, [], { 'agent': 0.5, 'dns-proxy': 0.5 }]);
  const one = JSON.parse((await tandem(runDir, ['status', '-o', 'json', '--member', 'dns-proxy'])).out) as StatusView;
  t.match(one, { role: 'dns-proxy', counters: { queries: 9 }, dataPlane: { redundant: true, slots: 8_192 } });
  t.strictSame(both.members['dns-proxy'], { reachable: true, status: one });
  const { out } = await tandem(runDir, ['status', '--member', 'agent']);
  t.match(out, /Member +agent 0\.1\.0, pid \d+, up 1h2m\n/);
  t.match(out, /Policy +revision 4 \(0123456789ab\), 2 endpoints/);
  t.match(out, /Peer +connected, revision 4, 0 mappings behind\n/);
  t.match(out, /Problems\n {2}web\.yaml:12:9/);
});

t.test('what is not as it should be is said in words', async (t) => {
  const { runDir, views: [agent, dnsProxy] } = await pair(t);
  agent.isReady = false;
  dnsProxy.change = (status) => ({
    ...status, version: '0.2.0', policy: { ...status.policy, hash: 'ffff', revision: 5 }, cache: { ...status.cache, valid: 3 },
    dataPlane: { ...status.dataPlane, redundant: false, heartbeatAgeSeconds: 7 }, state: { dir: '/var', written: false },
    peer: { ...status.peer, connected: false },
  });
  const { attention } = JSON.parse((await tandem(runDir, ['status', '-o', 'json'])).out) as PairStatusView;
  t.strictSame(attention, [
    'agent is not ready: no policy snapshot yet', 'dns-proxy could not answer for its peer, or the peer not for it',
    'dns-proxy had no heartbeat for 7.0 s', 'dns-proxy has no link to its peer', 'dns-proxy cannot write its state to /var',
    'the versions differ: 0.1.0 and 0.2.0', 'the policies differ: revisions 4 and 5', 'the caches differ: 2 and 3 valid mappings, with nothing left to send',
  ]);
});

t.test('who answers for its peer cannot have it answer for itself, which needs no saying', async (t) => {
  const { runDir, views: [, dnsProxy], close } = await pair(t);
  dnsProxy.change = (status) => ({ ...status, dataPlane: { ...status.dataPlane, redundant: false, adopted: 1 } });
  await close(0);
  const { attention } = JSON.parse((await tandem(runDir, ['status', '-o', 'json'])).out) as PairStatusView;
  t.strictSame(attention, ['agent does not answer: not running', 'dns-proxy answers for its peer']);
});

t.test('expired mappings that one member has collected and the other not yet are no difference', async (t) => {
  const { runDir, views: [agent, dnsProxy] } = await pair(t);
  const attention = async (): Promise<readonly string[]> => (JSON.parse((await tandem(runDir, ['status', '-o', 'json'])).out) as PairStatusView).attention;
  dnsProxy.change = (status) => ({ ...status, cache: { ...status.cache, names: 3, mappings: 9 } });
  t.strictSame(await attention(), []);
  agent.change = (status) => ({ ...status, cache: { names: 1, mappings: 2 } as StatusView['cache'] });
  t.strictSame(await attention(), [], 'nor is what a member of an earlier version does not tell');
});

t.test('a member of an earlier version tells less, and that is said', async (t) => {
  const { runDir, views: [agent] } = await pair(t);
  agent.change = (status) => ({ ...status, dataPlane: undefined, state: undefined, datapath: undefined } as unknown as StatusView);
  const { out, code, err } = await tandem(runDir, ['status']);
  t.equal(code, 0, err);
  t.match(out, /NOT REDUNDANT[^]*agent is of a version \(0\.1\.0\) that does not tell whether it is redundant\n/);
  t.match(await tandem(runDir, ['status', '--member', 'agent']), { code: 0, out: /Member +agent/ });
});

t.test('colours are for terminals, and NO_COLOR takes them away', async (t) => {
  const { runDir } = await pair(t);
  const screen = { columns: 80, rows: 24 };
  t.match((await tandem(runDir, ['status'], { screen })).out, '\x1b[32meach member could answer');
  t.notMatch((await tandem(runDir, ['status'], { screen, env: { NO_COLOR: '1' } })).out, '\x1b');
  t.notMatch((await tandem(runDir, ['status', '-o', 'json'], { screen })).out, '\x1b');
});

t.test('watching draws again until Ctrl-C, also when nobody answers any more', async (t) => {
  const { runDir, close } = await pair(t);
  const interrupt = new AbortController();
  let drawn = 0;
  const { out, code } = await tandem(runDir, ['status', '-w', '0.1'], {
    interrupt: interrupt.signal, screen: { columns: 80, rows: 24 },
    onOut: (text) => {
      drawn++;
      if (text.includes('no member answers')) interrupt.abort();
      else if (drawn === 2) void Promise.all([close(0), close(1)]);
    },
  });
  t.equal(code, 0);
  t.match(out, /\x1b\[HTandem on/);
  t.match(out, /no member answers in .*agent: not running/);
});

t.test('without any member, and with a senseless interval, it refuses', async (t) => {
  const dir = folder(t);
  t.match(await tandem(dir, ['status']), { code: 69, out: '', err: /agent: not running; dns-proxy: not running.*tandem up/ });
  for (const interval of ['0', 'x', '1e9', '-1']) t.match(await tandem(dir, ['status', `--watch=${interval}`]), { code: 64, err: /seconds are expected, 0\.1 to 3600/ }, interval);
});
