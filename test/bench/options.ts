/** The command line of `npm run bench`: what it may say, and a clear word where it says something else. */
import { parseArgs } from 'node:util';
import { allCases, MEMBERS, SHORT_CASES } from './cases.js';
import type { Case, Member } from './cases.js';

export interface Plan {
  readonly member: Member;
  readonly rounds: number;
  /** Of each measurement. */
  readonly seconds: number;
  readonly cases: readonly Case[];
}

export class UsageError extends Error {}

const ROUNDS = 7;
const ROUNDS_SHORT = 3;
const ROUNDS_MAX = 100;
const SECONDS = 2;
const SECONDS_SHORT = 1;
const SECONDS_MAX = 600;

/** @throws UsageError naming the flag, the value and what may stand there. */
export function planOf(args: readonly string[]): Plan {
  const values = parse(args);
  const member = MEMBERS.find((one) => one === (values.member ?? 'pair'));
  if (member === undefined) throw new UsageError(`--member ${values.member!}: must be one of ${MEMBERS.join(', ')}`);
  const isShort = values.short === true;
  const cases = allCases(member);
  const ids = values.only?.flatMap((list) => list.split(',')) ?? (isShort ? SHORT_CASES : cases.map(({ id }) => id));
  const unknown = ids.filter((id) => !cases.some((one) => one.id === id));
  if (unknown.length > 0) throw new UsageError(`--only ${unknown.join(',')}: must be of ${cases.map(({ id }) => id).join(', ')}`);
  return {
    member,
    rounds: numberOf('rounds', values.rounds, isShort ? ROUNDS_SHORT : ROUNDS, ROUNDS_MAX),
    seconds: numberOf('seconds', values.seconds, isShort ? SECONDS_SHORT : SECONDS, SECONDS_MAX),
    cases: cases.filter(({ id }) => ids.includes(id)),
  };
}

interface Values {
  readonly member?: string;
  readonly rounds?: string;
  readonly seconds?: string;
  readonly only?: string[];
  readonly short?: boolean;
}

function parse(args: readonly string[]): Values {
  try {
    return parseArgs({
      args: [...args],
      options: { member: { type: 'string' }, rounds: { type: 'string' }, seconds: { type: 'string' }, only: { type: 'string', multiple: true }, short: { type: 'boolean' } },
    }).values;
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    throw new UsageError(`${what}\nflags: --only CASE[,CASE…] --rounds N --seconds N --member ${MEMBERS.join('|')} --short`, { cause: error });
  }
}

function numberOf(flag: string, text: string | undefined, byDefault: number, most: number): number {
  if (text === undefined) return byDefault;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > most) throw new UsageError(`--${flag} ${text}: must be a whole number from 1 to ${String(most)}`);
  return value;
}
