/**
 * The cluster's API for tests that make many objects: JSON over connections that are kept. Knows no kinds; paths are the API's own.
 * Every call has a deadline.
 */
import { Agent, request } from 'node:https';
import type { Access } from './kubeconfig.js';

const DEADLINE_MS = 15_000;
const CONNECTIONS_MAX = 8;

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** The part of an object that all kinds have. */
export interface ApiObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly generation?: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
}

export class ApiError extends Error {
  readonly status: number;

  constructor(what: string, { status, body }: ApiAnswer) {
    super(`${what}: HTTP ${String(status)} ${JSON.stringify(body).slice(0, 500)}`);
    this.status = status;
  }
}

export class Api {
  private readonly access: Access;
  private readonly agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS_MAX });

  constructor(access: Access) {
    this.access = access;
  }

  /** The answer, whatever its status. A PATCH is a merge patch (RFC 7396). */
  async ask(method: Method, path: string, body?: object, deadlineMs = DEADLINE_MS): Promise<ApiAnswer> {
    const { server, ca, token, socketPath } = this.access;
    const text = body === undefined ? undefined : JSON.stringify(body);
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    return new Promise((resolve, reject) => {
      const sent = request(new URL(path, server), {
        method, ca, agent: this.agent, timeout: deadlineMs, ...(socketPath === undefined ? {} : { socketPath }),
        headers: { authorization: `Bearer ${token}`, accept: 'application/json', ...(text === undefined ? {} : { 'content-type': type, 'content-length': Buffer.byteLength(text) }) },
      }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          resolve({ status: answer.statusCode ?? 0, body: parsed(Buffer.concat(chunks).toString('utf8')) });
        });
      });
      sent.on('timeout', () => {
        sent.destroy(new Error(`${method} ${path}: no answer within ${String(deadlineMs)} ms`));
      });
      sent.on('error', reject);
      sent.end(text);
    });
  }

  /** The object that the answer holds. @throws ApiError for any status from 300 on. */
  async call<T = ApiObject>(method: Method, path: string, body?: object): Promise<T> {
    const answer = await this.ask(method, path, body);
    if (answer.status >= 300) throw new ApiError(`${method} ${path}`, answer);
    return answer.body as T;
  }

  /** null when there is none. */
  async find<T = ApiObject>(path: string): Promise<T | null> {
    const answer = await this.ask('GET', path);
    if (answer.status === 404) return null;
    if (answer.status >= 300) throw new ApiError(`GET ${path}`, answer);
    return answer.body as T;
  }

  /** It goes at once; false if there was none, or one of another UID than the one that is meant. */
  async remove(path: string, uid?: string): Promise<boolean> {
    const answer = await this.ask('DELETE', path, { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0, ...(uid === undefined ? {} : { preconditions: { uid } }) });
    if (answer.status === 409 && uid !== undefined) return false;
    if (answer.status >= 300 && answer.status !== 404) throw new ApiError(`DELETE ${path}`, answer);
    return answer.status !== 404;
  }

  close(): void {
    this.agent.destroy();
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text; // /readyz and the like answer with text
  }
}
