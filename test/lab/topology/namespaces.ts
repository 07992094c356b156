/**
 * Network namespaces by `ip netns`: made, entered and removed with every process in them. All are called `lab-NAME-WHO`, so what is the lab's is told
 * from what is not by its name alone. The host's own namespace is only ever started from.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { run } from '../../harness/child.js';
import { until } from '../../harness/until.js';

const SCRIPT_DEADLINE_MS = 30_000;
const KILL_DEADLINE_MS = 30_000;
/** Where `ip netns` keeps names, and what it lays over /etc in `ip netns exec`. */
const NAMES_DIR = '/run/netns';
const ETC_DIR = '/etc/netns';
/** A lab's name has no dash, so that no lab's prefix is the beginning of another's. */
export const LAB_NAME = /^[a-z][a-z0-9]{0,15}$/;

export function namespaceOf(lab: string, who: string): string {
  return `lab-${lab}-${who}`;
}

/** Runs `sh -e` with the script there, and gives what it printed. @throws Error with the script's output if it fails. */
export async function shell(namespace: string, script: string): Promise<string> {
  const { code, output, standardOutput } = await run('ip', ['netns', 'exec', namespace, 'sh', '-e', '-c', script], SCRIPT_DEADLINE_MS);
  if (code !== 0) throw new Error(`${namespace}: exit code ${String(code)}\n${output}\n--- of\n${script.slice(0, 2_000)}`);
  return standardOutput;
}

async function must(command: string, args: readonly string[]): Promise<string> {
  const { code, output, standardOutput } = await run(command, args, SCRIPT_DEADLINE_MS);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: ${output.trim()}`);
  return standardOutput;
}

/** `resolver`: what programs in it find as /etc/resolv.conf. */
export async function addNamespace(namespace: string, resolver?: string): Promise<void> {
  if (resolver !== undefined) {
    mkdirSync(`${ETC_DIR}/${namespace}`, { recursive: true });
    writeFileSync(`${ETC_DIR}/${namespace}/resolv.conf`, resolver);
  }
  await must('ip', ['netns', 'add', namespace]);
  // Before links: they take these as their own, and addresses then are usable at once.
  await shell(namespace, 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad; echo 0 > /proc/sys/net/ipv6/conf/default/accept_ra; ip link set lo up');
}

export function namespacesOf(lab: string): string[] {
  const found = new Set<string>();
  for (const folder of [NAMES_DIR, ETC_DIR]) {
    try {
      for (const entry of readdirSync(folder)) if (entry.startsWith(namespaceOf(lab, ''))) found.add(entry);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }
  return [...found].sort();
}

async function processesIn(namespace: string): Promise<number[]> {
  // One that is only a name (its mount is gone) has no processes.
  const { code, standardOutput } = await run('ip', ['netns', 'pids', namespace], SCRIPT_DEADLINE_MS);
  return code === 0 ? standardOutput.split('\n').filter((line) => line !== '').map(Number) : [];
}

/** Ends every process in it, then removes it. */
export async function removeNamespace(namespace: string): Promise<void> {
  await until(`the processes in ${namespace} to end`, KILL_DEADLINE_MS, async () => {
    const pids = await processesIn(namespace);
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
      }
    }
    return pids.length === 0 ? true : null;
  });
  // Its name may be all that is left of one whose maker was killed.
  const { code } = await run('ip', ['netns', 'delete', namespace], SCRIPT_DEADLINE_MS);
  if (code !== 0) rmSync(`${NAMES_DIR}/${namespace}`, { force: true });
  rmSync(`${ETC_DIR}/${namespace}`, { recursive: true, force: true });
}
