/** Loaded into the data plane's thread: opens what it learns. */
import type { Settings } from '@tandem/core';
import { KernelOpener } from './opener/kernel-opener.js';

export function createOpener(settings: Settings): KernelOpener {
  return new KernelOpener(settings);
}
