/**
 * What a drill is: an experiment, stated before it is made. One file per drill in `drills/` holds its statement as data and
 * its fault as a function of the stage; knows nothing of how load is made, figures are counted or reports are written.
 */
import type { Launch } from '#harness/pair.js';
import type { Stage } from './stage.js';

/** Counts are queries; latencies are from sending to answer, as the client saw it. */
export interface Figures {
  readonly sent: number;
  readonly answered: number;
  /** Without an answer within five seconds. Clients do not ask again. */
  readonly lost: number;
  readonly twice: number;
  /**
   * Answers that one member took over from the other, alive, in the midst of their sending: each may have been sent twice (DESIGN §5). Only where a member
   * was kept from running for three ticks: by the drill, or by the scheduler. 0 where nobody asks the members.
   */
  readonly crossed: number;
  /** Answered, but not with what was asked or what the upstream holds. */
  readonly wrong: number;
  /** Answered SERVFAIL, or any other response code but the two that have a figure of their own. */
  readonly failed: number;
  readonly refused: number;
  readonly worstMs: number;
  /** Of the queries sent while a member stood still; 0 when none did. */
  readonly worstHungMs: number;
  /** Of the run without a fault, made just before on the same pair. */
  readonly steadyWorstMs: number;
  /** From the last fault to both members redundant again. */
  readonly convergeMs: number;
}

export interface Expectation {
  readonly figure: keyof Figures;
  readonly atMost?: number;
  readonly atLeast?: number;
  /** The bounds are counted from this figure. */
  readonly above?: keyof Figures;
}

export type Protocol = 'udp' | 'tcp';

/** What one run may be told. */
export interface RunOptions {
  /** UDP: queries a second. TCP: connections a second. */
  readonly rate: number;
  readonly upstreamDelayMs: number;
  /** Unanswered queries that each member has room for; null: as many as by itself. */
  readonly slots: number | null;
  /** With stealing switched off, where the drill has a control run. */
  readonly isControl: boolean;
  /** How often the fault is staged, where that can be chosen. */
  readonly repeat: number;
  readonly seed: number;
}

export type Need = 'root' | 'cgroup-cpu' | 'cgroup-memory' | 'faketime' | 'git';

/** What an experiment says of itself before it is made. */
export interface Statement {
  readonly name: string;
  readonly hypothesis: string;
  readonly steadyState: string;
  readonly fault: string;
  readonly expected: readonly Expectation[];
  /** Of the same drill with stealing switched off: it must fail then, or it proves nothing. */
  readonly expectedOfControl?: readonly Expectation[];
  readonly abort: Abort;
  readonly needs?: readonly string[];
}

export interface Drill extends Statement {
  readonly needs?: readonly Need[];
  readonly protocol?: Protocol;
  /** Default of RunOptions.rate: 5,000 queries, or 400 connections, a second. */
  readonly rate?: number;
  readonly upstreamDelayMs?: number;
  readonly repeat?: number;
  /** Further flags of both daemons. */
  readonly flags?: readonly string[];
  /** Names that the load asks for. */
  readonly names?: number;
  /** How the members are started, where that is not as usual. */
  readonly launch?: (stage: Stage) => Promise<Partial<Record<'agent' | 'dns-proxy', Launch>>>;
  /** Stages the fault, under load. Ends with the pair whole, or has said why it is not. */
  readonly run: (stage: Stage) => Promise<void>;
}

/** When the run is broken off, beside a member that ends when it should not. */
export interface Abort {
  /** From the first query on. */
  readonly afterSeconds: number;
  /** More than these are lost. */
  readonly lostMost: number;
}

/** No answer is sent a second time, but for those that crossed. */
export const ONCE: Expectation = { figure: 'twice', atMost: 0, above: 'crossed' };

/** Where the drill itself stops a member: no signal does that within a system call, so what crosses then is sent once all the same. */
export const NEVER_TWICE: Expectation = { figure: 'twice', atMost: 0 };

/** The promise. */
export const NOTHING_LOST: readonly Expectation[] = [
  { figure: 'lost', atMost: 0 }, ONCE, { figure: 'wrong', atMost: 0 }, { figure: 'failed', atMost: 0 }, { figure: 'refused', atMost: 0 },
];

/** A hung member is noticed after three ticks of 10 ms, and its queries are answered within another one and a half. */
export const HUNG_EXTRA_MS = 45;

export const NOT_DELAYED: Expectation = { figure: 'worstHungMs', atMost: HUNG_EXTRA_MS, above: 'steadyWorstMs' };

export function boundText({ figure, atMost, atLeast, above }: Expectation): string {
  const from = (bound: number): string => above === undefined ? String(bound) : bound === 0 ? above : `${above} + ${String(bound)}`;
  return [atMost === undefined ? null : `${figure} ≤ ${from(atMost)}`, atLeast === undefined ? null : `${figure} ≥ ${from(atLeast)}`]
    .filter((part) => part !== null).join(', ');
}

export function holds(expectation: Expectation, figures: Figures): boolean {
  const base = expectation.above === undefined ? 0 : figures[expectation.above];
  const value = figures[expectation.figure] - base;
  return (expectation.atMost === undefined || value <= expectation.atMost) && (expectation.atLeast === undefined || value >= expectation.atLeast);
}

/** All of the load comes from one client: its share of the connections must not be what is measured on a slow machine. */
export const TCP_FLAGS: readonly string[] = ['--tcp-connections-per-client', '1024'];
