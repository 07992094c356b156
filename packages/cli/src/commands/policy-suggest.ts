/**
 * `tandem policy suggest`: the CiliumNetworkPolicy objects that would allow what flows show. By default it takes what policy refused, or
 * would have refused but for audit mode.
 */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { AppError, parseDurationMs, type Role } from '@tandem/core';
import { loadManifests } from '@tandem/manifests';
import { GetFlowsRequest, type GetFlowsResponse, Verdict } from '@tandem/proto';
import { stringify } from 'yaml';
import { memberCommand } from '../common-options.js';
import type { Io } from '../io.js';
import { printable } from '../output.js';
import { flowsOfFile } from '../observe/flow-file.js';
import { FlowFilters } from '../observe/flow-filters.js';
import { flowRequest, type Selection } from '../observe/flow-request.js';
import { flowsOf } from '../observe/flow-stream.js';
import { labelsText, type Manifest, overlaps, policiesFor } from '../suggest/policies.js';
import { Seen } from '../suggest/seen.js';
import { parseCount, serversOf } from './observe.js';

interface Options extends Selection {
  readonly output: 'yaml' | 'json';
  readonly member?: Role;
  readonly runDir?: string;
  /** True: from the members. */
  readonly fromFlows?: string | true;
  readonly for?: number;
  readonly verdict: readonly (typeof VERDICTS)[number][];
  readonly namespace?: readonly string[];
  readonly generalize?: boolean;
  readonly toFqdns: boolean;
}

const VERDICTS = ['DROPPED', 'AUDIT', 'FORWARDED'] as const;
const VERDICTS_DEFAULT = ['DROPPED', 'AUDIT'] as const;

export function policySuggestCommand(io: Io): Command {
  return memberCommand('suggest', 'Print the CiliumNetworkPolicy objects that would allow what was asked for and refused.', [
    'tandem policy suggest > suggested.yaml && tandem policy validate suggested.yaml', 'tandem policy suggest --since 1h -n shop --generalize',
    'tandem policy suggest --follow --for 10m', 'tandem observe --all -o json | tandem policy suggest --from-flows -',
    'tandem policy suggest --verdict FORWARDED --verdict DROPPED --verdict AUDIT',
  ], ['yaml', 'json'])
    .option('--from-flows [FILE]', "flows that 'tandem observe -o json' printed; - is standard input (default: from the members)")
    .addOption(new Option('--verdict <VERDICT>', `queries with this verdict; may be repeated (default: ${VERDICTS_DEFAULT.join(' and ')})`)
      .choices(VERDICTS).argParser(collectVerdict).default(VERDICTS_DEFAULT, VERDICTS_DEFAULT.join(', ')))
    .option('-n, --namespace <NAME>', 'of pods in this namespace only; may be repeated', (text: string, texts: readonly string[] = []) => [...texts, text])
    .option('--generalize', 'one matchPattern *.PARENT where several names have the same parent')
    .option('--no-to-fqdns', 'no toFQDNs for names that got an address')
    .option('--last <N>', 'from the last N flows (default: all that are there)', parseCount)
    .option('--since <TIME>', 'from flows since then, as in observe')
    .option('--until <TIME>', 'from flows until then')
    .option('-f, --follow', 'from new flows until Ctrl-C, or as long as --for says')
    .option('--for <DURATION>', 'how long to follow, such as 10s', parseFor)
    .action(async (options: Options) => {
      const seen = new Seen({ verdicts: new Set(options.verdict.map((name) => Verdict[name])), namespaces: options.namespace === undefined ? null : new Set(options.namespace) });
      let lost = 0n;
      await io.untilInterrupted(async (signal) => {
        for await (const { responseTypes } of sourceOf(io, options, signal)) {
          if (responseTypes?.$case === 'flow') seen.add(responseTypes.value);
          else if (responseTypes?.$case === 'lostEvents') lost += responseTypes.value.numEventsLost;
        }
      });
      const manifests = policiesFor(seen, { generalizes: options.generalize === true, opensAddresses: options.toFqdns });
      refuseOwnFaults(manifests);
      io.out(textOf(manifests, options.output));
      for (const line of notes(seen, options, lost)) io.err(`tandem: ${printable(line)}\n`);
    });
}

function sourceOf(io: Io, options: Options, signal: AbortSignal): AsyncIterable<GetFlowsResponse> {
  const { fromFlows, follow = false } = options;
  if (options.for !== undefined && !follow) throw new AppError('USAGE', '--for says how long to --follow');
  if (typeof fromFlows === 'string') {
    if (follow || options.last !== undefined || options.since !== undefined || options.until !== undefined) throw new AppError('USAGE', 'a file of flows is read whole: --last, --since, --until and --follow ask the members');
    return flowsOfFile(io, fromFlows);
  }
  const isAll = options.last === undefined && options.since === undefined && options.until === undefined && !follow;
  const request = flowRequest({ ...options, all: isAll }, new FlowFilters(), Date.now());
  return flowsOf({
    servers: serversOf(io, options), request: GetFlowsRequest.fromPartial({ ...request, whitelist: [{ protocol: ['dns'] }] }), resumes: true,
    signal: options.for === undefined ? signal : AbortSignal.any([signal, AbortSignal.timeout(options.for)]),
    onNotice: (text) => { io.err(`tandem: ${text}\n`); },
  });
}

/** What is printed passes `policy validate`. */
function refuseOwnFaults(manifests: readonly Manifest[]): void {
  const { problems } = loadManifests([{ path: 'suggested', text: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests }) }]);
  const error = problems.find(({ severity }) => severity === 'error');
  if (error !== undefined) throw new AppError('LIMIT', `what was seen makes no policy: ${error.field}: ${error.message}`);
}

function textOf(manifests: readonly Manifest[], format: Options['output']): string {
  if (format === 'json') return `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests }, null, 2)}\n`;
  return manifests.map((manifest) => stringify(manifest, { aliasDuplicateObjects: false, lineWidth: 0 })).join('---\n');
}

function notes(seen: Seen, { verdict }: Options, lost: bigint): string[] {
  const workloads = seen.workloads();
  const found = workloads.length === 0
    ? `no query with verdict ${verdict.join(' or ')} was seen that a policy could allow`
    : `${workloads.length} ${workloads.length === 1 ? 'policy' : 'policies'} for ${seen.queries} ${seen.queries === 1 ? 'query' : 'queries'}; each closes all other egress of the pods that it selects`;
  return [
    found,
    ...overlaps(workloads).map(([wide, narrow]) => `the policy for ${labelsText(wide)} selects the pods of ${labelsText(narrow)}, too`),
    ...[...seen.leftOut].map(([reason, count]) => `left out: ${count} ${reason}`),
    ...(lost > 0n ? [`${lost} flows were lost before they could be read: something may be missing`] : []),
  ];
}

function collectVerdict(text: string, texts: readonly string[]): readonly string[] {
  if (!(VERDICTS as readonly string[]).includes(text)) throw new InvalidArgumentError(`Allowed choices are ${VERDICTS.join(', ')}.`);
  return texts === (VERDICTS_DEFAULT as readonly string[]) ? [text] : [...texts, text];
}

function parseFor(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === null || ms <= 0) throw new InvalidArgumentError('a duration is expected, such as 10s or 1m30s.');
  return ms;
}
