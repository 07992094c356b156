/** Metrics of a policy source that is an API server. A member without one has no samples of them. */
import type { MetricRow, Sample } from '../control/metrics.js';
import type { HasMember } from './member-metrics.js';

/** What the source counts; it lives as long as the member. */
export interface PolicySourceReadings {
  /** All that is watched has been heard once in this process. */
  readonly isSynced: boolean;
  /** Something that is watched has not been heard for longer than a moment. */
  readonly isAway: boolean;
  /** Since anything was heard, bookmarks included; null: never. */
  readonly silentSeconds: number | null;
  readonly objects: number;
  readonly watches: number;
  readonly restarts: ReadonlyMap<string, number>;
  readonly relists: ReadonlyMap<string, number>;
  readonly errors: ReadonlyMap<string, number>;
  readonly statusWrites: ReadonlyMap<string, number>;
}

type Row = MetricRow<HasMember>;

const resource = { resource: 'what is watched, such as pods; about ten' };

function whole(read: (source: PolicySourceReadings) => number | null): (source: HasMember) => readonly Sample[] {
  return ({ member: { source } }) => {
    const value = source === null ? null : read(source);
    return value === null ? [] : [{ labels: {}, value }];
  };
}

function by(label: string, read: (source: PolicySourceReadings) => ReadonlyMap<string, number>): (source: HasMember) => readonly Sample[] {
  return ({ member: { source } }) => (source === null ? [] : [...read(source)].map(([name, value]) => ({ labels: { [label]: name }, value })));
}

export const SOURCE_METRICS: readonly Row[] = [
  {
    name: 'tandem_source_synced', type: 'gauge', help: '1 once everything that is watched at the API server was listed in this process; the stored policy rules until then.',
    read: whole(({ isSynced }) => Number(isSynced)),
  },
  {
    name: 'tandem_source_away', type: 'gauge', help: '1 while something is not heard from the API server: it cannot be reached, or refuses.',
    read: whole(({ isAway }) => Number(isAway)),
  },
  {
    name: 'tandem_source_silent_seconds', type: 'gauge', help: 'Since anything was heard from the API server; bookmarks count, about one a minute.',
    read: whole(({ silentSeconds }) => silentSeconds),
  },
  { name: 'tandem_source_objects', type: 'gauge', help: 'Objects of the API server that are kept.', read: whole(({ objects }) => objects) },
  { name: 'tandem_source_watches', type: 'gauge', help: 'Watches at the API server, each with a connection.', read: whole(({ watches }) => watches) },
  {
    name: 'tandem_source_watch_starts_total', type: 'counter', help: 'Watches that the API server has opened; each lasts 5 to 10 minutes.', labels: resource,
    read: by('resource', ({ restarts }) => restarts),
  },
  {
    name: 'tandem_source_relists_total', type: 'counter', help: 'Whole lists after the first: where a watch could not go on from its version.', labels: resource,
    read: by('resource', ({ relists }) => relists),
  },
  {
    name: 'tandem_source_errors_total', type: 'counter', help: 'Requests to the API server that failed, and streams that broke.', labels: { code: 'connect, credentials, forbidden, absent, expired, throttled, server, stalled, malformed, too-large or file' },
    read: by('code', ({ errors }) => errors),
  },
  {
    name: 'tandem_source_status_writes_total', type: 'counter', help: 'Conditions of policies that this agent wrote, or tried to.', labels: { result: 'written, conflict (another node was first) or failed' },
    read: by('result', ({ statusWrites }) => statusWrites),
  },
];
