import { EventEmitter, once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { AppError } from '@tandem/core';
import t from 'tap';
import { LinkWatch } from '../links/link-watch.js';
import { NO_LOG, staysAlive } from '../testing/kernel-test.js';
import { enterOwnNamespace, ip } from '../testing/namespace.js';
import { removeDivert, setUpDivert } from './divert.js';
import { removeRedirect, setUpRedirect, type RedirectRules } from './redirect-rules.js';

enterOwnNamespace();

// Neither a watch nor what waits for its words keeps a process alive.
staysAlive(t);

const PATIENCE_MS = 20_000;
const MARK = 0x0100_0000;
const options: RedirectRules = { families: [4, 6], mark: MARK, table: 10053, ports: [{ first: 53, last: 53 }], hasAnswers: false };
const rules = (family: 4 | 6): string[] => ip(`-${family} rule show`).trim().split('\n').map((line) => line.replace(/\s+/g, ' ')).filter((line) => line.includes('proto 153'));

t.test('marked DNS of both protocols and families is led to this node itself', async (t) => {
  t.equal((await setUpRedirect(options)).length, 2 + 4 + 2);
  t.strictSame(rules(4), [
    '53: from all fwmark 0x1000000/0x1000000 iif lo ipproto tcp sport 53 lookup main proto 153',
    '53: from all fwmark 0x1000000/0x1000000 iif lo ipproto udp sport 53 lookup main proto 153',
    '54: from all fwmark 0x1000000/0x1000000 ipproto tcp dport 53 lookup 10053 proto 153',
    '54: from all fwmark 0x1000000/0x1000000 ipproto udp dport 53 lookup 10053 proto 153',
  ]);
  t.equal(rules(6).length, 2);
  for (const family of [4, 6]) t.match(ip(`-${family} route show table 10053`), /^local default dev lo proto 153/);
  t.strictSame(await setUpRedirect(options), [], 'a second time there is nothing to do');
});

t.test('what is gone is named and put back, and what others have is left', async (t) => {
  await setUpRedirect(options);
  ip('rule add pref 54 fwmark 0x2 lookup 99');
  ip('rule del pref 54 ipproto udp dport 53');
  ip('-6 route flush table 10053');
  t.strictSame(await setUpRedirect(options), ['added the IPv4 rule 54 for UDP port 53', 'added the IPv6 route of table 10053']);
  t.strictSame(await setUpRedirect(options), []);
  t.match(ip('rule show'), 'fwmark 0x2 lookup 99');
  t.equal((await removeRedirect()).length, 2 + 4 + 2);
  t.strictSame([...rules(4), ...rules(6)], []);
  t.match(ip('rule show'), 'fwmark 0x2 lookup 99');
  ip('rule del pref 54 fwmark 0x2 lookup 99');
});

t.test('what an earlier run with other settings has left is replaced', async (t) => {
  await setUpRedirect({ ...options, mark: 0x10, table: 77, ports: [{ first: 5353, last: 5400 }, { first: 53, last: 53 }] });
  await setUpRedirect({ ...options, families: [4] });
  t.equal(rules(4).length, 4);
  t.strictSame(rules(6), []);
  t.notOk(ip('rule show').includes('lookup 77'));
  t.equal(ip('route show table 77').trim(), '');
  await removeRedirect();
});

t.test('where the proxy asks from addresses of pods, answers to these are led here, too', async (t) => {
  await setUpRedirect({ ...options, families: [4], hasAnswers: true });
  const shown = rules(4).filter((line) => line.includes('udp')).map((line) => line.replace(/^(\d+): from all fwmark \S+ (.*) proto 153$/, '$1 $2'));
  t.strictSame(shown, ['53 iif lo ipproto udp sport 53 lookup main', '53 iif lo ipproto udp dport 53 lookup main', '54 ipproto udp dport 53 lookup 10053', '54 ipproto udp sport 53 lookup 10053']);
  await removeRedirect();
});

t.test('very many ranges of ports, or the last port, have rules without ports', async (t) => {
  const ports = Array.from({ length: 9 }, (_, i) => ({ first: 100 * (i + 1), last: 100 * (i + 1) }));
  await setUpRedirect({ ...options, families: [6], ports });
  t.strictSame(rules(6).map((line) => line.replace(/^.* ipproto/, '')), [' tcp lookup 10053 proto 153', ' udp lookup 10053 proto 153']);
  await setUpRedirect({ ...options, families: [4], ports: [{ first: 1000, last: 65535 }], hasAnswers: true });
  t.equal(rules(4).length, 4);
  t.strictSame(await setUpRedirect({ ...options, families: [4], ports: [{ first: 1000, last: 65535 }], hasAnswers: true }), []);
  await removeRedirect();
});

t.test('where IPv6 is switched off, the setting that does without it is named, and IPv4 is redirected', async (t) => {
  const setting = '/proc/sys/net/ipv6/conf/lo/disable_ipv6';
  writeFileSync(setting, '1');
  t.teardown(() => { writeFileSync(setting, '0'); });
  await t.rejects(setUpRedirect(options), { code: 'UNAVAILABLE', message: /added the IPv6 route of table 10053: IPv6 is switched off on loopback .*; listen on IPv4 only, as by --listen 127\.0\.0\.153:53/ });
  t.equal(rules(4).length, 4);
  await setUpRedirect({ ...options, families: [4] });
  t.strictSame(await setUpRedirect({ ...options, families: [4] }), []);
  await removeRedirect();
});

t.test("a table with others' routes is not used", async (t) => {
  ip('route add local default dev lo table 10053');
  await t.rejects(setUpRedirect(options), new AppError('UNAVAILABLE', "routing table 10053 has routes that are not Tandem's (IPv4): remove them, or name another by --route-table"));
  ip('route del local default dev lo table 10053');
});

t.test('whoever watches hears that a rule is gone', async (t) => {
  await setUpRedirect(options);
  const words = new EventEmitter();
  let heard = 0;
  const watch = await LinkWatch.start({ log: NO_LOG, onChange: () => undefined, onRules: () => words.emit('rules', heard++) });
  t.teardown(() => watch.close());
  for (const loss of ['rule del pref 54 ipproto udp dport 53', '-6 rule del pref 54 ipproto tcp dport 53', 'route flush table 10053', '-6 route flush table 10053']) {
    const before = heard;
    ip(loss);
    // What the repair before has caused may be heard first: what counts is that something is heard, and the loss then found.
    while (heard === before) await once(words, 'rules', { signal: AbortSignal.timeout(PATIENCE_MS) });
    t.equal((await setUpRedirect(options)).length, 1, loss);
  }
});

t.test('the pair for bridged pods is made once, and taken over', async (t) => {
  const made = await setUpDivert();
  t.match(made.outerMac, /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
  t.strictSame(await setUpDivert(), made);
  for (const name of ['tandem0', 'tandem1']) {
    t.match(ip(`link show ${name}`), /NOARP,UP,LOWER_UP.* mtu 65535/);
    // Without an address no IPv4 packet would come in: test/kernel/conformance.test.ts sends them.
    t.strictSame(ip(`address show ${name}`).match(/inet6? \S+/g), name === 'tandem0' ? ['inet 192.0.0.8/32'] : null);
    t.equal(readFileSync(`/proc/sys/net/ipv4/conf/${name}/rp_filter`, 'latin1').trim(), '2');
    t.equal(readFileSync(`/proc/sys/net/ipv4/conf/${name}/send_redirects`, 'latin1').trim(), '0');
  }
  ip('link set tandem1 down');
  t.strictSame(await setUpDivert(), made);
  t.match(ip('link show tandem1'), /NOARP,UP,LOWER_UP/, 'what is down is raised');
  t.equal(await removeDivert(), true);
  t.equal(await removeDivert(), false);
});

t.test("another's link with the name of the pair is not touched", async (t) => {
  ip('link add tandem0 type bridge');
  await t.rejects(setUpDivert(), { code: 'UNAVAILABLE', message: /tandem0 and tandem1 that is not one end of that pair/ });
  t.equal(await removeDivert(), false);
  t.match(ip('link show tandem0'), 'tandem0');
});
