import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import t from 'tap';
import { formatAddress, type Log, LOGGED_KEY_LENGTH, type LoggedPacket, monoMs } from '@tandem/core';
import { bootTimeMs } from 'node-reuseport';
import { enterOwnNamespace, ip, otherNamespace } from '../testing/namespace.js';
import { PacketLog } from './packet-log.js';
import { logPrefix } from './prefix.js';

enterOwnNamespace();

const GROUP = 1053;
const KEY = 'ab'.repeat(LOGGED_KEY_LENGTH / 2);
const FLOOD = 40_000;
/** Beyond this something hangs; what is awaited comes in milliseconds, a group that another has within a second or two. */
const PATIENCE_MS = 20_000;
const SYN = 0x02;

const nft = (script: string): string => execFileSync('nft', ['-f', '-'], { input: script, encoding: 'utf8' });

const prefix = (one: Parameters<typeof logPrefix>[0]): string => `log prefix "${logPrefix(one)}" group ${String(GROUP)}`;

nft(`table inet try {
  counter logged {}
  chain out {
    type filter hook output priority 0
    udp dport 7001 ${prefix({ direction: 'egress', verdict: 'denied', ruleSet: KEY, rule: null })} drop
    udp dport 7002 log prefix "another's" group ${String(GROUP)} drop
    udp dport 7003 counter name logged ${prefix({ direction: 'egress', verdict: 'audited', ruleSet: KEY, rule: null })} drop
    tcp dport 7004 ${prefix({ direction: 'egress', verdict: 'allowed', ruleSet: KEY, rule: 12 })} reject with tcp reset
    icmp type echo-request ${prefix({ direction: 'egress', verdict: 'stranger', ruleSet: null, rule: null })} drop
  }
  chain in {
    type filter hook input priority 0
    udp dport 7005 ${prefix({ direction: 'ingress', verdict: 'denied', ruleSet: KEY, rule: 0 })} drop
  }
}
`);

class Reading {
  readonly packets: LoggedPacket[] = [];
  readonly lines: string[] = [];
  lost = 0;
  readonly log: PacketLog;

  constructor() {
    const say = (line: string): void => { this.lines.push(line); };
    const log: Log = { debug: say, info: say, warn: say, error: say };
    this.log = new PacketLog({
      group: GROUP, log, nowMs: () => monoMs(bootTimeMs()), onPackets: (packets) => { this.packets.push(...packets); }, onLost: (count) => { this.lost += count; },
    });
    this.log.start();
  }
}

async function until(what: string, isDone: () => boolean): Promise<void> {
  const endMs = Date.now() + PATIENCE_MS;
  while (!isDone()) {
    if (Date.now() > endMs) throw new Error(`not within ${String(PATIENCE_MS)} ms: ${what}`);
    await new Promise((resolve) => { setImmediate(resolve); });
  }
}

async function sendUdp(address: string, port: number): Promise<void> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  // A datagram that is dropped on its way out is an error of the sender's.
  await new Promise<void>((resolve) => { socket.send('hello', port, address, () => resolve()); });
  socket.close();
}

const endsOf = ({ source, sourcePort, destination, destinationPort }: LoggedPacket): string =>
  `${formatAddress(source)}:${sourcePort > 0 ? '*' : '0'} ${formatAddress(destination)}:${String(destinationPort)}`;

t.test('packets come with what their rule says, and what is in them', async (t) => {
  const reading = new Reading();
  t.teardown(() => reading.log.stop());
  t.equal(reading.log.problem, null);
  const startedMs = bootTimeMs();
  await sendUdp('127.0.0.1', 7001);
  await sendUdp('127.0.0.1', 7002);
  await sendUdp('::1', 7001);
  await sendUdp('127.0.0.1', 7005);
  await new Promise<void>((resolve) => { connect(7004, '127.0.0.1').on('error', () => resolve()); });
  try {
    execFileSync('ping', ['-c', '1', '-W', '1', '127.0.0.1'], { stdio: 'ignore' });
  } catch {
    // It has no answer, or there is no ping here: then the packet is missing below.
  }
  await until('five packets', () => reading.packets.length >= 5);
  const [v4, v6, into, syn, echo] = reading.packets;
  t.match(v4, { direction: 'egress', verdict: 'denied', ruleSet: KEY, rule: null, protocol: 17, tcpFlags: 0 });
  t.match(into, { direction: 'ingress', verdict: 'denied', ruleSet: KEY, rule: 0, protocol: 17, interfaceIndex: 0 });
  t.match(syn, { direction: 'egress', verdict: 'allowed', ruleSet: KEY, rule: 12, protocol: 6, tcpFlags: SYN });
  t.match(echo, { direction: 'egress', verdict: 'stranger', ruleSet: null, rule: null, protocol: 1, icmpType: 8, icmpCode: 0 });
  t.same(reading.packets.map(endsOf), [
    '127.0.0.1:* 127.0.0.1:7001', '::1:* ::1:7001', '127.0.0.1:* 127.0.0.1:7005', '127.0.0.1:* 127.0.0.1:7004', '127.0.0.1:0 127.0.0.1:0',
  ]);
  t.equal(v6.direction, 'egress');
  t.ok(reading.packets.every(({ atMs }) => atMs >= startedMs && atMs <= bootTimeMs()));
  t.equal(reading.lost, 0);
});

t.test('a forwarded packet says by which interface the pod is reached: where it came in, or where it leaves', async (t) => {
  const reading = new Reading();
  t.teardown(() => reading.log.stop());
  const [client, server] = [await otherNamespace(), await otherNamespace()];
  t.teardown(() => { client.close(); server.close(); });
  for (const [name, pod, address, v6] of [['toclient', client, '10.9.1', 'fd09:1'], ['toserver', server, '10.9.2', 'fd09:2']] as const) {
    ip(`link add ${name} type veth peer name eth0 netns ${String(pod.pid)}`);
    ip(`addr add ${address}.1/24 dev ${name}`);
    ip(`-6 addr add ${v6}::1/64 dev ${name} nodad`);
    ip(`link set ${name} up`);
    pod.ip(`addr add ${address}.2/24 dev eth0`);
    pod.ip(`-6 addr add ${v6}::2/64 dev eth0 nodad`);
    pod.ip('link set eth0 up');
    pod.ip(`route add default via ${address}.1`);
    pod.ip(`-6 route add default via ${v6}::1`);
  }
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
  writeFileSync('/proc/sys/net/ipv6/conf/all/forwarding', '1');
  nft(`table inet try {
    chain through {
      type filter hook forward priority 0
      udp dport 7006 ${prefix({ direction: 'egress', verdict: 'allowed', ruleSet: KEY, rule: 1 })}
      udp dport 7006 ${prefix({ direction: 'ingress', verdict: 'denied', ruleSet: KEY, rule: null })} drop
    }
  }
  `);
  const indexOf = (name: string): number => Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8'));
  for (const to of ['10.9.2.2', 'fd09:2::2']) {
    const script = `const s=require('dgram').createSocket('udp${to.includes(':') ? '6' : '4'}');s.send('x',7006,'${to}',()=>s.close())`;
    client.exec(process.execPath, '-e', script);
  }
  await until('both, twice', () => reading.packets.length === 4);
  t.same(reading.packets.map(({ direction, interfaceIndex, destination }) => [direction, interfaceIndex, formatAddress(destination)]), [
    ['egress', indexOf('toclient'), '10.9.2.2'], ['ingress', indexOf('toserver'), '10.9.2.2'],
    ['egress', indexOf('toclient'), 'fd09:2::2'], ['ingress', indexOf('toserver'), 'fd09:2::2'],
  ]);
});

t.test('what comes faster than it is read is counted, packet by packet', async (t) => {
  const reading = new Reading();
  t.teardown(() => reading.log.stop());
  // In a process of its own, while this one's event loop stands.
  const script = `const s=require('dgram').createSocket('udp4');s.bind(0,()=>{let n=0;const go=()=>{if(n===${String(FLOOD)})return s.close();let left=100;for(let i=0;i<100;i++,n++)s.send('x',7003,'127.0.0.1',()=>{if(--left===0)go()})};go()})`;
  execFileSync(process.execPath, ['-e', script]);
  const logged = Number(/packets (\d+)/.exec(execFileSync('nft', ['list', 'counter', 'inet', 'try', 'logged'], { encoding: 'utf8' }))![1]);
  t.equal(logged, FLOOD);
  let before = -1;
  await until('no more to be read', () => {
    const isSame = before === reading.packets.length && before > 0;
    before = reading.packets.length;
    return isSame;
  });
  // The number of the next one tells how many are missing before it.
  await sendUdp('127.0.0.1', 7001);
  await until('the next one', () => reading.packets.at(-1)?.verdict === 'denied');
  t.ok(reading.lost > 0, `${String(reading.lost)} lost`);
  t.equal(reading.packets.length - 1 + reading.lost, FLOOD);
});

t.test('one reads the group; the next does, as soon as that one is gone', async (t) => {
  const first = new Reading();
  const second = new Reading();
  t.teardown(() => { first.log.stop(); second.log.stop(); });
  t.match(second.log.problem, /another process reads it/);
  t.match(second.lines, [/another process reads it/]);
  await sendUdp('127.0.0.1', 7001);
  await until('the first has it', () => first.packets.length === 1);
  first.log.stop();
  await until('the second binds', () => second.log.problem === null);
  await sendUdp('127.0.0.1', 7001);
  await until('the second has it', () => second.packets.length === 1);
  t.equal(first.packets.length, 1);
  t.equal(second.lost, 0, 'what came before it had the group is not lost');
  second.log.stop();
  second.log.start();
  await sendUdp('::1', 7001);
  await until('it has it again', () => second.packets.length === 2);
});
