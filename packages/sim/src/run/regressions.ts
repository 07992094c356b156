/** Seeds that once failed, and why: run with every `npm test`, so that what they found stays found. */
export interface Regression {
  readonly seed: number;
  readonly reason: string;
}

export const REGRESSIONS: readonly Regression[] = [
  { seed: 3, reason: 'an answer left while another was still having its address opened (core, learn.ts)' },
  { seed: 6, reason: 'the same, where the two came from different upstream answers of a slow datapath' },
  { seed: 34, reason: 'a small answer lay in a buffer that was given out again: a client got another client\'s answer (wire.ts)' },
  { seed: 57, reason: 'an agent that comes back with an old file must read its source before it takes a link' },
  { seed: 63, reason: 'two links at once bring revisions out of order: dns-proxy has one attempt at a time' },
  { seed: 88, reason: 'thief and owner took each other for hung, and neither had the query (reactor-take.cc)' },
  { seed: 225, reason: 'rest comes after members that are gone are dropped, not before' },
];
