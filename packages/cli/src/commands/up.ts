/**
 * `tandem up`: both daemons in the foreground. One that dies during the start brings the rest down with its exit code; later it is
 * started again while the other goes on, and only the end of both ends `up`. Ends 0 only if both daemons ended 0.
 */
import { InvalidArgumentError, Command } from 'commander';
import { AppError, EXIT, formatSocketAddress, parseDurationMs, type Role } from '@tandem/core';
import { defaultRunDir, type StatusView } from '@tandem/host';
import { startDemoZone, type DemoZone } from '../demo-zone.js';
import { ask, isReady } from '../client.js';
import type { Io } from '../io.js';
import { requireFree } from '../up/free-port.js';
import type { MemberExit } from '../up/member-process.js';
import { Members } from '../up/members.js';
import { httpListenOf, planUp, type UpPlan } from '../up/plan.js';

const READY_DEADLINE_MS = 30_000;
const READY_POLL_MS = 50;
const STOP_DEADLINE_MS = 15_000;
/** Longer than a drain takes. */
const TERMINAL_GRACE_MS = 5_000;
const DURATION_MAX_MS = 2 ** 31 - 1;

interface Options {
  readonly for?: number;
}

export function upCommand(io: Io, programs: Readonly<Record<Role, string>>): Command {
  return new Command('up')
    .description('Run both daemons in the foreground; without flags, on example manifests and a demo zone, without root.')
    .option('--for <DURATION>', 'stop after so long, such as 5s', parseFor)
    .argument('[daemon flags...]', "flags of the daemons, as in 'tandem-agent --help'")
    .allowUnknownOption()
    .addHelpText('after', `
Examples:
  tandem up
  tandem up --for 5s
  tandem up --listen 127.0.0.1:5300 --upstream 192.0.2.53:53 --manifests ./manifests
`)
    .action(async (argv: string[], options: Options) => {
      io.setExitCode(await runUp(io, planUp({ argv, env: io.env, programs }), options.for ?? null));
    });
}

/** The exit code. @throws AppError UNAVAILABLE before anything was started. */
async function runUp(io: Io, plan: UpPlan, durationMs: number | null): Promise<number> {
  for (const at of plan.settings.listen) await requireFree(at);
  const zone = plan.needsDemoZone ? await startZone() : null;
  const members = new Members(plan.commandsFor(zone === null ? null : { ...zone, family: 4 }), (line) => { io.err(line); });
  const stop = new Stop(members);
  const onTerminate = (): void => { stop.begin(); };
  const onInterrupt = (): void => {
    if (io.isTerminal && !stop.hasBegun) stop.beginByTerminal();
    else stop.begin();
  };
  // Without a terminal there is nobody to run in the foreground for; the daemons take SIGHUP for "reread".
  process.on('SIGTERM', onTerminate).on('SIGHUP', onTerminate).on('SIGINT', onInterrupt);
  // Likewise where nobody reads what it says.
  io.onOutputLost(() => { if (!stop.hasBegun) stop.begin(); });
  try {
    const early = await Promise.race([members.fault, whenReady(plan, stop)]);
    if (early === null && !stop.hasBegun) {
      members.supervise();
      io.out(await greeting(io, plan, members, zone !== null));
      if (durationMs !== null) stop.beginAfter(durationMs);
    }
    const fault = early ?? await Promise.race([members.fault, stop.begun]);
    if (fault !== null) {
      io.err(`tandem: ${fault.role} ${fault.text}; stopping the rest\n`);
      stop.begin();
    }
    return codeOf(io, await members.exits(), fault);
  } finally {
    // Also after a fault of ours: no daemon is left behind.
    if (!stop.hasBegun) stop.begin();
    await members.exits();
    stop.end();
    io.onOutputLost(null);
    process.off('SIGTERM', onTerminate).off('SIGHUP', onTerminate).off('SIGINT', onInterrupt);
    await zone?.close();
  }
}

/** Ends the members once, with SIGINT: none waits for the other. A second time repeats it, which they take as "at once". */
class Stop {
  /** Resolves when it begins. */
  readonly begun: Promise<null>;
  private readonly members: Members;
  private onBegun: () => void = () => undefined;
  private timers: NodeJS.Timeout[] = [];
  private isStopping = false;

  constructor(members: Members) {
    this.members = members;
    this.begun = new Promise((resolve) => { this.onBegun = () => { resolve(null); }; });
  }

  get hasBegun(): boolean {
    return this.isStopping;
  }

  begin(): void {
    this.arm();
    this.signal('SIGINT');
  }

  /** Ctrl-C: the terminal has signalled the members, too, and a second signal would cut their drain short. */
  beginByTerminal(): void {
    this.arm();
    this.later(() => { this.signal('SIGINT'); }, TERMINAL_GRACE_MS);
  }

  beginAfter(ms: number): void {
    this.later(() => { if (!this.isStopping) this.begin(); }, ms);
  }

  end(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers = [];
  }

  private arm(): void {
    if (!this.isStopping) this.later(() => { this.signal('SIGKILL'); }, STOP_DEADLINE_MS);
    this.isStopping = true;
    this.members.close();
    this.onBegun();
  }

  private signal(name: 'SIGINT' | 'SIGKILL'): void {
    this.members.signal(name);
  }

  private later(act: () => void, ms: number): void {
    this.timers.push(setTimeout(act, ms));
  }
}

function codeOf(io: Io, exits: readonly MemberExit[], fault: MemberExit | null): number {
  const failed = exits.filter(({ code }) => code !== EXIT.ok);
  for (const exit of failed) if (exit.role !== fault?.role) io.err(`tandem: ${exit.role} ${exit.text}\n`);
  // A member that left without being asked is a fault, even where it left with 0.
  if (fault !== null) return fault.code === EXIT.ok ? EXIT.unavailable : fault.code;
  return failed.length === 0 ? EXIT.ok : failed[0].code;
}

/** Resolves with null once both are ready, or stopping has begun. @throws AppError UNAVAILABLE past the deadline. */
async function whenReady(plan: UpPlan, stop: Stop): Promise<null> {
  const deadline = Date.now() + READY_DEADLINE_MS;
  for (const role of ['agent', 'dns-proxy'] as const) {
    while (!stop.hasBegun && (await isReady(plan.settings.runDir, role)) !== true) {
      if (Date.now() > deadline) {
        stop.begin();
        throw new AppError('UNAVAILABLE', `${role} is not ready after ${READY_DEADLINE_MS / 1_000} s; its log is above`);
      }
      await new Promise((resolve) => { setTimeout(resolve, READY_POLL_MS); });
    }
  }
  return null;
}

async function startZone(): Promise<DemoZone> {
  return startDemoZone().catch((error: unknown) => {
    throw new AppError('UNAVAILABLE', `the demo zone cannot be started: ${(error as Error).message}; name a resolver with --upstream`, { cause: error });
  });
}

async function greeting(io: Io, plan: UpPlan, members: Members, isZone: boolean): Promise<string> {
  const { settings } = plan;
  const [at] = settings.listen;
  const urls = await Promise.all(members.pids.map(async ({ role }) => {
    // Only the daemon knows its port where the kernel chose it; one that died just now is started again on what it was told.
    const { httpListen } = await ask<StatusView>({ runDir: settings.runDir, member: role }, { method: 'GET', path: '/api/v1/status' })
      .catch(() => ({ httpListen: formatSocketAddress(httpListenOf(settings, role)) }));
    return `http://${httpListen}/ (${role})`;
  }));
  const shared = settings.listen.map(formatSocketAddress).join(', ');
  const pids = members.pids.map(({ role, pid }) => `${role} (pid ${pid ?? '-'})`).join(' and ');
  const runDir = settings.runDir === defaultRunDir(io.env) ? '' : ` --run-dir ${settings.runDir}`;
  const lines = [
    '', `Tandem is up: ${pids} share ${shared}.`, '',
    'Look:', ...urls.map((url) => `  ${url}`),
    ...['status', 'observe -f', 'cache list', 'endpoint list', 'policy list'].map((words) => `  npx tandem ${words}${runDir}`),
  ];
  if (plan.isDemo && isZone) {
    const dig = (client: string, name: string, says: string): string =>
      `  dig -b ${client} -p ${at.port} @${at.address} ${name.padEnd(20)} # ${says}`;
    lines.push('', 'Try:',
      dig('127.0.1.1', 'www.shop.example', 'demo/web may ask this: an address'),
      dig('127.0.1.2', 'www.shop.example', 'demo/batch may not: REFUSED, EDE 15 (Blocked)'),
      dig('127.0.1.1', 'cdn.shop.example', 'an alias; then see `npx tandem cache list`'));
  }
  return `${lines.join('\n')}\n\n`;
}

function parseFor(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === null || ms <= 0 || ms > DURATION_MAX_MS) throw new InvalidArgumentError('a duration is expected, such as 5s or 1m30s.');
  return ms;
}
