/** A lock among processes that nobody has to clean up: it ends with its holder, however that one ends. */
import { binding } from './binding.js';

/**
 * Opens `path` (made with mode 0600 if absent, never through a symbolic link) and locks it without waiting. Returns the descriptor,
 * close-on-exec, which is the lock: `closeFd`, or the process's end, releases it. Else −errno: −11 (EWOULDBLOCK) another
 * holder has it, this process included; −13 (EACCES), −2 (ENOENT, the folder is absent), −40 (ELOOP, a link) …
 * The file stays when the lock is gone; removing it would let two hold "it".
 */
export function lockFile(path: string): number {
  return binding.lockFile(path);
}
