/** The options of `tandem observe` that say how many flows, and of when → a GetFlows request, by the rules of Hubble's client. */
import { AppError } from '@tandem/core';
import { FlowFilter, GetFlowsRequest } from '@tandem/proto';
import type { FlowFilters } from './flow-filters.js';
import { parseTimeMs, timestampOf } from './flow-time.js';

export interface Selection {
  readonly last?: bigint;
  readonly first?: bigint;
  readonly all?: boolean;
  readonly since?: string;
  readonly until?: string;
  readonly follow?: boolean;
  /** JSON FlowFilters, one or more in a row per text. */
  readonly allowlist?: readonly string[];
  readonly denylist?: readonly string[];
}

/** Without any word on how many. */
export const LAST_DEFAULT = 20n;
const ALL = 18_446_744_073_709_551_615n;

/** @throws AppError USAGE for options that contradict each other, a bad time, a bad filter. */
export function flowRequest(selection: Selection, filters: FlowFilters, nowMs: number): GetFlowsRequest {
  refuseContradictions(selection);
  const { last, first, all, follow = false } = selection;
  const since = timeOf('--since', selection.since, nowMs);
  // Whoever follows wants what is to come: an end is not looked at, as at Hubble's client.
  const until = follow ? undefined : timeOf('--until', selection.until, nowMs);
  const isOpen = since === undefined && until === undefined && first === undefined;
  const { whitelist, blacklist } = filters.lists();
  return GetFlowsRequest.fromPartial({
    number: first ?? last ?? (isOpen && all === true ? ALL : isOpen && !follow ? LAST_DEFAULT : 0n),
    first: first !== undefined,
    follow,
    since,
    until,
    whitelist: [...whitelist, ...rawFilters('--allowlist', selection.allowlist)],
    blacklist: [...blacklist, ...rawFilters('--denylist', selection.denylist)],
  });
}

function refuseContradictions({ last, first, all, follow }: Selection): void {
  const together = (a: string, b: string): AppError => new AppError('USAGE', `${a} and ${b} cannot be combined`);
  if (first !== undefined && last !== undefined) throw together('--first', '--last');
  if (first !== undefined && all === true) throw together('--first', '--all');
  if (first !== undefined && follow === true) throw together('--first', '--follow');
  if (last !== undefined && all === true) throw together('--last', '--all');
}

function timeOf(flag: string, text: string | undefined, nowMs: number): GetFlowsRequest['since'] {
  if (text === undefined) return undefined;
  const ms = parseTimeMs(text, nowMs);
  if (ms === null || ms < 0) throw new AppError('USAGE', `${flag} ${JSON.stringify(text)}: a duration such as 3s or 1h30m is expected, or a time such as 2026-11-05T10:00:00Z`);
  return timestampOf(ms);
}

/** What Hubble's `--print-raw-filters` prints: objects with the names of the .proto file. */
function rawFilters(flag: string, texts: readonly string[] = []): FlowFilter[] {
  return texts.map((text) => {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new AppError('USAGE', `${flag} ${JSON.stringify(text)}: is not JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
    return filterOf(flag, value);
  });
}

/** A misspelt field, or a value that means nothing, must not widen what is shown. */
function filterOf(flag: string, value: unknown): FlowFilter {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new AppError('USAGE', `${flag}: a JSON object with fields of FlowFilter is expected`);
  let kept: Readonly<Record<string, unknown>>;
  let filter: FlowFilter;
  try {
    filter = FlowFilter.fromJSON(value);
    kept = FlowFilter.toJSON(filter) as Record<string, unknown>;
  } catch (error) {
    throw new AppError('USAGE', `${flag}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  for (const [name, given] of Object.entries(value as Record<string, unknown>)) {
    if (!Object.hasOwn(kept, name)) throw new AppError('USAGE', `${flag}: ${JSON.stringify(name)} is no field of FlowFilter with a list of values`);
    if (JSON.stringify(kept[name]).includes('UNRECOGNIZED')) throw new AppError('USAGE', `${flag}: ${name}: ${JSON.stringify(given)} has a value that FlowFilter does not know`);
  }
  return filter;
}
