/**
 * Counts questions and answers by type and response code, as Hubble's DNS metrics do. Lists of types and codes are fixed, and so is
 * the memory: what is on no list counts as `other`, and more addresses than ADDRESSES_MAX as that many.
 *
 * Knows neither names nor clients. Called on the query path: a few additions per message, no allocation.
 */
import { TYPE, type AnswerView } from '@tandem/dns';

/** Types that are told apart; the last stands for all others. */
export const COUNTED_TYPES = [
  'A', 'AAAA', 'CNAME', 'HTTPS', 'MX', 'NS', 'PTR', 'SOA', 'SRV', 'SVCB', 'TXT', 'other',
] as const;

/** Response codes by number, in the words of Hubble's metrics; the last stands for all others. */
export const COUNTED_RCODES = [
  'No Error', 'Format Error', 'Server Failure', 'Non-Existent Domain', 'Not Implemented', 'Query Refused', 'other',
] as const;

/** Addresses in one answer that are told apart; more count as so many. */
export const ADDRESSES_MAX = 16;

const TYPES = COUNTED_TYPES.length;
const OTHER_RCODE = COUNTED_RCODES.length - 1;
const ADDRESS_COUNTS = ADDRESSES_MAX + 1;

const QUESTIONS_AT = 0;
const REFUSED_AT = QUESTIONS_AT + TYPES;
const ANSWERS_AT = REFUSED_AT + TYPES;
const RECORDS_AT = ANSWERS_AT + TYPES * COUNTED_RCODES.length * ADDRESS_COUNTS;
/** Float64 words. */
export const DNS_COUNT_WORDS = RECORDS_AT + TYPES * TYPES;

/** Place of each type below 256 in COUNTED_TYPES. */
const PLACE = new Uint8Array(256).fill(TYPES - 1);
COUNTED_TYPES.forEach((name, place) => {
  if (name !== 'other') PLACE[TYPE[name]] = place;
});

/** One kind of answer, and how often it was given. */
export interface AnswerCount {
  readonly type: string;
  readonly rcode: string;
  readonly addresses: number;
  readonly count: number;
}

export class DnsCounts {
  private readonly words: Float64Array;

  /** DNS_COUNT_WORDS zeros, or what another has counted there. */
  constructor(words: Float64Array) {
    this.words = words;
  }

  /** A question that policy allowed. */
  allowed(type: number): void {
    this.words[QUESTIONS_AT + placeOf(type)]++;
  }

  /** A question that was refused. */
  refused(type: number): void {
    this.words[REFUSED_AT + placeOf(type)]++;
  }

  /** An upstream's answer, scanned. */
  answer(view: AnswerView): void {
    const { recordCount, recordType } = view;
    const records = RECORDS_AT + placeOf(view.type) * TYPES;
    let addresses = 0;
    for (let i = 0; i < recordCount; i++) {
      const type = recordType[i];
      if (type === TYPE.A || type === TYPE.AAAA) addresses++;
      this.words[records + placeOf(type)]++;
    }
    this.words[answerWord(placeOf(view.type), view.rcode, addresses)]++;
  }

  /** An answer of our own, to a question that was allowed. */
  failure(type: number, rcode: number): void {
    this.words[answerWord(placeOf(type), rcode, 0)]++;
  }

  /** Questions by type that were allowed, or refused. */
  questions(which: 'allowed' | 'refused'): readonly { readonly type: string; readonly count: number }[] {
    const at = which === 'allowed' ? QUESTIONS_AT : REFUSED_AT;
    return COUNTED_TYPES.map((type, place) => ({ type, count: this.words[at + place] }));
  }

  /** The kinds of answers that there were. */
  answers(): AnswerCount[] {
    const seen: AnswerCount[] = [];
    COUNTED_TYPES.forEach((type, place) => {
      COUNTED_RCODES.forEach((rcode, code) => {
        for (let addresses = 0; addresses <= ADDRESSES_MAX; addresses++) {
          const count = this.words[answerWord(place, code, addresses)];
          if (count > 0) seen.push({ type, rcode, addresses, count });
        }
      });
    });
    return seen;
  }

  /** Records in answers, by their own type and the question's: those that there were. */
  records(): { readonly type: string; readonly questionType: string; readonly count: number }[] {
    return COUNTED_TYPES.flatMap((questionType, question) => COUNTED_TYPES.flatMap((type, record) => {
      const count = this.words[RECORDS_AT + question * TYPES + record];
      return count > 0 ? [{ type, questionType, count }] : [];
    }));
  }
}

function placeOf(type: number): number {
  return type < PLACE.length ? PLACE[type] : TYPES - 1;
}

function answerWord(place: number, rcode: number, addresses: number): number {
  const code = rcode < OTHER_RCODE ? rcode : OTHER_RCODE;
  return ANSWERS_AT + (place * COUNTED_RCODES.length + code) * ADDRESS_COUNTS + (addresses < ADDRESSES_MAX ? addresses : ADDRESSES_MAX);
}
