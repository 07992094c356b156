/**
 * Can the shared addresses' sockets be made here? Asked before a predecessor is told to leave: it would be gone when that turns out. What other
 * programs hold is no matter of this: nothing is bound, since a predecessor has the addresses.
 */
import { AppError, type Settings } from '@tandem/core';
import { listenError } from '../dataplane/listen-error.js';
import { closeListener, createListener } from '../dataplane/listeners.js';

/** @throws AppError UNAVAILABLE naming the address, why its sockets are not to be had, and the remedy. */
export function checkListen({ listen, mode }: Pick<Settings, 'listen' | 'mode'>): void {
  for (const address of listen) {
    try {
      closeListener(createListener(address, mode === 'transparent'));
    } catch (error) {
      const { message, code } = listenError(address, error) as NodeJS.ErrnoException;
      throw new AppError('UNAVAILABLE', message, { details: { errno: code ?? '' }, cause: error });
    }
  }
}
