/**
 * The routing of redirected DNS: rules that lead marked packets of DNS ports to this node itself, and the table that they name.
 *
 * Invariant: only rules of our priority and routes of our table are written.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { AppError, type Log } from '@tandem/core';
import type { LinkWatch } from '../links/index.js';
import type { Marks } from '../names.js';

const run = promisify(execFile);
const PRIORITY = 90;
const PROTOCOLS = ['udp', 'tcp'] as const;
const TIMEOUT_MS = 5000;

export interface RedirectOptions {
  readonly log: Log;
  readonly watch: LinkWatch;
  readonly marks: Marks;
  readonly table: number;
  readonly isTransparentUpstream: boolean;
}

export interface RedirectWants {
  readonly ports: readonly { readonly first: number; readonly last: number }[];
  readonly isBridged: boolean;
}

export class Redirect {
  private readonly options: RedirectOptions;
  private done = '';

  static prepare(options: RedirectOptions): Promise<Redirect> {
    return Promise.resolve(new Redirect(options));
  }

  private constructor(options: RedirectOptions) {
    this.options = options;
  }

  async want({ ports }: RedirectWants): Promise<void> {
    const text = JSON.stringify(ports);
    if (text === this.done) return;
    const { marks: { redirect }, table, isTransparentUpstream } = this.options;
    const mark = `0x${redirect.toString(16)}/0x${redirect.toString(16)}`;
    const sides = isTransparentUpstream ? ['dport', 'sport'] : ['dport'];
    for (const family of ['-4', '-6']) {
      while (await ip(family, 'rule', 'del', 'pref', `${PRIORITY}`)) { /* Until none is left. */ }
      for (const { first, last } of ports) {
        for (const protocol of PROTOCOLS) {
          for (const side of sides) {
            await must(family, 'rule', 'add', 'pref', `${PRIORITY}`, 'fwmark', mark, 'ipproto', protocol, side, `${first}-${last}`, 'lookup', `${table}`);
          }
        }
      }
      await must(family, 'route', 'replace', 'local', 'default', 'dev', 'lo', 'table', `${table}`);
    }
    this.done = text;
  }

  divert(): { readonly outer: number; readonly outerMac: string; readonly inner: number } | null {
    return null;
  }

  problems(): readonly string[] {
    return [];
  }

  close(): void {
    this.done = '';
  }
}

async function ip(...args: string[]): Promise<boolean> {
  try {
    await run('ip', args, { timeout: TIMEOUT_MS });
    return true;
  } catch {
    return false;
  }
}

async function must(...args: string[]): Promise<void> {
  if (!(await ip(...args))) throw new AppError('UNAVAILABLE', `ip ${args.join(' ')} failed`);
}
