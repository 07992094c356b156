/**
 * The condition `Valid` of a policy: what it should say, by the object alone, so that every node says the same; and what it says.
 *
 * Invariant: what every node would write depends on nothing that only one of them knows, such as an earlier version of the policy.
 */
import { isDeepStrictEqual } from 'node:util';
import { formatProblem, type Problem } from '@tandem/manifests';
import type { RawObject } from './reflector.js';

export interface Condition {
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

export interface PolicyStatus {
  /** null: clusterwide. */
  readonly namespace: string | null;
  readonly name: string;
  readonly resourceVersion: string | null;
  readonly generation: number | null;
  readonly wanted: Condition;
  /** The condition as it is; null: there is none. */
  readonly found: (Condition & { readonly observedGeneration: number | null; readonly changedAt: string | null }) | null;
  /** Conditions of others, which stay. */
  readonly others: readonly unknown[];
}

const TYPE = 'Valid';
/** Kubernetes takes 32 KiB; a status is read by people, in a table. */
const MESSAGE_CHARACTERS_MAX = 1_024;
const PROBLEMS_SHOWN_MAX = 5;

export function statusOf(raw: RawObject, { problems, hasErrors }: { readonly problems: readonly Problem[]; readonly hasErrors: boolean }): PolicyStatus {
  const { name, namespace, resourceVersion, generation } = raw.metadata;
  const conditions = conditionsOf(raw.status);
  const found = conditions.find((one) => isRecord(one) && one.type === TYPE);
  return {
    namespace: namespace ?? null,
    name,
    resourceVersion: typeof resourceVersion === 'string' ? resourceVersion : null,
    generation: typeof generation === 'number' ? generation : null,
    wanted: hasErrors ? invalid(problems) : valid(problems),
    found: isRecord(found) ? conditionOf(found) : null,
    others: conditions.filter((one) => one !== found),
  };
}

/**
 * Whether the condition says something else than it should. One that agrees in its status is left alone, whatever its words: nodes of
 * two versions, or Cilium's operator, word it otherwise, and would write against each other for ever.
 */
export function isDue({ wanted, found, generation }: PolicyStatus): boolean {
  if (found?.status !== wanted.status) return true;
  return found.observedGeneration !== null && generation !== null && found.observedGeneration < generation;
}

/** The merge patch that makes it so; `nowText`: RFC 3339. */
export function statusPatch({ wanted, found, others, generation, resourceVersion }: PolicyStatus, nowText: string): unknown {
  const lastTransitionTime = found?.status === wanted.status && found.changedAt !== null ? found.changedAt : nowText;
  const condition = { type: TYPE, ...wanted, lastTransitionTime, ...(generation === null ? {} : { observedGeneration: generation }) };
  return { metadata: { resourceVersion }, status: { conditions: [...others, condition] } };
}

export function isSameCondition(a: PolicyStatus, b: PolicyStatus): boolean {
  return a.generation === b.generation && isDeepStrictEqual(a.wanted, b.wanted);
}

function valid(problems: readonly Problem[]): Condition {
  if (problems.length === 0) return { status: 'True', reason: 'Valid', message: 'The policy is understood.' };
  return { status: 'True', reason: 'ValidWithWarnings', message: `The policy is understood. ${shown(problems)}` };
}

function invalid(problems: readonly Problem[]): Condition {
  return {
    status: 'False', reason: 'Invalid',
    message: bounded(`Not enforced; where a valid version was in force before, that one stays. ${shown(problems.filter(({ severity }) => severity === 'error'))}`),
  };
}

function shown(problems: readonly Problem[]): string {
  const lines = problems.slice(0, PROBLEMS_SHOWN_MAX).map((problem) => formatProblem({ ...problem, file: '' }));
  const more = problems.length - lines.length;
  return bounded([...lines, ...(more > 0 ? [`${more} more`] : [])].join('; '));
}

function bounded(text: string): string {
  return text.length <= MESSAGE_CHARACTERS_MAX ? text : `${text.slice(0, MESSAGE_CHARACTERS_MAX - 1)}…`;
}

function conditionsOf(status: unknown): readonly unknown[] {
  const conditions = isRecord(status) ? status.conditions : null;
  return Array.isArray(conditions) ? (conditions as unknown[]) : [];
}

function conditionOf({ status, reason, message, observedGeneration, lastTransitionTime }: Readonly<Record<string, unknown>>): PolicyStatus['found'] {
  if (status !== 'True' && status !== 'False') return null;
  return {
    status, reason: text(reason), message: text(message),
    observedGeneration: typeof observedGeneration === 'number' ? observedGeneration : null,
    changedAt: typeof lastTransitionTime === 'string' ? lastTransitionTime : null,
  };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
