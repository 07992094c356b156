/** Everything that `tandem bugtool` collects, step by step. Each stands for itself: a pair of which one half hangs is what it is for. */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, type Role } from '@tandem/core';
import { apiSocketPath, type StatusView } from '@tandem/host';
import { GetFlowsRequest } from '@tandem/proto';
import { askText, ROLES } from '../client.js';
import { flowJsonLine } from '../observe/flow-json.js';
import { memberServer } from '../observe/flow-server.js';
import { flowsOf } from '../observe/flow-stream.js';
import { version } from '../version.js';
import { STEP_BYTES_MAX, type Step } from './archive.js';
import { listenerOf } from './find-process.js';
import { kernelSteps, processSteps } from './process-files.js';

export interface Found {
  readonly role: Role;
  /** Null: it does not answer. */
  readonly status: StatusView | null;
  /** Why not. */
  readonly reason: string;
  /** Of the process behind its socket; null: it is not to be found from here. */
  readonly pid: number | null;
}

const API: readonly (readonly [file: string, path: string])[] = [
  ['settings.json', '/api/v1/settings'], ['readiness.txt', '/readyz'], ['endpoints.json', '/api/v1/endpoints'], ['policies.json', '/api/v1/policies'],
  ['cache.json', '/api/v1/fqdn/cache'], ['metrics.txt', '/metrics'],
];
const STATUS = '/api/v1/status';
const FILES_MAX = 2_000;
const FLOWS_MS_MAX = 8_000;

export async function find(runDir: string, role: Role): Promise<Found> {
  const socket = apiSocketPath(runDir, role);
  let reason = '';
  const status = await askText(runDir, role, STATUS, STEP_BYTES_MAX).then((text) => JSON.parse(text) as StatusView).catch((error: unknown) => {
    reason = error instanceof Error ? error.message : String(error);
    return null;
  });
  const pid = await listenerOf(socket).catch(() => null);
  // Not the one that it says: in another PID namespace that is the number of somebody else.
  return { role, status, reason, pid };
}

export function stepsFor(runDir: string, found: readonly Found[], flows: bigint): readonly Step[] {
  return [
    { path: 'versions.json', collect: () => JSON.stringify(versions(found)) },
    ...found.flatMap((one) => memberSteps(runDir, one)),
    ...found.flatMap(({ role, pid }) => (pid === null ? [] : processSteps(role, pid))),
    { path: 'flows.jsonl', collect: () => lastFlows(runDir, flows) },
    { path: 'files.txt', collect: () => fileLists([runDir, ...found.flatMap(({ status }) => (status === null ? [] : [status.state.dir]))]) },
    ...kernelSteps(),
  ];
}

/** One that has not answered is not asked again: each question would take its whole deadline. */
function memberSteps(runDir: string, { role, status, reason }: Found): Step[] {
  if (status === null) return [{ path: `${role}/status.json`, collect: () => Promise.reject(new AppError('UNAVAILABLE', reason)) }];
  return [['status.json', STATUS] as const, ...API].map(([file, path]) => ({ path: `${role}/${file}`, collect: () => askText(runDir, role, path, STEP_BYTES_MAX) }));
}

function versions(found: readonly Found[]): Readonly<Record<string, unknown>> {
  return { cli: version, node: process.versions, platform: process.platform, arch: process.arch, ...Object.fromEntries(found.map(({ role, status }) => [role, status?.version ?? null])) };
}

async function lastFlows(runDir: string, number: bigint): Promise<string> {
  const lines: string[] = [];
  let bytes = 0;
  const signal = AbortSignal.timeout(FLOWS_MS_MAX);
  const request = GetFlowsRequest.fromPartial({ number });
  for await (const response of flowsOf({ servers: ROLES.map((role) => memberServer(runDir, role)), request, resumes: true, signal, onNotice: () => undefined })) {
    const line = flowJsonLine(response);
    bytes += line.length;
    if (bytes > STEP_BYTES_MAX) break;
    lines.push(line);
  }
  if (signal.aborted) throw new AppError('LIMIT', `gave up after ${FLOWS_MS_MAX / 1_000} s`);
  return lines.join('');
}

/** Names, sizes, owners and times; never what is in them. */
async function fileLists(dirs: readonly string[]): Promise<string> {
  const lists = await Promise.all([...new Set(dirs)].map(async (dir) => {
    const names = await readdir(dir, { recursive: true }).catch((error: unknown) => [`(${(error as Error).message})`]);
    const lines = await Promise.all(names.slice(0, FILES_MAX).sort().map(async (name) => {
      const stat = await lstat(join(dir, name)).catch(() => null);
      return stat === null ? `${name}\n` : `${stat.mode.toString(8).padStart(6, '0')} ${stat.uid}:${stat.gid} ${String(stat.size).padStart(12)} ${stat.mtime.toISOString()} ${name}\n`;
    }));
    return `${dir}:\n${lines.join('')}${names.length > FILES_MAX ? `and ${names.length - FILES_MAX} more\n` : ''}`;
  }));
  return lists.join('\n');
}
