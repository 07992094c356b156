/**
 * What the query path counts. One Float64Array, written by the thread that does the work and read by whoever shows
 * it; `host` lays it over shared memory. Each name is the metric's name, the status field and the array index.
 */
import { DNS_COUNT_WORDS, DnsCounts } from './dns-counts.js';

export const COUNTERS = {
  queries: 'Queries received, and those taken over from the peer, which counts them too if it lives on.',
  tcp_queries: 'Queries received over TCP.',
  malformed: 'Queries answered FORMERR or NOTIMP.',
  unanswerable: 'Datagrams too short, or answers, sent to the listening port; dropped.',
  allowed: 'Queries that policy allowed.',
  denied: 'Queries that policy refused.',
  audited: 'Queries that would have been refused, by policy or as a stranger\'s, let through by audit mode.',
  search_expansions: 'Of the refused ones, allowed names with a search domain behind them, answered NXDOMAIN.',
  query_rate_refused: "Of the refused ones, those over a policy's query rate.",
  query_rate_audited: "Queries over a policy's query rate that were let through.",
  label_entropy_refused: "Of the refused ones, those with a label over a policy's entropy limit.",
  label_entropy_audited: "Queries with a label over a policy's entropy limit that were let through.",
  private_address_refused: 'Answers kept back because they give a private address to a name that may have none.',
  private_address_audited: 'Such answers passed on by audit mode.',
  unknown_endpoint: 'Queries from addresses that are no known endpoint.',
  identity_stale: "Queries from a known endpoint's address that came in elsewhere than that endpoint is.",
  no_snapshot: 'Queries refused because no policy snapshot is enforced yet.',
  semaphore_rejected: 'Queries over the concurrency limit, answered SERVFAIL.',
  overdue: 'Queries dropped because they had waited 1.5 seconds in a socket whose queue does not end.',
  shed: 'Queries answered SERVFAIL because slots were short.',
  asked: 'Questions sent to upstreams, retries included.',
  retried: 'Questions asked a second time.',
  upstream_timeout: 'Queries answered SERVFAIL because no upstream answered.',
  upstream_unmatched: 'Datagrams from upstreams that match no question under way.',
  upstream_malformed: 'Answers from upstreams that cannot be read.',
  answered: 'Upstream answers given to clients.',
  truncated: 'Answers cut to the size that the client takes.',
  recompressed: 'Answers compressed to the size that the client takes.',
  learned: 'Mappings learned from answers.',
  learn_dropped: 'Mappings not passed on because the control thread was behind.',
  off_chain: 'Addresses in answers that are not on the alias chain from the question; not learned.',
  takeovers: 'Times that this member began to answer for the peer: dead, leaving, or without a heartbeat.',
  taken: 'Queries taken over from the peer.',
  taken_unparsed: 'Of these, answered SERVFAIL unread because they may be what ended the peer.',
  crossed: 'Answers that the peer took over just as they left, and such of the living peer that this member took over: each may have reached its client twice.',
  connections_taken: 'TCP connections taken over from the peer.',
  connections_reset: 'TCP connections reset because the peer died or hung in the middle of an answer that nobody else can finish.',
  held: 'Answers held until the datapath was open.',
  hold_timeout: 'Answers released before the datapath was open.',
  hold_overflow: 'Answers released at once because too many were held.',
} as const;

export type CounterName = keyof typeof COUNTERS;

const NAMES = Object.keys(COUNTERS) as CounterName[];

/** Array index of each counter. */
export const COUNTER = Object.fromEntries(NAMES.map((name, index) => [name, index])) as Record<CounterName, number>;

/** Upper bounds, in milliseconds, of a latency histogram's buckets; one more bucket takes the rest. */
export const LATENCY_BUCKETS_MS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500] as const;

/**
 * What is timed, each in a histogram of its own. The clock is read once per batch of events, so work within a batch takes no time
 * here, only waiting does.
 */
export const LATENCY = {
  /** From a query's arrival until the upstream's answer is given to the client. */
  answered: 0,
  /** From the first question to an upstream until the answer. */
  upstream: 1,
  /** An answer's wait for the datapath, where there was one. */
  held: 2,
  /** A query's wait for its turn under the concurrency limit, where there was one that was not in vain. */
  queued: 3,
  /** From the arrival of a query that no upstream answered to its SERVFAIL. */
  timedOut: 4,
} as const;
export type LatencyName = keyof typeof LATENCY;

const HISTOGRAM_WORDS = LATENCY_BUCKETS_MS.length + 2;
const HISTOGRAMS_AT = NAMES.length;
const DNS_AT = HISTOGRAMS_AT + Object.keys(LATENCY).length * HISTOGRAM_WORDS;

/** Float64 words: counters, histograms (buckets, then the sum), counts by type and response code. */
export const COUNTER_WORDS = DNS_AT + DNS_COUNT_WORDS;

const US_PER_MS = 1000;
const US_MAX = 2 ** 31 - 1;

/** Microseconds, so that no fraction is handed over: it would be an object on V8's heap. Longer than 35 minutes is US_MAX. */
export function wholeUs(ms: number): number {
  return Math.min(ms * US_PER_MS + 0.5, US_MAX) | 0;
}

export class Counters {
  readonly words: Float64Array;
  /** Questions and answers by type. */
  readonly dns: DnsCounts;

  constructor(words: Float64Array = new Float64Array(COUNTER_WORDS)) {
    this.words = words;
    this.dns = new DnsCounts(words.subarray(DNS_AT, DNS_AT + DNS_COUNT_WORDS));
  }

  /** `counter` is one of COUNTER. */
  add(counter: number, by = 1): void {
    this.words[counter] += by;
  }

  /** A total that another counts. */
  set(counter: number, total: number): void {
    this.words[counter] = total;
  }

  get(name: CounterName): number {
    return this.words[COUNTER[name]];
  }

  /** `histogram` is one of LATENCY; `us` as `wholeUs` gives it. */
  latency(histogram: number, us: number): void {
    const ms = us / US_PER_MS;
    let bucket = 0;
    while (bucket < LATENCY_BUCKETS_MS.length && ms > LATENCY_BUCKETS_MS[bucket]) bucket++;
    const at = HISTOGRAMS_AT + histogram * HISTOGRAM_WORDS;
    this.words[at + bucket]++;
    this.words[at + HISTOGRAM_WORDS - 1] += ms;
  }

  /** Counts per bucket, not cumulative (the last is the rest), and the sum in milliseconds. */
  latencies(name: LatencyName): { readonly buckets: readonly number[]; readonly sumMs: number } {
    const at = HISTOGRAMS_AT + LATENCY[name] * HISTOGRAM_WORDS;
    return {
      buckets: Array.from(this.words.subarray(at, at + HISTOGRAM_WORDS - 1)),
      sumMs: this.words[at + HISTOGRAM_WORDS - 1],
    };
  }

  all(): Record<CounterName, number> {
    return Object.fromEntries(NAMES.map((name, index) => [name, this.words[index]])) as Record<CounterName, number>;
  }
}
