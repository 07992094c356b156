/** The C++ programs of chaos/native, built when needed; see each source for what it does. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { compiled } from '#harness/native.js';
import { repositoryRoot } from '#harness/repository.js';

export type NativeTool = 'udp-load' | 'tcp-load' | 'upstream' | 'signal-thread' | 'hog';

/** Path of the program. @throws Error saying what to install, or what the compiler said. */
export function nativeTool(name: NativeTool): string {
  return compiled(join(repositoryRoot, `chaos/native/${name}.cc`), join(repositoryRoot, `chaos/dist/native/${name}`));
}

/** Builds all, so that no drill spends its steady state on it. */
export function buildTools(): void {
  for (const name of ['udp-load', 'tcp-load', 'upstream', 'signal-thread', 'hog'] as const) nativeTool(name);
}

export function runTool(name: NativeTool, args: readonly string[]): void {
  execFileSync(nativeTool(name), args, { stdio: 'pipe' });
}
