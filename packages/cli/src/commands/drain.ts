/**
 * `tandem drain`: has one member hand its sockets and its work to the other and end, and waits until it did. What it does is SIGTERM, after
 * making sure that the process is that member, and that somebody is left who answers.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { AppError, parseDurationMs, type Role } from '@tandem/core';
import { apiSocketPath, type StatusView } from '@tandem/host';
import { ask, askBoth, type Heard } from '../client.js';
import { listenerOf } from '../bugtool/find-process.js';
import { memberCommand, memberMeans, targetOf, type CommonOptions } from '../common-options.js';
import type { Io } from '../io.js';
import { render } from '../output.js';
import { Progress } from '../progress.js';
import { whole } from '../status/pair-status.js';

interface Options extends CommonOptions {
  readonly force?: boolean;
  readonly timeout: number;
}

interface Drained {
  readonly member: Role;
  readonly pid: number;
  /** From the signal to the end. */
  readonly milliseconds: number;
  /** What the other has taken over for good; null: it does not answer. */
  readonly peer: { readonly role: Role; readonly adopted: number; readonly taken: number } | null;
}

const QUESTION = { method: 'GET', path: '/api/v1/status' } as const;
/** The daemon's own deadlines add up to less, unless a peer is being replaced at the same time. */
const TIMEOUT = '30s';
const TIMEOUT_MS_MAX = 600_000;
const LOOK_MS = 50;
const PHASES = { no: 'was told', asking: 'waits for its peer to read its sockets', leaving: 'finishes what it has' } as const;

export function drainCommand(io: Io): Command {
  return memberMeans(memberCommand('drain', 'Have one member hand its work to the other and end; nothing is lost on the way.', [
    'tandem drain --member agent', 'tandem drain --member dns-proxy --timeout 1m -o json',
  ]), 'which one; it has to be said')
    .option('-f, --force', 'also where nobody is left who answers')
    .addOption(new Option('--timeout <DURATION>', 'how long to wait for its end').argParser(parseTimeout).default(parseTimeout(TIMEOUT), TIMEOUT))
    .action(async (options: Options) => {
      const { runDir, member } = targetOf(options, io.env);
      if (member === null) throw new AppError('USAGE', 'say which one: --member agent or --member dns-proxy');
      const status = await ask<StatusView>({ runDir, member }, QUESTION);
      const process = await processOf(runDir, status);
      if (options.force !== true) refuseOutage(member, (await askBoth<StatusView>(runDir, QUESTION))[peerOf(member)]);
      const drained = await drain(io, { runDir, member, ...process }, options.timeout);
      io.out(render(drained, options.output, () => textOf(drained)));
    });
}

interface Target {
  readonly runDir: string;
  readonly member: Role;
  readonly pid: number;
  /** When it was started: a number is given to another process one day. */
  readonly started: string;
}

/** @throws AppError UNAVAILABLE unless the process with that number is the one that answered. */
async function processOf(runDir: string, { role, pid }: StatusView): Promise<Pick<Target, 'pid' | 'started'>> {
  const started = startOf(pid);
  const listener = await listenerOf(apiSocketPath(runDir, role)).catch(() => null);
  if (started === null || listener !== pid) {
    throw new AppError('UNAVAILABLE', `${role} says that it is process ${pid}, and that is not the one behind its socket here; run this where it runs (same container or PID namespace, same user)`);
  }
  return { pid, started };
}

function refuseOutage(member: Role, peer: Heard<StatusView>): void {
  const other = peerOf(member);
  const reason = 'reason' in peer ? peer.reason : peer.value.readiness.ready ? null : peer.value.readiness.reason;
  if (reason !== null) throw new AppError('UNAVAILABLE', `without ${member} nobody answers: ${other}: ${reason}; -f drains it all the same`);
  if ('value' in peer && !whole(peer.value).dataPlane.redundant) throw new AppError('UNAVAILABLE', `${other} could not answer for ${member} yet: wait until the pair is redundant again, or say -f`);
}

async function drain(io: Io, target: Target, timeoutMs: number): Promise<Drained> {
  const { runDir, member, pid } = target;
  const progress = new Progress(io);
  const startMs = performance.now();
  try {
    signal(target);
    progress.show(`${member} ${PHASES.no}`);
    while (isThere(target)) {
      if (performance.now() - startMs > timeoutMs) throw new AppError('UNAVAILABLE', `${member} (process ${pid}) was told to end and is still there after ${timeoutMs / 1_000} s; its log says why`);
      const phase = await ask<StatusView>({ runDir, member }, QUESTION).then((now) => whole(now).dataPlane.draining, () => null);
      progress.show(`${member} ${phase === null ? 'is ending' : PHASES[phase]}`);
      await wait(LOOK_MS);
    }
  } finally {
    progress.clear();
  }
  const milliseconds = Math.round(performance.now() - startMs);
  const peer = (await askBoth<StatusView>(runDir, QUESTION))[peerOf(member)];
  return {
    member, pid, milliseconds,
    peer: 'value' in peer ? { role: peerOf(member), adopted: whole(peer.value).dataPlane.adopted, taken: peer.value.counters.taken ?? 0 } : null,
  };
}

function signal({ member, pid }: Target): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    throw new AppError('UNAVAILABLE', `${member} (process ${pid}) cannot be signalled: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function isThere({ pid, started }: Target): boolean {
  return startOf(pid) === started;
}

/** In ticks since the boot; null: no such process, or one that ended and waits for its parent to notice. */
function startOf(pid: number): string | null {
  try {
    // The program's name, in parentheses, may hold anything.
    const [state, ...fields] = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
    return state === 'Z' || state === 'X' ? null : fields[18];
  } catch {
    return null;
  }
}

function peerOf(role: Role): Role {
  return role === 'agent' ? 'dns-proxy' : 'agent';
}

function textOf({ member, pid, milliseconds, peer }: Drained): string {
  const rest = peer === null ? 'nobody answers now' : `${peer.role} ${peer.adopted > 0 ? 'answers for both' : 'answers'}`;
  return `${member} (process ${pid}) has left in ${(milliseconds / 1_000).toFixed(1)} s; ${rest}\n`;
}

function parseTimeout(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === null || ms <= 0 || ms > TIMEOUT_MS_MAX) throw new InvalidArgumentError('a duration up to 10m is expected, such as 30s.');
  return ms;
}
