/**
 * One container of one pod: started, probed, restarted when it ends, stopped with its grace period. As a kubelet does it, with times made shorter
 * where the real ones would only make tests long. Knows nothing of the API.
 */
import { appendFileSync } from 'node:fs';
import { Child, run } from '../../harness/child.js';
import type { Launch } from './container.js';
import type { Container, HttpProbe } from './objects.js';

/** A kubelet's is 10 s. */
const RESTART_FIRST_MS = 1_000;
const RESTART_MOST_MS = 30_000;
/** So long it must run for the wait before a restart to begin anew. */
const RESTART_RESET_MS = 60_000;
const PROBE_PERIOD_SECONDS = 10;
const MS_PER_SECOND = 1_000;

type ProbeKind = 'startupProbe' | 'readinessProbe' | 'livenessProbe';

export class Running {
  readonly container: Container;
  restarts = 0;
  isStarted = false;
  isReady = false;
  /** Why it does not run; null while it does. */
  waiting: string | null = 'ContainerCreating';
  private readonly launch: Launch;
  private readonly host: readonly string[];
  private readonly log: string;
  private child: Child | null = null;
  private isStopping = false;
  private restartAtMs = 0;
  private startedAtMs = 0;
  private backoffMs = RESTART_FIRST_MS;
  private nextProbeMs: Partial<Record<ProbeKind, number>> = {};
  private failures: Partial<Record<ProbeKind, number>> = {};
  private isProbing = false;

  /** `prefix`: what the node's processes are started by; its output is added to `log`. */
  constructor(container: Container, launch: Launch, { prefix, log }: { readonly prefix: readonly string[]; readonly log: string }) {
    this.container = container;
    this.launch = launch;
    this.host = prefix;
    this.log = log;
  }

  get pid(): number | null {
    return this.child?.exit === null ? this.child.pid : null;
  }

  get hasEnded(): boolean {
    return this.child?.exit !== null;
  }

  /** To be called again and again. */
  tick(nowMs: number): void {
    if (this.isStopping) return;
    if (this.child?.exit !== null) this.startWhenDue(nowMs);
    else this.probeWhenDue(nowMs);
  }

  private startWhenDue(nowMs: number): void {
    if (this.child !== null && this.waiting === null) {
      const ranMs = nowMs - this.startedAtMs;
      this.backoffMs = ranMs > RESTART_RESET_MS ? RESTART_FIRST_MS : Math.min(RESTART_MOST_MS, 2 * this.backoffMs);
      this.restartAtMs = nowMs + this.backoffMs;
      this.say(`ended with ${JSON.stringify(this.child.exit)}`);
      this.waiting = 'CrashLoopBackOff';
      this.isReady = this.isStarted = false;
    }
    if (nowMs < this.restartAtMs) return;
    if (this.child !== null) this.restarts++;
    const [command, ...args] = this.launch.command;
    this.say(`$ ${this.launch.command.join(' ')}`);
    this.child = new Child(command, args, this.launch.environment);
    for (const stream of [this.child.process.stdout!, this.child.process.stderr!]) {
      stream.on('data', (text: string) => {
        appendFileSync(this.log, text);
      });
    }
    this.waiting = null;
    this.startedAtMs = nowMs;
    this.failures = {};
    this.nextProbeMs = {};
    this.isStarted = this.container.startupProbe === undefined;
    this.isReady = this.isStarted && this.container.readinessProbe === undefined;
  }

  private probeWhenDue(nowMs: number): void {
    if (this.isProbing) return;
    const kinds: readonly ProbeKind[] = this.isStarted ? ['readinessProbe', 'livenessProbe'] : ['startupProbe'];
    const due = kinds.find((kind) => this.container[kind] !== undefined && nowMs >= (this.nextProbeMs[kind] ?? this.firstProbeMs(kind)));
    if (due === undefined) return;
    const probe = this.container[due]!;
    // A readiness that was lost or has yet to come is asked for more often than the rest, as kubelets since 1.21 do on a start.
    const periodMs = due === 'readinessProbe' && !this.isReady ? MS_PER_SECOND / 4 : (probe.periodSeconds ?? PROBE_PERIOD_SECONDS) * MS_PER_SECOND;
    this.nextProbeMs[due] = nowMs + Math.min(periodMs, due === 'startupProbe' ? MS_PER_SECOND / 4 : periodMs);
    this.isProbing = true;
    const child = this.child;
    void this.asked(probe).then((isGood) => {
      this.isProbing = false;
      if (child === this.child && !this.isStopping) this.judge(due, isGood, probe);
    });
  }

  private firstProbeMs(kind: ProbeKind): number {
    return this.startedAtMs + (this.container[kind]?.initialDelaySeconds ?? 0) * MS_PER_SECOND;
  }

  private async asked({ httpGet, timeoutSeconds = 1 }: HttpProbe): Promise<boolean> {
    if (httpGet === undefined) return true;
    const port = typeof httpGet.port === 'number' ? httpGet.port : this.container.ports?.find(({ name }) => name === httpGet.port)?.containerPort;
    const url = `http://${httpGet.host ?? '127.0.0.1'}:${String(port)}${httpGet.path ?? '/'}`;
    const [command, ...args] = [...this.host, 'curl', '-s', '-o', '/dev/null', '-f', '-m', String(timeoutSeconds), url];
    try {
      return (await run(command, args, (timeoutSeconds + 5) * MS_PER_SECOND)).code === 0;
    } catch {
      return false; // an answer that does not come is one that is not good
    }
  }

  private judge(kind: ProbeKind, isGood: boolean, { failureThreshold = 3, periodSeconds = PROBE_PERIOD_SECONDS }: HttpProbe): void {
    const failures = this.failures[kind] = isGood ? 0 : (this.failures[kind] ?? 0) + 1;
    if (kind === 'readinessProbe') {
      if (isGood) this.isReady = true;
      else if (failures >= failureThreshold) this.isReady = false;
      return;
    }
    if (kind === 'startupProbe' && isGood) {
      this.isStarted = true;
      this.isReady = this.container.readinessProbe === undefined;
      return;
    }
    // Startup is asked for more often here than it says; what counts is how long that may take.
    const isOver = kind === 'startupProbe' ? performance.now() - this.startedAtMs > failureThreshold * periodSeconds * MS_PER_SECOND : failures >= failureThreshold;
    if (isGood || !isOver) return;
    this.say(`${kind} has failed: killed`);
    this.child?.process.kill('SIGTERM');
    this.failures[kind] = 0;
  }

  /** SIGTERM, then SIGKILL after its grace; resolves at its end. */
  async stop(graceMs: number): Promise<void> {
    this.isStopping = true;
    this.isReady = false;
    const child = this.child;
    if (child?.exit !== null) return;
    this.say('SIGTERM');
    child.process.kill('SIGTERM');
    const timer = setTimeout(() => {
      this.say('SIGKILL after its grace period');
      child.process.kill('SIGKILL');
    }, graceMs);
    const exit = await child.exited;
    clearTimeout(timer);
    this.say(`ended with ${JSON.stringify(exit)}`);
  }

  private say(text: string): void {
    appendFileSync(this.log, `[stand-in] ${text}\n`);
  }
}
