/** A network namespace with a probe in it (native/probe.cc): it is there for as long as the probe runs. */
import { execFileSync, spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { compiled } from '../harness/native.js';
import { repositoryRoot } from '../harness/repository.js';

export type Protocol = 'tcp' | 'udp' | 'sctp' | 'icmp' | 'icmpv6';
/** `none`: no answer and no refusal in time. */
export type Outcome = 'ok' | 'refused' | 'none';

/** A packet that nobody answers, and nobody has told of by now, was dropped. */
const ARRIVAL_MS = 900;

/** Of all probes: the one that receives a packet is not the one that sent it. */
const arrivals = new Map<string, () => void>();
let serial = 0;

export class Probe {
  readonly pid: number;
  private readonly child: ChildProcessByStdio<Writable, Readable, null>;
  private readonly waiting = new Map<string, (answer: string) => void>();
  private listened: (() => void)[] = [];
  private readonly listening = new Set<string>();

  static async start(): Promise<Probe> {
    const program = compiled(join(repositoryRoot, 'test/kernel/native/probe.cc'), join(repositoryRoot, 'test/dist/kernel/native/probe'));
    const child = spawn('unshare', ['--net', 'sh', '-c', 'ip link set lo up && exec "$0"', program], { stdio: ['pipe', 'pipe', 'inherit'] });
    await once(child.stdout, 'readable');
    return new Probe(child);
  }

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    this.child = child;
    this.pid = child.pid!;
    createInterface({ input: child.stdout }).on('line', (line) => { this.said(line); });
  }

  /** Runs a script in the namespace. @throws Error with what it complained of. */
  run(script: string): string {
    return execFileSync('nsenter', ['--net', '-t', String(this.pid), '--', 'sh', '-e'], { encoding: 'utf8', input: script, stdio: ['pipe', 'pipe', 'pipe'] });
  }

  async listen(protocol: Protocol, address: string, port: number): Promise<void> {
    if (protocol !== 'tcp' && protocol !== 'udp') return;
    const key = `${protocol} ${address} ${port}`;
    if (this.listening.has(key)) return;
    this.listening.add(key);
    await new Promise<void>((resolve) => {
      this.listened.push(resolve);
      this.child.stdin.write(`listen ${key}\n`);
    });
  }

  /** What comes of a connection, a datagram or a packet. `port` is a type with ICMP. */
  ask(protocol: Protocol, at: { readonly from: string; readonly to: string; readonly port: number }): Promise<Outcome> {
    return this.command((id) => `${protocol} ${id} ${at.from} ${at.to} ${at.port}`);
  }

  /** Whether an IPv4 packet arrives that has a VLAN tag of number 0 within another. `mac`: who is to receive the frame. */
  askTagged(tag: 'tagged' | 'provider-tagged', at: { readonly from: string; readonly to: string; readonly mac: string }): Promise<Outcome> {
    return this.command((id) => `${tag} ${id} ${at.from} ${at.to} ${at.mac}`);
  }

  private async command(commandOf: (id: string) => string): Promise<Outcome> {
    const id = `q${++serial}`;
    const signal = AbortSignal.timeout(ARRIVAL_MS);
    try {
      return await new Promise<Outcome>((resolve) => {
        this.waiting.set(id, (answer) => { resolve(answer === 'ok' ? 'ok' : answer === 'timeout' ? 'none' : 'refused'); });
        arrivals.set(id, () => { resolve('ok'); });
        signal.addEventListener('abort', () => { resolve('none'); });
        this.child.stdin.write(`${commandOf(id)}\n`);
      });
    } finally {
      this.waiting.delete(id);
      arrivals.delete(id);
    }
  }

  close(): void {
    this.child.stdin.end();
  }

  private said(line: string): void {
    const [word, answer] = line.split(' ');
    if (word === 'listening') this.listened.shift()?.();
    else if (word === 'arrived') arrivals.get(answer)?.();
    else if (word === 'failed') throw new Error(line);
    else this.waiting.get(word)?.(answer);
  }
}
