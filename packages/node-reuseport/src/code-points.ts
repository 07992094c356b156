/**
 * For tests: kills, stops or interrupts this very thread at a named place in the native code, where no instruction of
 * JavaScript could. Nothing is armed unless one of these functions is called.
 */
import { constants } from 'node:os';
import { binding } from './binding.js';
import { argumentError, check, checkInteger } from './errors.js';

/** In the order of the native list. */
export const codePoints = [
  'before-receive',
  'after-receive',
  'mid-batch',
  'after-take',
  'before-send',
  'after-send',
  'steal-before-swap',
  'steal-after-swap',
  'steal-after-poison',
] as const;

/**
 * before-receive, after-receive: around recvmmsg. mid-batch: half of a batch noted as WORK. after-take: the whole batch
 * noted. before-send: slots in SEND, sendmmsg not called. after-send: called, nothing noted. steal-*: inside `take`,
 * around its compare-and-swap and after the poison.
 */
export type CodePoint = (typeof codePoints)[number];

function indexOf(name: CodePoint, countdown: number): number {
  const index = codePoints.indexOf(name);
  if (index < 0) throw argumentError('name', name, `one of ${codePoints.join(', ')}`);
  checkInteger('countdown', countdown, 1, 0x7fffffff);
  return index;
}

/** The `countdown`th time this thread gets there it sends the signal to itself; once. */
export function armKillPoint(name: CodePoint, countdown: number, signal: 'SIGKILL' | 'SIGSTOP' = 'SIGKILL'): void {
  check(binding.armPoint(indexOf(name, countdown), countdown, constants.signals[signal]), 'armKillPoint', name);
}

/** The `countdown`th time this thread gets there it calls the function, which may use other reactors but not this one. */
export function onCodePoint(name: CodePoint, countdown: number, action: () => void): void {
  check(binding.armPoint(indexOf(name, countdown), countdown, action), 'onCodePoint', name);
}

export function disarmCodePoints(): void {
  binding.disarmPoints();
}

/** A fatal signal to this very thread, as a fault in native code gives it. */
export function signalThread(signal: 'SIGSEGV' | 'SIGABRT'): void {
  check(binding.signalThread(constants.signals[signal]), 'tgkill', signal);
}
