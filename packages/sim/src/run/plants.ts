/** Defects that can be planted, each in a model or a seam of the simulation, to prove that the checkers see it. */

export const PLANTS = {
  'lost-slot': 'takeover leaves slots in SEND alone',
  'double-answer': 'what is taken from SEND is not made unsendable for its owner',
  'no-full-sync': 'a member that may have missed changes is not compared by digests when the link comes up',
  'allow-without-snapshot': 'a member without policy lets everything pass',
  'forgotten-clean': 'forced cleans are not sent to the peer',
  'short-clean': 'a forced clean spares what was looked up last',
  'forgotten-mapping': 'what a dead member learned last is not passed on',
  'both-leave': 'of two members that are told to end at once none waits for the other',
  'early-answer': 'an address counts as open as soon as it is learned',
} as const;
export type PlantName = keyof typeof PLANTS;

export interface Plant {
  readonly skipsSend: boolean;
  readonly noPoison: boolean;
  readonly skipsFullSync: boolean;
  readonly allowsWithoutSnapshot: boolean;
  readonly forgetsCleans: boolean;
  readonly sparesLatest: boolean;
  readonly forgetsMappings: boolean;
  readonly leavesTogether: boolean;
  readonly opensNothing: boolean;
}

export function plantOf(name: PlantName | null): Plant {
  return {
    skipsSend: name === 'lost-slot',
    noPoison: name === 'double-answer',
    skipsFullSync: name === 'no-full-sync',
    allowsWithoutSnapshot: name === 'allow-without-snapshot',
    forgetsCleans: name === 'forgotten-clean',
    sparesLatest: name === 'short-clean',
    forgetsMappings: name === 'forgotten-mapping',
    leavesTogether: name === 'both-leave',
    opensNothing: name === 'early-answer',
  };
}
