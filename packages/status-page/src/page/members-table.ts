/** Both members side by side, as text: what the picture and the plots show, and the numbers that they have no room for. */
import type { Role, Status } from './api.js';
import { el, setAttribute, setText } from './dom.js';
import { countText, durationText, millisecondsText, rateText } from './format.js';
import type { Sample } from './history.js';
import { type MemberModel, type PairModel, ROLES } from './pair-model.js';

interface Row {
  readonly label: string;
  /** `–` where it is not known. */
  readonly of: (member: MemberModel, latest: Sample | null) => string;
  /** Both members should have the same. */
  readonly isAlike?: boolean;
}

const UNKNOWN = '–';
const HASH_DIGITS = 12;

const ROWS: readonly Row[] = [
  { label: 'State', of: ({ state, detail }) => state === 'starting' ? `starting: ${detail}` : detail },
  { label: 'Its sockets are read by', of: ({ socketsReadBy, role }) => socketsReadBy === role ? 'itself' : socketsReadBy },
  { label: 'Held by the peer', of: from((_, member) => member.isHeld ? 'yes' : 'no') },
  { label: 'Version', of: from(({ version }) => version), isAlike: true },
  { label: 'Process', of: from(({ pid, incarnation }) => `pid ${pid}, incarnation ${incarnation.slice(0, 8)}`) },
  { label: 'Up for', of: from(({ uptimeSeconds }) => durationText(uptimeSeconds)) },
  { label: 'Policy', of: from(({ policy }) => policy.revision === null ? 'none: all is refused' : `revision ${policy.revision}, ${(policy.hash ?? '').slice(0, HASH_DIGITS)}`), isAlike: true },
  { label: 'Queries per second', of: ({ role }, latest) => rateText(latest?.rates[role]?.queries ?? null) },
  { label: 'Refused per second', of: ({ role }, latest) => rateText(latest?.rates[role]?.refused ?? null) },
  { label: 'Latency p50 / p99', of: ({ role }, latest) => latencyText(latest, role) },
  { label: 'Queries since start', of: from(({ counters }) => countText(counters.queries ?? 0)) },
  { label: 'Refused since start', of: from(({ counters }) => countText(counters.refused ?? 0)) },
  { label: 'Takeovers, queries taken', of: from(({ counters }) => `${countText(counters.takeovers ?? 0)}, ${countText(counters.taken ?? 0)}`) },
  { label: 'Under way, slots free', of: from(({ dataPlane }) => dataPlane === undefined ? UNKNOWN : `${countText(dataPlane.underWay)}, ${countText(dataPlane.slotsFree)} of ${countText(dataPlane.slots)}`) },
  { label: 'TCP connections', of: from(({ dataPlane }) => dataPlane === undefined ? UNKNOWN : countText(dataPlane.tcpConnections)) },
  { label: 'FQDN cache', of: from(({ cache }) => `${countText(cache.names)} names, ${countText(cache.mappings)} mappings`) },
  { label: 'Link to the peer', of: from(({ peer }) => peer.connected ? `up, ${countText(peer.lag)} behind` : 'down') },
  { label: 'Upstreams', of: from(({ upstreams }) => upstreams.join(', ')), isAlike: true },
];

export class MembersTable {
  private readonly cells: readonly Readonly<Record<Role, HTMLElement>>[];

  constructor(body: HTMLElement) {
    this.cells = ROWS.map(() => ({ 'agent': el('td'), 'dns-proxy': el('td') }));
    body.replaceChildren(...ROWS.map(({ label }, index) => el('tr', {}, el('th', { scope: 'row' }, label), ...ROLES.map((role) => this.cells[index][role]))));
  }

  draw(model: PairModel, latest: Sample | null): void {
    ROWS.forEach((row, index) => {
      const texts = ROLES.map((role) => row.of(model.members[role], latest));
      const differs = row.isAlike === true && texts[0] !== texts[1] && !texts.includes(UNKNOWN);
      ROLES.forEach((role, column) => {
        const cell = this.cells[index][role];
        setText(cell, texts[column]);
        setAttribute(cell, 'class', differs ? 'differs' : texts[column] === UNKNOWN ? 'unknown' : '');
      });
    });
  }
}

function from(of: (status: Status, member: MemberModel) => string): Row['of'] {
  return (member) => member.status === null || member.state === 'unknown' ? UNKNOWN : of(member.status, member);
}

function latencyText(latest: Sample | null, role: Role): string {
  const latency = latest?.latency[role] ?? null;
  return latency === null ? UNKNOWN : `${millisecondsText(latency.p50)} / ${latency.isOpen ? 'over ' : ''}${millisecondsText(latency.p99)}`;
}
