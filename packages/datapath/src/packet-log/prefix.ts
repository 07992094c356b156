/**
 * The text that a rule's `log` statement writes before a packet: which way, what became of it, and by which rule. Written by the program,
 * read by the packet log; here is both, so that they mean the same.
 *
 * Shape: `td DIRECTION VERDICT KEY RULE`, with one letter each for the first two, the first LOGGED_KEY_LENGTH hex digits of the rule
 * set's key or `-`, and the rule's index in it or `-`. A text that is not of this shape is another's.
 */
import { assert, LOGGED_KEY_LENGTH, type LoggedPacket, type PacketDirection, type PacketVerdict } from '@tandem/core';

/** What a prefix says. */
export type Logged = Pick<LoggedPacket, 'direction' | 'verdict' | 'ruleSet' | 'rule'>;

const DIRECTION_LETTERS: Readonly<Record<PacketDirection, string>> = { egress: 'e', ingress: 'i' };
const VERDICT_LETTERS: Readonly<Record<PacketVerdict, string>> = { allowed: 'a', denied: 'd', stranger: 's', audited: 'u', 'audited-stranger': 't' };
const DIRECTIONS = byLetter(DIRECTION_LETTERS);
const VERDICTS = byLetter(VERDICT_LETTERS);
const KEY = new RegExp(`^[0-9a-f]{${LOGGED_KEY_LENGTH}}$`);
const SHAPE = new RegExp(`^td ([ei]) ([adsut]) ([0-9a-f]{${LOGGED_KEY_LENGTH}}|-) ([0-9]{1,6}|-)$`);

/** For `log prefix`. `ruleSet`: a whole key will do. */
export function logPrefix({ direction, verdict, ruleSet, rule }: Logged): string {
  const key = ruleSet === null ? '-' : ruleSet.slice(0, LOGGED_KEY_LENGTH);
  assert(ruleSet === null || KEY.test(key), 'a rule set has a key of hex digits');
  const text = `td ${DIRECTION_LETTERS[direction]} ${VERDICT_LETTERS[verdict]} ${key} ${rule ?? '-'}`;
  assert(SHAPE.test(text), 'what is written can be read');
  return text;
}

/** Null for another's text. */
export function parsePrefix(text: string): Logged | null {
  const parts = SHAPE.exec(text);
  if (parts === null) return null;
  const [, direction, verdict, key, rule] = parts;
  return {
    direction: DIRECTIONS.get(direction)!,
    verdict: VERDICTS.get(verdict)!,
    ruleSet: key === '-' ? null : key,
    rule: rule === '-' ? null : Number(rule),
  };
}

function byLetter<T extends string>(letters: Readonly<Record<T, string>>): ReadonlyMap<string, T> {
  return new Map((Object.keys(letters) as T[]).map((word) => [letters[word], word]));
}
