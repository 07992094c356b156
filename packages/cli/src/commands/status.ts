/** `tandem status`: one member's state at a glance. */
import type { Command } from 'commander';
import type { StatusView } from '@tandem/host';
import { ask } from '../client.js';
import { memberCommand, targetOf, type CommonOptions } from '../common-options.js';
import type { Io } from '../io.js';
import { columns, printable, render } from '../output.js';

export function statusCommand(io: Io): Command {
  return memberCommand('status', 'Show what a member is doing.', ['tandem status', 'tandem status --member dns-proxy -o json'])
    .action(async (options: CommonOptions) => {
      const status = await ask<StatusView>(targetOf(options, io.env), { method: 'GET', path: '/api/v1/status' });
      io.out(render(status, options.output, () => textOf(status)));
    });
}

const HASH_DIGITS = 12;

function textOf(status: StatusView): string {
  const { policy, peer, cache } = status;
  const text = columns([
    ['Member', `${status.role} ${status.version}, pid ${status.pid}, up ${durationText(status.uptimeSeconds)}`],
    ['Ready', status.readiness.ready ? 'yes' : `no: ${status.readiness.reason}`],
    ['Node', status.nodeName],
    ['Listening', status.listen.join(', ')],
    ['Upstreams', status.upstreams.join(', ')],
    ['HTTP', status.httpListen],
    ['Policy', policy.revision === null
      ? 'none: everything is refused'
      : `revision ${policy.revision} (${(policy.hash ?? '').slice(0, HASH_DIGITS)}), ${policy.endpoints} endpoints, ${policy.ruleSets} rule sets`],
    ['Peer', peer.connected ? `connected, revision ${peer.revision ?? 'none'}, ${peer.lag} mappings behind` : 'not connected'],
    ['Cache', `${cache.names} names, ${cache.mappings} mappings`],
    ['Queries', Object.entries(status.counters).filter(([, count]) => count > 0).map(([name, count]) => `${name} ${count}`).join(', ') || 'none yet'],
  ]);
  const problems = policy.problems.map((problem) => `  ${printable(problem)}\n`);
  return problems.length === 0 ? text : `${text}Problems\n${problems.join('')}`;
}

function durationText(seconds: number): string {
  const whole = Math.floor(seconds);
  const parts = [[Math.floor(whole / 86_400), 'd'], [Math.floor(whole / 3_600) % 24, 'h'], [Math.floor(whole / 60) % 60, 'm'], [whole % 60, 's']] as const;
  const first = parts.findIndex(([count]) => count > 0);
  return first === -1 ? '0s' : parts.slice(first, first + 2).map(([count, unit]) => `${count}${unit}`).join('');
}
