/** One member's status for people: every counter that is not zero, and all addresses. */
import type { StatusView } from '@tandem/host';
import { columns, printable } from '../output.js';
import { durationText } from './duration-text.js';

const HASH_DIGITS = 12;

export function memberText(status: StatusView): string {
  const { policy, peer, cache, dataPlane } = status;
  const text = columns([
    ['Member', `${status.role} ${status.version}, pid ${status.pid}, up ${durationText(status.uptimeSeconds)}`],
    ['Ready', status.readiness.ready ? 'yes' : `no: ${status.readiness.reason}`],
    ['Redundant', `${dataPlane.redundant ? 'yes' : 'NO'}${dataPlane.adopted > 0 ? ': answers for its peer' : ''}`],
    ['Node', status.nodeName],
    ['Listening', status.listen.join(', ')],
    ['Upstreams', status.upstreams.join(', ')],
    ['HTTP', status.httpListen],
    ['Policy', policy.revision === null
      ? 'none: everything is refused'
      : `revision ${policy.revision} (${(policy.hash ?? '').slice(0, HASH_DIGITS)}), ${policy.endpoints} endpoints, ${policy.ruleSets} rule sets`],
    ['Peer', peer.connected ? `connected, revision ${peer.revision ?? 'none'}, ${peer.lag} mappings behind` : 'not connected'],
    ['Cache', `${cache.names} names, ${cache.mappings} mappings`],
    ['Slots', `${dataPlane.underWay} of ${dataPlane.slots} in use`],
    ['State', `${status.state.dir}: ${status.state.written ? 'on disk' : 'NOT WRITTEN'}`],
    ['Datapath', `${status.datapath.kind}: ${status.datapath.reason}`],
    ['Queries', Object.entries(status.counters).filter(([, count]) => count > 0).map(([name, count]) => `${name} ${count}`).join(', ') || 'none yet'],
  ]);
  const problems = policy.problems.map((problem) => `  ${printable(problem)}\n`);
  return problems.length === 0 ? text : `${text}Problems\n${problems.join('')}`;
}
