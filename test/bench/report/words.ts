/** Sentences that more than one report says. */
import { spreadOf } from '../statistics.js';
import { DISTURBANCE_MAX, referenceOf } from './results.js';
import type { CaseResult, Results } from './results.js';

const WHO = { 'pair': 'both members, sharing the load', 'agent': 'the agent alone', 'dns-proxy': 'dns-proxy alone' } as const;

/** On what, when and with what, a sentence each. */
export function conditionsOf(results: Results): string[] {
  const { when, machine, member, rounds, seconds, tookSeconds } = results;
  const peers = Object.entries(machine.peers).map(([name, version]) => `${name} ${version}`);
  return [
    `Measured ${when.slice(0, 16).replace('T', ' ')} UTC at revision ${machine.revision}; ${String(rounds)} rounds of ${String(seconds)} s a measurement, ${String(Math.round(tookSeconds / 60))} minutes in all. Tandem is ${WHO[member]}.`,
    `${machine.processor}, ${String(machine.cores)} cores, ${String(machine.memoryMb)} MB, virtualization: ${machine.virtualization.trim()}; ${machine.system}, Linux ${machine.kernel}; Node ${machine.node}; ${peers.join(', ')}.`,
    ...(machine.cores < 2 ? ['There is one core alone: nothing is pinned.'] : []),
    ...disturbanceOf(results),
  ];
}

function disturbanceOf({ cases }: Results): string[] {
  const samples = cases.filter(({ isPinned }) => isPinned).flatMap(({ rows }) => rows).flatMap((row) => row.samples).map(({ disturbance }) => disturbance);
  if (samples.length === 0) return [];
  const { median, max } = spreadOf(samples);
  const said = `Others took ${(median * 100).toFixed(1)} % of the measured core in the median measurement, ${(max * 100).toFixed(0)} % in the worst.`;
  return [median > DISTURBANCE_MAX ? `${said} **The machine was not quiet: figures and ratios of this run are no measure of what it can do.**` : said];
}

export function loadOf({ load, isPinned }: CaseResult): string {
  const how = load.rateQps === null ? `${String(load.window)} queries open at a time` : `open loop, ${String(load.rateQps)} queries due a second, latency counted from when each was due${load.hasNewNames ? ', each name asked for once' : ''}`;
  const from = load.pods === 1 ? '' : ` at ${String(load.pods)} addresses`;
  const where = isPinned ? 'what is measured on one core, load and upstream on another' : 'unpinned';
  return `${load.protocol.toUpperCase()} over IPv${String(load.family)}, ${String(load.clients)} ${load.protocol === 'udp' ? 'sockets' : 'connections'}${from}, ${how}; ${where}.`;
}

/** Head of the column of ratios. */
export function ratioWord(one: CaseResult): string {
  return `${one.load.rateQps === null ? 'queries/s' : 'p99'}, ${referenceOf(one)} : it`;
}
