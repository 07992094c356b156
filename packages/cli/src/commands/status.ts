/** `tandem status`: both members on one screen, also while one is dead; with `--member` that one alone, in detail. */
import { setTimeout as wait } from 'node:timers/promises';
import { InvalidArgumentError, type Command } from 'commander';
import { AppError } from '@tandem/core';
import type { StatusView } from '@tandem/host';
import { ask, askBoth, type Target } from '../client.js';
import { type Colours, coloursFor } from '../colours.js';
import { memberCommand, memberMeans, targetOf, type CommonOptions } from '../common-options.js';
import type { Io } from '../io.js';
import { render } from '../output.js';
import { memberText } from '../status/member-text.js';
import { pairStatusOf, whole } from '../status/pair-status.js';
import { pairText } from '../status/pair-text.js';

interface Options extends CommonOptions {
  /** Seconds, or true for the default. */
  readonly watch?: number | true;
}

const QUESTION = { method: 'GET', path: '/api/v1/status' } as const;
const WATCH_SECONDS = 1;
const WATCH_SECONDS_MIN = 0.1;
const WATCH_SECONDS_MAX = 3_600;
const MS_PER_SECOND = 1_000;
/** To the upper left corner; to the end of the line; to the end of the screen. Nothing is cleared before it is drawn anew, so it does not flicker. */
const HOME = '\x1b[H';
const ERASE_LINE = '\x1b[K';
const ERASE_BELOW = '\x1b[J';

export function statusCommand(io: Io): Command {
  return memberMeans(memberCommand('status', 'Show both members: who answers, whether each could for the other, and what is wrong.', [
    'tandem status', 'tandem status --watch 2', 'tandem status -o json', 'tandem status --member dns-proxy -o json',
  ]), 'that one alone, in detail (default: both)')
    .option('-w, --watch [SECONDS]', `show it again every so often (default: ${WATCH_SECONDS}) until Ctrl-C`, parseSeconds)
    .action(async (options: Options) => {
      const target = targetOf(options, io.env);
      const colours = coloursFor(io);
      if (options.watch === undefined) io.out(await screenOf(target, options, colours));
      else await watch(io, options.watch === true ? WATCH_SECONDS : options.watch, () => screenOf(target, options, colours));
    });
}

async function screenOf(target: Target, { output, member }: Options, colours: Colours): Promise<string> {
  if (member !== undefined) {
    const status = await ask<StatusView>(target, QUESTION);
    return render(status, output, () => memberText(whole(status)));
  }
  const pair = pairStatusOf(await askBoth<StatusView>(target.runDir, QUESTION), target.runDir);
  return render(pair, output, () => pairText(pair, colours));
}

/** Ends with Ctrl-C. That nobody answers is shown like anything else: the pair may come back. */
async function watch(io: Io, everySeconds: number, screenOf: () => Promise<string>): Promise<void> {
  await io.untilInterrupted(async (signal) => {
    while (!signal.aborted) {
      const text = await screenOf().catch((error: unknown) => {
        if (error instanceof AppError && error.code === 'UNAVAILABLE') return `${error.message}\n`;
        throw error;
      });
      io.out(io.screen === null ? text : `${HOME}${text.replaceAll('\n', `${ERASE_LINE}\n`)}${ERASE_BELOW}`);
      await io.drained();
      await wait(everySeconds * MS_PER_SECOND, undefined, { signal }).catch(() => undefined);
    }
  });
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (text.trim() === '' || !(seconds >= WATCH_SECONDS_MIN && seconds <= WATCH_SECONDS_MAX)) {
    throw new InvalidArgumentError(`seconds are expected, ${WATCH_SECONDS_MIN} to ${WATCH_SECONDS_MAX}.`);
  }
  return seconds;
}
