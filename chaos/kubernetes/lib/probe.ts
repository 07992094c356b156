/**
 * The steady-state probe: dnsperf in a pod, once over names that it may ask and once over names that it may not. Each query is asked once and never
 * again. Runs until it is stopped.
 */
import { Child } from '#harness/child.js';
import { until, within } from '#harness/until.js';

const START_DEADLINE_MS = 20_000;
const END_DEADLINE_MS = 30_000;
const TIMEOUT_SECONDS = 5;
const CLIENTS = 100;
/** A limit of dnsperf's that a loss must not make it wait at. */
const OUTSTANDING_MOST = 60_000;
const MS_PER_SECOND = 1_000;

export interface ProbePlan {
  /** What runs a command in the pod. */
  readonly command: readonly string[];
  readonly names: readonly string[];
  /** Queries a second. */
  readonly rate: number;
  /** The longest. */
  readonly seconds: number;
  /** Each name is asked once. */
  readonly isOnce?: boolean;
}

export interface ProbeResult {
  readonly sent: number;
  readonly answered: number;
  readonly lost: number;
  /** Answers to nothing that was asked: most likely a second one. */
  readonly unexpected: number;
  /** Response code → answers. */
  readonly codes: Readonly<Record<string, number>>;
  readonly averageMs: number;
  readonly worstMs: number;
}

/** Asks the pod's own server. The file of names is gone from its folder as soon as it is open, so a killed probe leaves nothing. */
const SCRIPT = `set -e
f=$(mktemp); rate=$1; seconds=$2; runs=$3; shift 3
for name in "$@"; do echo "$name A"; done >"$f"
server=$(awk '$1 == "nameserver" { print $2; exit }' /etc/resolv.conf)
exec 3<"$f"; rm "$f"; echo "pid $$"
exec dnsperf $runs -s "$server" -d /dev/fd/3 -Q "$rate" -l "$seconds" -t ${String(TIMEOUT_SECONDS)} -c ${String(CLIENTS)} -q ${String(OUTSTANDING_MOST)} 2>&1`;

export class Probe {
  private readonly child: Child;
  private readonly command: readonly string[];
  private readonly pid: string;

  private constructor(child: Child, command: readonly string[], pid: string) {
    this.child = child;
    this.command = command;
    this.pid = pid;
  }

  /** Resolves once it is about to send. */
  static async start({ command, names, rate, seconds, isOnce = false }: ProbePlan): Promise<Probe> {
    const [program, ...rest] = [...command, 'sh', '-c', SCRIPT, 'probe', String(rate), String(seconds), isOnce ? '-n1' : '', ...names];
    const child = new Child(program, rest);
    const pid = await until('dnsperf to start', START_DEADLINE_MS, () => {
      if (child.exit !== null) throw new Error(`dnsperf ended: ${child.output}`);
      return /^pid (\d+)$/m.exec(child.output); // all that it prints itself before its end are complaints
    });
    return new Probe(child, command, pid[1]);
  }

  /** Queries that have had no answer for five seconds. */
  get lostSoFar(): number {
    return this.child.output.match(/\[Timeout\]/g)?.length ?? 0;
  }

  get hasEnded(): boolean {
    return this.child.exit !== null;
  }

  /** To its own end. */
  async finished(): Promise<ProbeResult> {
    const { code } = await this.child.exited;
    if (code !== 0) throw new Error(`dnsperf ended with ${String(code)}: ${this.child.output.slice(-2_000)}`);
    return resultOf(this.child.output);
  }

  async stop(): Promise<ProbeResult> {
    if (!this.hasEnded) {
      const [program, ...rest] = [...this.command, 'kill', '-INT', this.pid];
      const killer = new Child(program, rest);
      await within('SIGINT to dnsperf', END_DEADLINE_MS, killer.exited);
    }
    return within('the end of dnsperf', END_DEADLINE_MS, this.finished());
  }

  kill(): void {
    this.child.process.kill('SIGKILL');
  }
}

/** From what dnsperf prints at its end. What it had asked just before it was stopped is neither answered nor lost. */
export function resultOf(output: string): ProbeResult {
  const count = (label: string): number => Number(new RegExp(`^\\s*${label}:\\s+(\\d+)`, 'm').exec(output)?.[1] ?? 0);
  if (!/^\s*Queries sent:/m.test(output)) throw new Error(`dnsperf gave no figures: ${output.slice(-1_000)}`);
  const codesText = /^\s*Response codes:\s+(.*)$/m.exec(output)?.[1] ?? '';
  const codes = Object.fromEntries([...codesText.matchAll(/([A-Z0-9]+) (\d+) \(/g)].map(([, name, number]) => [name, Number(number)]));
  const latency = /^\s*Average Latency \(s\):\s+([\d.]+) \(min [\d.]+, max ([\d.]+)\)/m.exec(output);
  return {
    sent: count('Queries sent') - count('Queries interrupted'), answered: count('Queries completed'), lost: count('Queries lost'),
    unexpected: output.match(/unexpected/g)?.length ?? 0, codes,
    averageMs: Number(latency?.[1] ?? 0) * MS_PER_SECOND, worstMs: Number(latency?.[2] ?? 0) * MS_PER_SECOND,
  };
}
