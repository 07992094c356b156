/**
 * The CLI's side of a member's API: HTTP over the Unix sockets in the run-dir. Without `--member` it asks whichever member
 * answers, agent first. Every request has a deadline and every answer a size bound.
 */
import { AppError, type Role } from '@tandem/core';
import { apiSocketPath, requestUnix, type UnixReply as Reply } from '@tandem/host';

export interface Target {
  readonly runDir: string;
  /** null: whichever answers. */
  readonly member: Role | null;
}

export interface Ask {
  readonly method: 'GET' | 'DELETE' | 'POST';
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Where it is not `TIMEOUT_MS`. */
  readonly timeoutMs?: number;
}

export const ROLES: readonly Role[] = ['agent', 'dns-proxy'];
const TIMEOUT_MS = 5_000;
const QUICK_TIMEOUT_MS = 2_000;
const ANSWER_BYTES_MAX = 256 * 1024 * 1024;
/** Of an answer that is a complaint. */
const TEXT_SHOWN = 200;

/** The answer's JSON. @throws AppError UNAVAILABLE if no member answers, else what the member refused with. */
export async function ask<T>(target: Target, what: Ask): Promise<T> {
  const failures: string[] = [];
  for (const role of target.member === null ? ROLES : [target.member]) {
    const reply = await exchange(apiSocketPath(target.runDir, role), what).catch((error: unknown) => {
      failures.push(`${role}: ${explain(error, what.timeoutMs)}`);
      return null;
    });
    if (reply !== null) return resultOf<T>(reply, role);
  }
  throw nobodyAnswers(target.runDir, failures);
}

/** What one member says, or why it says nothing. */
export type Heard<T> = { readonly value: T } | { readonly reason: string };

/** Asks both members at once what takes no time to tell; never rejects. One that hangs must not hold back what the other says for long. */
export async function askBoth<T>(runDir: string, what: Ask): Promise<Readonly<Record<Role, Heard<T>>>> {
  const hear = (role: Role): Promise<Heard<T>> => exchange(apiSocketPath(runDir, role), what, { timeoutMs: QUICK_TIMEOUT_MS }).then(
    (reply) => ({ value: resultOf<T>(reply, role) }),
  ).catch((error: unknown) => ({ reason: error instanceof AppError ? error.message : explain(error, QUICK_TIMEOUT_MS) }));
  const [agent, dnsProxy] = await Promise.all([hear('agent'), hear('dns-proxy')]);
  return { agent, 'dns-proxy': dnsProxy };
}

/** The answer as it is, whatever it says. @throws AppError UNAVAILABLE without one. */
export async function askText(runDir: string, role: Role, path: string, bytesMax: number): Promise<string> {
  const { status, text } = await exchange(apiSocketPath(runDir, role), { method: 'GET', path }, { answerBytesMax: bytesMax }).catch((error: unknown) => {
    throw new AppError('UNAVAILABLE', `${role}: ${explain(error)}`, { cause: error });
  });
  if (status >= 400) throw new AppError('UNAVAILABLE', `${role}: status ${status}: ${text.slice(0, TEXT_SHOWN)}`);
  return text;
}

/** What is said when neither answers. */
export function nobodyAnswers(runDir: string, failures: readonly string[]): AppError {
  return new AppError('UNAVAILABLE', `no member answers in ${runDir} (${failures.join('; ')}); start the pair with 'tandem up', or name its folder with --run-dir`);
}

/** Whether this member is ready; null where it does not answer. */
export async function isReady(runDir: string, role: Role): Promise<boolean | null> {
  return exchange(apiSocketPath(runDir, role), { method: 'GET', path: '/readyz' }).then((reply) => reply.status === 200, () => null);
}

function resultOf<T>(reply: Reply, role: Role): T {
  let value: unknown;
  try {
    value = JSON.parse(reply.text);
  } catch {
    throw new AppError('LINK', `${role} answered with something that is not JSON (status ${reply.status})`);
  }
  if (reply.status < 400) return value as T;
  const { code, message } = (value as { error?: { code?: string; message?: string } }).error ?? {};
  throw new AppError(code === 'USAGE' || code === 'NOT_FOUND' || code === 'CONFIGURATION' ? code : 'UNAVAILABLE', `${role}: ${message ?? `status ${reply.status}`}`);
}

interface Bounds {
  readonly timeoutMs?: number;
  readonly answerBytesMax?: number;
}

function exchange(socketPath: string, what: Ask, bounds: Bounds = {}): Promise<Reply> {
  return requestUnix({ socketPath, timeoutMs: TIMEOUT_MS, ...what, answerBytesMax: ANSWER_BYTES_MAX, ...bounds });
}

function explain(error: unknown, timeoutMs = TIMEOUT_MS): string {
  const { code, name, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOENT':
      return 'not running';
    case 'ECONNREFUSED':
      return 'its process is gone';
    case 'EACCES':
      return 'its socket belongs to another user';
    default:
      return name === 'AbortError' || name === 'TimeoutError' ? `no answer in ${timeoutMs / 1_000} s` : message;
  }
}
