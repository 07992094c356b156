/** The scheduling of the calling thread, which for a worker is its own, not the process's. */
import { binding } from './binding.js';

const SLICE_MIN_NS = 100_000;
const SLICE_MAX_NS = 100_000_000;

/**
 * Asks for a scheduler slice of so many nanoseconds (0.1 to 100 ms; the kernel's own is some milliseconds): the shorter, the sooner the
 * thread runs after it was woken, and the sooner it gives way. Kernels before 6.12 take no notice. Returns 0, or −errno: −1 (EPERM) where
 * a seccomp filter forbids the call. @throws RangeError
 * Source: sched(7), sched_setattr(2); Linux kernel/sched/syscalls.c.
 */
export function setThreadSlice(nanoseconds: number): number {
  if (!Number.isInteger(nanoseconds) || nanoseconds < SLICE_MIN_NS || nanoseconds > SLICE_MAX_NS) {
    throw new RangeError(`slice ${String(nanoseconds)}: must be ${String(SLICE_MIN_NS)} to ${String(SLICE_MAX_NS)} ns`);
  }
  return binding.setThreadSlice(nanoseconds);
}

/** Nanoseconds; 0 before Linux 6.12, which does not tell; or −errno. */
export function threadSlice(): number {
  return binding.threadSlice();
}
