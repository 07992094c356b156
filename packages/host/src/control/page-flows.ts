/**
 * The newest flows that match a plain filter, for the status page: looks back from the newest, and stops at the flow that the page saw
 * last, at enough matches, or when it has looked for long enough. Who needs more has the Observer API.
 *
 * Invariant: other work of this thread waits for a slice at most, and so many searches are under way at most.
 */
import { AppError } from '@tandem/core';
import { Flow, Verdict } from '@tandem/proto';
import type { FlowLog, FlowReader, ObservedFlow } from '../flows/flow-log.js';

export interface FlowSearch {
  /** Flows in the answer at most. */
  readonly last: number;
  /** `cursor` of an earlier answer; empty: from the oldest. */
  readonly since: string;
  /** Part of `NAMESPACE/POD` or of the address at either end; empty: any. */
  readonly pod: string;
  /** Part of the name that is asked for, or of a name of either end; empty: any. */
  readonly name: string;
  /** Empty: any. */
  readonly verdict: string;
}

export interface FlowsView {
  /** For the next search's `since`. */
  readonly cursor: string;
  /** `flow.Flow` in JSON as Hubble prints it, the oldest first. */
  readonly flows: readonly unknown[];
  /** There are, or may be, older ones that match and that came after `since`. */
  readonly more: boolean;
}

export const FLOW_SEARCH_LIMITS = { last: 1_000, textCharacters: 255 } as const;
export const FLOW_VERDICTS: readonly string[] = Object.keys(Verdict).filter((key) => key !== 'UNKNOWN' && key !== 'UNRECOGNIZED');

const SLICE_MS = 4;
/** A rare flow is looked for so long; then the answer says that there may be more. */
const SEARCH_MS_MAX = 150;
const FLOWS_PER_LOOK = 16;
const SEARCHES_MAX = 4;
/** Two members may write in the same moment: a few behind the last one are looked at again, and the page knows them by their uuid. */
const AGAIN = 8;

export class FlowSearches {
  private readonly log: FlowLog | null;
  private underWay = 0;

  constructor(log: FlowLog | null) {
    this.log = log;
  }

  /** @throws AppError UNAVAILABLE without flows, or when too many search at once. */
  async search(what: FlowSearch): Promise<FlowsView> {
    if (this.log === null) throw new AppError('UNAVAILABLE', 'this member keeps no flows; see --enable-hubble');
    if (this.underWay >= SEARCHES_MAX) throw new AppError('UNAVAILABLE', `${SEARCHES_MAX} searches are under way; ask again`);
    this.underWay++;
    try {
      return await new Walk(this.log.read('newest'), what).run();
    } finally {
      this.underWay--;
    }
  }
}

class Walk {
  private readonly reader: FlowReader;
  private readonly what: FlowSearch;
  private readonly matches: (flow: Flow) => boolean;
  /** The newest first. */
  private readonly found: ObservedFlow[] = [];
  private cursor: string | null = null;
  private left = Infinity;
  private state: 'looking' | 'complete' | 'cut' = 'looking';

  constructor(reader: FlowReader, what: FlowSearch) {
    this.reader = reader;
    this.what = what;
    this.matches = matcherOf(what);
  }

  async run(): Promise<FlowsView> {
    for (let spentMs = 0; this.state === 'looking'; ) {
      const startedAtMs = performance.now();
      while (this.state === 'looking' && performance.now() - startedAtMs < SLICE_MS) this.look();
      spentMs += performance.now() - startedAtMs;
      if (this.state !== 'looking') break;
      if (spentMs >= SEARCH_MS_MAX) this.state = 'cut';
      else await new Promise(setImmediate);
    }
    return { cursor: this.cursor ?? this.what.since, flows: this.found.reverse().map(({ flow }) => Flow.toJSON(flow)), more: this.state === 'cut' };
  }

  private look(): void {
    for (let i = 0; i < FLOWS_PER_LOOK && this.state === 'looking'; i++) {
      const observed = this.left > 0 ? this.reader.previous() : null;
      if (observed === null) {
        this.state = 'complete';
        return;
      }
      this.left--;
      const { flow } = observed;
      this.cursor ??= flow.uuid;
      if (flow.uuid === this.what.since) this.left = AGAIN;
      if (!this.matches(flow)) continue;
      if (this.found.length === this.what.last) this.state = Number.isFinite(this.left) ? 'complete' : 'cut';
      else this.found.push(observed);
    }
  }
}

function matcherOf({ pod, name, verdict }: FlowSearch): (flow: Flow) => boolean {
  const [wantedPod, wantedName] = [pod.toLowerCase(), name.toLowerCase()];
  const wantedVerdict = verdict === '' ? null : Verdict[verdict as keyof typeof Verdict];
  return (flow) => {
    if (wantedVerdict !== null && flow.verdict !== wantedVerdict) return false;
    if (wantedName !== '' && !namesOf(flow).some((one) => one.toLowerCase().includes(wantedName))) return false;
    return wantedPod === '' || endsOf(flow).some((end) => end.includes(wantedPod));
  };
}

function namesOf({ l7, sourceNames, destinationNames }: Flow): readonly string[] {
  return l7?.record?.$case === 'dns' ? [l7.record.value.query] : [...sourceNames, ...destinationNames];
}

function endsOf({ source, destination, IP }: Flow): readonly string[] {
  return [
    `${source?.namespace ?? ''}/${source?.podName ?? ''}`, `${destination?.namespace ?? ''}/${destination?.podName ?? ''}`,
    IP?.source ?? '', IP?.destination ?? '',
  ];
}
