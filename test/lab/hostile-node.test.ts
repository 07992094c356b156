/** A node that is not made for it: reverse-path filters that look at marks, a firewall before the proxy, pods that lie about who they are, a server next door. */
import t from 'tap';
import { DEADLINE_MS, until } from '../harness/until.js';
import { ROLES } from '../harness/pair.js';
import { startEnforced, where } from './enforced.js';
import { finding } from './scenarios/stage.js';
import { ofThisRun, type SetUp } from './scenarios/run.js';
import { KUBE_DNS } from './topology/plan.js';
import { namesPolicy } from './topology/policies.js';

/** For all of the file, on a machine that does much else. */
const FILE_DEADLINE_MS = 900_000;
const VETH: SetUp = { wiring: 'veth', nfCall: 1, family: 4 };
const BRIDGES: readonly SetUp[] = [{ wiring: 'bridge', nfCall: 0, family: 4 }, { wiring: 'bridge', nfCall: 1, family: 4 }];
const POLICIES = { 'policy-net.json': namesPolicy('net', { app: 'net' }, { dns: ['*.k8s.intra'], reachable: ['*.k8s.intra', '*.fresh.k8s.intra'] }) };

t.setTimeout(FILE_DEADLINE_MS);

/** As VPN tools set it. */
const STRICT = 'for f in /proc/sys/net/ipv4/conf/*/; do echo 1 > "$f/src_valid_mark"; echo 1 > "$f/rp_filter"; done';

for (const how of ofThisRun([VETH, ...BRIDGES], true)) {
  t.test(`rp_filter that looks at marks loses nothing, over ${where(how)}`, async (t) => {
    const { lab, stage } = await startEnforced(t, { how, scenario: '1', policies: POLICIES });
    // tandem0 is Tandem's own: what it is set to stays.
    await lab.shell('node1', STRICT.replace('conf/*/', 'conf/[!t]*/'));
    for (const more of [[], ['+tcp']]) await stage.answers('net1', 'echo.k8s.intra', 'NOERROR', more);
    await stage.works('net1', 'http://echo.k8s.intra');
    stage.tell.expect('nothing went past', stage.nothingPast(lab.addressOf('net1')));
  });

  t.test(`a local firewall that drops what is redirected is named, over ${where(how)}`, async (t) => {
    const { lab, stage, tandem } = await startEnforced(t, { how, scenario: '1', policies: POLICIES });
    await stage.answers('net1', 'echo.k8s.intra', 'NOERROR');
    await lab.shell('node1', `nft -f - <<'END'
table inet local-firewall {
  chain input {
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    iif lo accept
    meta l4proto { icmp, ipv6-icmp } accept
  }
}
END`);
    await stage.lookUp('net1', 'other.k8s.intra');
    await stage.tell.expectSoon('tandem status names the table and the hook', DEADLINE_MS, async () => {
      await stage.lookUp('net1', 'other.k8s.intra', ['+tcp']);
      const { output } = await tandem.cli('status');
      return finding(output, output.includes('local-firewall') && /input/i.test(output));
    });
    await lab.shell('node1', 'nft delete table inet local-firewall');
    await until('DNS again', DEADLINE_MS, async () => ((await stage.lookUp('net1', 'echo.k8s.intra')).status === 'NOERROR' ? true : null));
    await stage.tell.expectSoon('and says no more when it is gone', DEADLINE_MS, async () => {
      const { output } = await tandem.cli('status');
      return finding(output, !output.includes('local-firewall'));
    });
  });
}

for (const how of BRIDGES) {
  t.test(`DNS to a server on the same bridge is seen, over ${where(how)}`, async (t) => {
    const { lab, stage, tandem } = await startEnforced(t, { how, scenario: '1', policies: POLICIES });
    const server = lab.addressOf('kube-dns-a');
    for (const protocol of ['+notcp', '+tcp']) {
      const allowed = await lab.exec('net1', ['dig', '+tries=1', '+time=3', protocol, `@${server}`, 'echo.k8s.intra']);
      t.match(allowed.output, 'status: NOERROR', protocol);
      const refused = await lab.exec('net1', ['dig', '+tries=1', '+time=3', protocol, `@${server}`, 'cnn.com']);
      t.match(refused.output, 'status: REFUSED', protocol);
    }
    t.strictSame(lab.seenQueries().filter(({ name }) => name === 'cnn.com.'), [], 'the server did not see what is refused');
    stage.tell.expect('nothing went past', stage.nothingPast(lab.addressOf('net1')));
    await stage.observes(tandem, ['--from-pod', 'lab/net1'], [/dns-request proxy DROPPED \(DNS Query cnn\.com\. A\)/]);
  });

  t.test(`a pod that takes another MAC, or another pod's MAC and address, is a stranger, over ${where(how)}`, async (t) => {
    const { lab, stage, tandem } = await startEnforced(t, { how, scenario: '1', policies: POLICIES });
    await stage.works('net1', 'http://echo.k8s.intra');
    const mac = (await lab.shell('net1', 'cat /sys/class/net/eth0/address')).trim();
    const queries = lab.seenQueries().length;
    // Who lies asks nobody where the node is: that alone would be dropped.
    const gateway = (await lab.shell('node1', 'cat /sys/class/net/cbr0/address')).trim();
    await lab.shell('net1', `ip link set eth0 address 02:00:00:00:00:99
ip neigh replace 10.244.1.1 lladdr ${gateway} dev eth0 nud permanent`);
    // The refusal goes to the MAC that the node knows, which is nobody's now.
    t.notMatch(await stage.lookUp('net1', 'echo.k8s.intra'), { status: 'NOERROR' });
    t.not((await stage.curlAt('net1', 'echo.k8s.intra', '172.17.0.2')).reached, 'works');
    await stage.tell.expectSoon('a flow says IDENTITY_STALE', DEADLINE_MS, async () => {
      const flows = await stage.flows(tandem, '--from-ip', lab.addressOf('net1'), '--verdict', 'DROPPED');
      return finding(flows.at(-1) ?? 'none', flows.some((flow) => JSON.stringify(flow).includes('IDENTITY_STALE')));
    });
    t.comment('net2 takes both the MAC and the address of net1, which is silent');
    await lab.shell('net1', 'ip link set eth0 down');
    await lab.shell('net2', `ip link set eth0 address ${mac}
ip neigh replace 10.244.1.1 lladdr ${gateway} dev eth0 nud permanent
ip address add ${lab.addressOf('net1')}/24 dev eth0`);
    const { output } = await lab.exec('net2', ['dig', '+tries=1', '+time=3', '-b', lab.addressOf('net1'), `@${lab.address(KUBE_DNS.address)}`, 'echo.k8s.intra']);
    t.notMatch(output, 'status: NOERROR');
    const { code } = await lab.exec('net2', ['curl', '-4', '-sS', '-m', '4', '--interface', lab.addressOf('net1'), '--resolve', 'echo.k8s.intra:80:172.17.0.2', 'http://echo.k8s.intra']);
    t.not(code, 0, 'it does not connect');
    t.equal(lab.seenQueries().length, queries, 'no DNS server was asked');
  });
}

t.test('a pod that uses another pod\'s address on a veth of its own is a stranger', async (t) => {
  for (const family of [4, 6] as const) {
    const { lab, stage } = await startEnforced(t, { how: { ...VETH, family }, scenario: '1', policies: POLICIES });
    await stage.works('net1', 'http://echo.k8s.intra');
    const queries = lab.seenQueries().length;
    const stolen = lab.addressOf('net1');
    await lab.shell('net2', `ip address add ${stolen}/${family === 4 ? '32' : '128 nodad'} dev eth0`);
    // Answers go to the pod that has the address: only what the servers saw can be looked at.
    await lab.exec('net2', ['dig', '+tries=1', '+time=1', '-b', stolen, `@${lab.address(KUBE_DNS.address)}`, 'echo.k8s.intra']);
    t.equal(lab.seenQueries().length, queries, 'no DNS server was asked');
  }
});

t.test('what an earlier run left is taken over, and nothing of others is touched', async (t) => {
  const { lab, stage, tandem } = await startEnforced(t, { how: VETH, scenario: '1', policies: POLICIES });
  await lab.shell('node1', 'nft add table inet others; nft add chain inet others c; nft add rule inet others c counter; ip rule add priority 7777 fwmark 0x10 lookup 7777');
  const others = async (): Promise<string> => lab.shell('node1', 'nft list table inet others; nft list table ip lab-services; ip rule | grep 7777');
  const before = await others();
  await Promise.all(ROLES.map((role) => tandem.end(role, 'SIGKILL')));
  for (const role of ROLES) tandem.launch(role);
  await Promise.all(ROLES.map((role) => tandem.ready(role)));
  await until('DNS again', DEADLINE_MS, async () => ((await stage.lookUp('net1', 'echo.k8s.intra')).status === 'NOERROR' ? true : null));
  t.equal(await others(), before);
  const rules = (await lab.shell('node1', 'ip rule')).split('\n').filter((line) => line.includes('10053'));
  t.equal(new Set(rules).size, rules.length, 'no rule stands there twice');
});
