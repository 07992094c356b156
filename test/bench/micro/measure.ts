/**
 * Measures the subjects of one *.bench file, in a process of their own: `node measure.js FILE` prints JSON. Rounds of about a millisecond, subject
 * and calibration loop in turn; of each the best counts, for the machine's other work only ever adds.
 */
import { pathToFileURL } from 'node:url';
import { calibrate } from './calibration.js';

/** Does the operation so many times. @throws Error where its result is wrong. */
export type Subject = (count: number) => void;

/** By subject. */
export type Timings = Readonly<Record<string, Timing>>;

export interface Timing {
  readonly nanoseconds: number;
  /** To one step of the calibration loop. */
  readonly ratio: number;
}

const WARM_UP_MS = 150;
const ROUND_MS = 1;
const ROUNDS = 150;

function timeNs(work: () => void): number {
  const start = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - start);
}

/** How often in a round; compiles on the way. */
function countFor(subject: Subject): number {
  let count = 1;
  const endNs = process.hrtime.bigint() + BigInt(WARM_UP_MS * 1e6);
  let best = Infinity;
  while (process.hrtime.bigint() < endNs) {
    best = Math.min(best, timeNs(() => { subject(count); }) / count);
    count = Math.max(1, Math.round((ROUND_MS * 1e6) / best));
  }
  return count;
}

function measure(subject: Subject, calibrationCount: number): Timing {
  const count = countFor(subject);
  let [subjectNs, calibrationNs] = [Infinity, Infinity];
  for (let round = 0; round < ROUNDS; round++) {
    calibrationNs = Math.min(calibrationNs, timeNs(() => calibrate(calibrationCount)) / calibrationCount);
    subjectNs = Math.min(subjectNs, timeNs(() => { subject(count); }) / count);
  }
  return { nanoseconds: subjectNs, ratio: subjectNs / calibrationNs };
}

const { subjects } = (await import(pathToFileURL(process.argv[2]).href)) as { subjects: Readonly<Record<string, Subject>> };
const calibrationCount = countFor((count) => calibrate(count));
const timings: Timings = Object.fromEntries(Object.entries(subjects).map(([name, subject]) => [name, measure(subject, calibrationCount)]));
process.stdout.write(`${JSON.stringify(timings)}\n`);
process.exit(0);
