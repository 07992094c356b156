/** Seeds that once failed, and why: run with every `npm test`, so that what they found stays found. */
export interface Regression {
  readonly seed: number;
  readonly reason: string;
}

export const REGRESSIONS: readonly Regression[] = [
  { seed: 3, reason: 'an answer left while another was still having its address opened (core, learn.ts)' },
  { seed: 10, reason: 'the same, with another pod and name' },
  { seed: 106, reason: 'a slot stolen from twice hid the first theft, and its query was nobody\'s when the thief died (reactor-take.cc)' },
  { seed: 524, reason: 'a small answer lay in a buffer that was given out again: a client got another client\'s answer (wire.ts)' },
  { seed: 20014, reason: 'a successor that started before its predecessor\'s end was seen: the simulation let what no kernel does happen' },
];
