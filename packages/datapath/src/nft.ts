/**
 * Runs nft as a child: text in, one transaction. Never on the way of a query.
 *
 * Invariant: a run ends within its time, whatever nft does, and what it says is held up to a bound.
 */
import { spawn } from 'node:child_process';
import { AppError } from '@tandem/core';

export interface NftOptions {
  /** Default: `nft` from PATH or where distributions put it. */
  readonly binary?: string;
  /** The child is killed then. */
  readonly timeoutMs?: number;
}

export const NFT_TIMEOUT_MS = 10_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
const COMPLAINT_CHARACTERS_MAX = 4096;
const TEXT_LINE_CHARACTERS_MAX = 200;
/** Users other than root often lack these. */
const SYSTEM_PATHS = '/usr/sbin:/sbin';

/**
 * Applies a text, all of it or nothing. '' does nothing.
 * @throws AppError UNAVAILABLE: nft is missing, may not, takes too long, or refuses the text (`details`: line and text).
 */
export async function applyNft(text: string, options: NftOptions = {}): Promise<void> {
  if (text !== '') await runNft(['-f', '-'], text, options);
}

/** What a list command of nft says, such as `['-j', 'list', 'table', 'inet', 'tandem']`. @throws as `applyNft`; NOT_FOUND where there is no such thing. */
export function readNft(args: readonly string[], options: NftOptions = {}): Promise<string> {
  return runNft(args, '', options);
}

function runNft(args: readonly string[], input: string, { binary = 'nft', timeoutMs = NFT_TIMEOUT_MS }: NftOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, args, { stdio: 'pipe', env: { ...process.env, PATH: `${process.env.PATH ?? ''}:${SYSTEM_PATHS}`, LC_ALL: 'C' } });
    const output: Buffer[] = [];
    let outputBytes = 0;
    let complaint = '';
    let cutOff: AppError | null = null;
    const stop = (why: string): void => {
      cutOff ??= new AppError('UNAVAILABLE', why);
      child.kill('SIGKILL');
    };
    const timer = setTimeout(() => void stop(`nft did not end within ${timeoutMs} ms`), timeoutMs);
    child.on('error', (cause) => {
      clearTimeout(timer);
      reject(startError(cause, binary));
    });
    // Without descriptors for its pipes it has none, whatever the types say; why not comes as its error.
    if (!(child as Partial<typeof child>).stdout) return;
    child.stdout.on('data', (bytes: Buffer) => {
      outputBytes += bytes.length;
      if (outputBytes > OUTPUT_BYTES_MAX) stop(`nft says more than ${OUTPUT_BYTES_MAX} bytes`);
      else output.push(bytes);
    });
    child.stderr.on('data', (bytes: Buffer) => {
      if (complaint.length < COMPLAINT_CHARACTERS_MAX) complaint += bytes.toString('utf8', 0, COMPLAINT_CHARACTERS_MAX);
    });
    // It may end before it has read all; what it says then tells why.
    child.stdin.on('error', () => undefined);
    child.on('close', (status) => {
      clearTimeout(timer);
      if (cutOff !== null) reject(cutOff);
      else if (status === 0) resolve(Buffer.concat(output).toString());
      else reject(nftError(complaint, input));
    });
    child.stdin.end(input);
  });
}

function startError(cause: Error, binary: string): AppError {
  const why = 'code' in cause && cause.code === 'ENOENT' ? `there is no program ${binary}: install the package nftables` : `${binary} can't be started: ${cause.message}`;
  return new AppError('UNAVAILABLE', why, { cause });
}

/** nft's complaint with the line that it means: the text came by a pipe, so nobody could look it up. */
export function nftError(complaint: string, input: string): AppError {
  const first = complaint.split('\n').find((line) => line.includes('Error')) ?? complaint.trim();
  if (complaint.includes('Operation not permitted')) {
    return new AppError('UNAVAILABLE', 'nft may not change the tables of this network namespace: run as root, or give the capability CAP_NET_ADMIN');
  }
  if (/Operation not supported|Protocol not supported/.test(complaint)) {
    return new AppError('UNAVAILABLE', `the kernel lacks something of nftables: ${first}. Load its modules (nf_tables, nft_tproxy, nft_fib_inet, nft_ct, nft_log), or use a kernel that has them`);
  }
  const line = Number(/^[^:]*:(\d+):/.exec(first)?.[1] ?? Number.NaN);
  const message = first.replace(/^[^:]*:[\d-]+:[\d-]+: /, '');
  if (Number.isNaN(line) || input === '') {
    const isMissing = complaint.includes('No such file or directory');
    return new AppError(isMissing ? 'NOT_FOUND' : 'UNAVAILABLE', `nft: ${message === '' ? 'ended without a word' : message}`);
  }
  const text = input.split('\n')[line - 1] ?? '';
  const shown = text.length > TEXT_LINE_CHARACTERS_MAX ? `${text.slice(0, TEXT_LINE_CHARACTERS_MAX)}…` : text;
  return new AppError('UNAVAILABLE', `nft refuses line ${line}, "${shown.trim()}": ${message}`, { details: { line, text: shown } });
}
