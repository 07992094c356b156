/**
 * Both members side by side, for people: fits a terminal of 80 by 24 while nothing is wrong. Long lists are cut; the JSON form has
 * everything.
 */
import type { Role } from '@tandem/core';
import type { StatusView } from '@tandem/host';
import { ROLES } from '../client.js';
import type { Colours } from '../colours.js';
import { printable } from '../output.js';
import { answersOf, type PairStatusView, statusOf } from './pair-status.js';
import { durationText } from './duration-text.js';

const TITLE_WIDTH = 13;
const CELL_WIDTH = 33;
const HASH_DIGITS = 12;
const PROBLEMS_MAX = 20;

type Row = readonly [title: string, cell: (status: StatusView, role: Role) => string];

export function pairText(pair: PairStatusView, colours: Colours): string {
  const there = ROLES.flatMap((role) => statusOf(pair.members[role]) ?? []);
  const [{ nodeName }] = there;
  const verdict = pair.redundant ? colours.good('each member could answer for the other') : colours.bad('NOT REDUNDANT');
  const lines = [
    `Tandem on ${printable(nodeName)}: ${verdict}`,
    line('', ROLES.map((role) => role), colours.strong),
    ...rowsOf(pair).map(([title, cell]) => line(title, ROLES.map((role) => {
      const status = statusOf(pair.members[role]);
      return status === null ? '-' : cell(status, role);
    }))),
  ];
  const problems = there.flatMap(({ role, policy }) => policy.problems.map((problem) => `${role}: ${printable(problem)}`));
  const notes = [...pair.attention, ...problems];
  if (notes.length > 0) lines.push(colours.warn('Look at'), ...notes.slice(0, PROBLEMS_MAX).map((note) => `  ${printable(note)}`));
  if (notes.length > PROBLEMS_MAX) lines.push(`  and ${notes.length - PROBLEMS_MAX} more: -o json has them`);
  return `${lines.join('\n')}\n`;
}

function rowsOf({ share }: PairStatusView): readonly Row[] {
  return [
    ['Process', ({ version, pid, uptimeSeconds }) => `${version}, pid ${pid}, up ${durationText(uptimeSeconds)}`],
    ['Incarnation', ({ incarnation }) => incarnation],
    ['Ready', ({ readiness }) => (readiness.ready ? 'yes' : `no: ${readiness.reason}`)],
    ['Heartbeat', ({ dataPlane: { heartbeatAgeSeconds } }) => (heartbeatAgeSeconds === null ? 'none yet' : `${Math.round(heartbeatAgeSeconds * 1_000)} ms ago`)],
    ['Answered', (status, role) => `${answersOf(status)}${percent(share[role])}`],
    [' of these', ({ counters }) => `${counters.refused} refused, ${counters.failed} failed`],
    ['Takeovers', ({ counters }) => `${counters.takeovers ?? 0} (${counters.taken ?? 0} queries taken)`],
    ['Answers for', ({ dataPlane }) => (dataPlane.adopted > 0 ? 'itself and its peer' : 'itself')],
    ['Slots', ({ dataPlane }) => `${dataPlane.underWay} of ${dataPlane.slots} in use`],
    ['Link', ({ peer }) => `${peer.connected ? 'up' : 'down'}${peer.since === null ? '' : ` for ${sinceText(peer.since)}`}, lag ${peer.lag}`],
    ['Policy', ({ policy }) => (policy.revision === null ? 'none: all is refused' : `revision ${policy.revision} (${(policy.hash ?? '').slice(0, HASH_DIGITS)})`)],
    ['Endpoints', ({ policy }) => `${policy.endpoints}, ${policy.ruleSets} rule sets`],
    ['Cache', ({ cache }) => `${cache.names} names, ${cache.mappings} mappings`],
    ['State', ({ state }) => (state.written ? 'on disk' : 'NOT WRITTEN')],
    ['Datapath', ({ datapath }) => `${datapath.kind}: ${datapath.reason}`],
    ['Listening', ({ listen }) => listText(listen)],
    ['Upstreams', ({ upstreams }) => listText(upstreams)],
    ['HTTP', ({ httpListen }) => httpListen],
  ];
}

function line(title: string, cells: readonly string[], paint: (text: string) => string = (text) => text): string {
  const texts = cells.map((cell, i) => {
    const text = cut(printable(cell), CELL_WIDTH - 1);
    return i === cells.length - 1 ? paint(text) : paint(text) + ' '.repeat(CELL_WIDTH - text.length);
  });
  return title.padEnd(TITLE_WIDTH) + texts.join('');
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

function percent(share: number | null): string {
  return share === null ? '' : ` (${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %)`;
}

function listText(texts: readonly string[]): string {
  if (texts.length === 0) return 'none';
  return texts.length === 1 ? texts[0] : `${texts[0]} and ${texts.length - 1} more`;
}

function sinceText(time: string): string {
  return durationText(Math.max(0, (Date.now() - Date.parse(time)) / 1_000));
}
