/**
 * The pair as a picture: the kernel's socket group, the two members, and a line from each member's sockets to whoever reads them
 * now. Lines that hold (for a takeover) are dotted. Drawn once per width, then only changed, so that nothing flickers.
 *
 * Does not decide anything: it draws a `PairModel`. All that it shows stands in the table of members, too, as text.
 */
import type { Role } from './api.js';
import { setAttribute, setText, svg } from './dom.js';
import { durationText, rateText } from './format.js';
import { type MemberModel, type PairModel, peerOf, ROLES } from './pair-model.js';

/** Queries a second that a member receives, and its share of all; null: not known. */
export interface Load {
  readonly queriesPerSecond: number | null;
  readonly sharePercent: number | null;
}

interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

interface Layout {
  readonly width: number;
  readonly height: number;
  readonly isWide: boolean;
  readonly kernel: Rect;
  readonly rows: Readonly<Record<Role, Rect>>;
  readonly cards: Readonly<Record<Role, Rect>>;
}

interface CardNodes {
  readonly frame: SVGElement;
  readonly state: SVGElement;
  readonly lines: readonly SVGElement[];
}

interface RowNodes {
  readonly group: SVGElement;
  readonly reads: SVGElement;
  readonly flow: SVGElement;
  readonly holds: SVGElement;
  readonly note: SVGElement;
}

const WIDE_FROM_PX = 600;
const CHARACTER_PX = 6.7;
const STATE_CHARACTER_PX = 7.2;
const PADDING_PX = 14;

export class PairPicture {
  private readonly host: HTMLElement;
  private layout: Layout | null = null;
  private root: SVGSVGElement | null = null;
  private cards: Record<Role, CardNodes> | null = null;
  private rows: Record<Role, RowNodes> | null = null;
  private address: SVGElement | null = null;
  private link: { readonly line: SVGElement; readonly text: SVGElement } | null = null;

  constructor(host: HTMLElement) {
    this.host = host;
  }

  draw(model: PairModel, loads: Readonly<Record<Role, Load>>): void {
    const width = Math.max(300, Math.floor(this.host.clientWidth));
    if (this.layout?.width !== width) this.build(layoutFor(width));
    const layout = this.layout!;
    for (const role of ROLES) {
      this.drawCard(this.cards![role], layout, model.members[role], loads[role]);
      this.drawRow(layout, model, role, loads);
    }
    const addresses = [...new Set(ROLES.flatMap((role) => model.members[role].status?.listen ?? []))];
    setText(this.address!, fit(addresses.length > 2 ? `${addresses.slice(0, 2).join(', ')} +${addresses.length - 2}` : addresses.join(', '), layout.kernel.width - 2 * PADDING_PX));
    const isUp = model.isLinked === true;
    setAttribute(this.link!.line, 'class', `link ${isUp ? 'up' : 'down'}`);
    setText(this.link!.text, isUp ? `link up, ${lagText(model)}` : model.isLinked === null ? 'link: not known' : 'link down');
    setAttribute(this.root!, 'aria-label', describe(model));
  }

  private build(layout: Layout): void {
    const { kernel, width, height } = layout;
    const root = svg('svg', { class: 'pair', role: 'img', viewBox: `0 0 ${width} ${height}`, width, height });
    const lines = svg('g');
    const front = svg('g');
    front.append(svg('rect', { class: 'kernel', x: kernel.x, y: kernel.y, width: kernel.width, height: kernel.height, rx: 10 }));
    front.append(svg('text', { class: 'title', x: kernel.x + PADDING_PX, y: kernel.y + 24 }, 'Kernel'));
    front.append(svg('text', { class: 'faint', x: kernel.x + PADDING_PX + 62, y: kernel.y + 24 }, 'one SO_REUSEPORT group'));
    this.address = svg('text', { class: 'mono', x: kernel.x + PADDING_PX, y: kernel.y + 44 });
    front.append(this.address);
    const rows = ROLES.map((role) => [role, buildRow({ lines, front, layout, role })] as const);
    const cards = ROLES.map((role) => [role, buildCard(front, layout.cards[role], role)] as const);
    this.link = buildLink(lines, front, layout);
    root.append(lines, front);
    this.host.replaceChildren(root);
    this.root = root;
    this.layout = layout;
    this.rows = Object.fromEntries(rows) as Record<Role, RowNodes>;
    this.cards = Object.fromEntries(cards) as Record<Role, CardNodes>;
  }

  private drawCard(nodes: CardNodes, layout: Layout, member: MemberModel, load: Load): void {
    const { status, state, role } = member;
    const room = layout.cards[role].width - 2 * PADDING_PX;
    setAttribute(nodes.frame, 'class', `card role-${role} state-${state}`);
    setAttribute(nodes.state, 'class', `state state-${state}`);
    setText(nodes.state, fit(`● ${member.detail}`, room, STATE_CHARACTER_PX));
    const share = load.sharePercent === null ? '' : `, ${Math.round(load.sharePercent)} %`;
    const texts = status === null ? [member.socketsReadBy === peerOf(role) ? `${peerOf(role)} answers for it` : '', '', ''] : [
      `${rateText(load.queriesPerSecond)} queries/s${share}`,
      `pid ${status.pid}, up ${durationText(status.uptimeSeconds)}`,
      `${status.version}, ${layout.isWide ? 'incarnation ' : ''}${status.incarnation.slice(0, 8)}`,
    ];
    nodes.lines.forEach((line, index) => { setText(line, fit(texts[index], room)); });
  }

  private drawRow(layout: Layout, model: PairModel, role: Role, loads: Readonly<Record<Role, Load>>): void {
    const { reads, flow, holds, note, group } = this.rows![role];
    const member = model.members[role];
    const reader = member.socketsReadBy;
    const isRead = reader === 'agent' || reader === 'dns-proxy';
    setAttribute(group, 'class', `sockets role-${role}${isRead ? '' : ' unread'}`);
    const path = isRead ? curve(layout, role, reader, 0) : '';
    setAttribute(reads, 'd', path);
    setAttribute(reads, 'class', `reads role-${role}${reader === role ? '' : ' adopted'}`);
    setAttribute(flow, 'd', path);
    setAttribute(flow, 'class', isRead && (loads[reader].queriesPerSecond ?? 0) > 0 ? `flow role-${role}` : 'flow still');
    const isHeldByPeer = member.isHeld && reader === role && model.members[peerOf(role)].status !== null;
    setAttribute(holds, 'd', isHeldByPeer ? curve(layout, role, peerOf(role), 1) : '');
    setText(note, reader === role ? '' : reader === 'nobody' ? 'nobody reads' : reader === 'unknown' ? 'not known' : `read by ${reader}`);
  }
}

function layoutFor(width: number): Layout {
  if (width >= WIDE_FROM_PX) {
    const height = 316;
    const cardWidth = Math.min(300, Math.floor(width * 0.42));
    const kernelWidth = Math.min(310, Math.floor(width * 0.4));
    const kernel = { x: 1, y: 22, width: kernelWidth, height: height - 44 };
    const card = { x: width - cardWidth - 1, width: cardWidth, height: 128 };
    const row = { x: kernel.x + PADDING_PX, width: kernelWidth - 2 * PADDING_PX, height: 76 };
    return {
      width, height, isWide: true, kernel,
      rows: { 'agent': { ...row, y: kernel.y + 62 }, 'dns-proxy': { ...row, y: kernel.y + kernel.height - 76 - PADDING_PX } },
      cards: { 'agent': { ...card, y: 1 }, 'dns-proxy': { ...card, y: height - 129 } },
    };
  }
  const half = Math.floor((width - 12) / 2);
  const kernel = { x: 1, y: 1, width: width - 2, height: 150 };
  const row = { y: kernel.y + 60, width: half - PADDING_PX - 4, height: 76 };
  const card = { y: 226, width: half, height: 128 };
  return {
    width, height: 400, isWide: false, kernel,
    rows: { 'agent': { ...row, x: kernel.x + PADDING_PX - 2 }, 'dns-proxy': { ...row, x: half + 18 } },
    cards: { 'agent': { ...card, x: 1 }, 'dns-proxy': { ...card, x: width - half - 1 } },
  };
}

function buildRow({ lines, front, layout, role }: { readonly lines: SVGElement; readonly front: SVGElement; readonly layout: Layout; readonly role: Role }): RowNodes {
  const rect = layout.rows[role];
  const reads = svg('path');
  const flow = svg('path', { class: 'flow still' });
  const holds = svg('path', { class: `holds role-${role}` });
  lines.append(holds, reads, flow);
  const note = svg('text', { class: 'note', x: rect.x + 12, y: rect.y + 66 });
  const group = svg('g', {},
    svg('rect', { class: 'row', x: rect.x, y: rect.y, width: rect.width, height: rect.height, rx: 8 }),
    svg('text', { class: 'owner', x: rect.x + 12, y: rect.y + 20 }, layout.isWide ? `sockets of ${role}` : role),
    ...['UDP', 'TCP'].flatMap((name, index) => [
      svg('rect', { class: 'chip', x: rect.x + 12 + index * 56, y: rect.y + 28, width: 48, height: 24, rx: 5 }),
      svg('text', { class: 'chip-text', x: rect.x + 36 + index * 56, y: rect.y + 44, 'text-anchor': 'middle' }, name),
    ]),
    note);
  front.append(group);
  return { group, reads, flow, holds, note };
}

function buildCard(front: SVGElement, rect: Rect, role: Role): CardNodes {
  const frame = svg('rect', { x: rect.x, y: rect.y, width: rect.width, height: rect.height, rx: 10 });
  const left = rect.x + PADDING_PX;
  const state = svg('text', { x: left, y: rect.y + 48 });
  const lines = [0, 1, 2].map((index) => svg('text', { class: index === 0 ? 'value' : 'faint', x: left, y: rect.y + 72 + index * 20 }));
  front.append(frame, svg('text', { class: 'title', x: left, y: rect.y + 26 }, role), state, ...lines);
  return { frame, state, lines };
}

function buildLink(lines: SVGElement, front: SVGElement, { isWide, cards, height }: Layout): { readonly line: SVGElement; readonly text: SVGElement } {
  const { agent, 'dns-proxy': proxy } = cards;
  if (isWide) {
    const x = agent.x + 40;
    const line = svg('path', { d: `M${x},${agent.y + agent.height} V${proxy.y}` });
    const text = svg('text', { class: 'faint', x: x + 12, y: height / 2 + 4 });
    lines.append(line);
    front.append(text);
    return { line, text };
  }
  const y = agent.y + agent.height;
  const line = svg('path', { d: `M${agent.x + agent.width / 2},${y} v20 H${proxy.x + proxy.width / 2} v-20` });
  const text = svg('text', { class: 'faint', x: (agent.x + proxy.x + proxy.width) / 2, y: y + 38, 'text-anchor': 'middle' });
  lines.append(line);
  front.append(text);
  return { line, text };
}

/** From the sockets of `owner` to the member that reads or holds them; `lane` keeps the two kinds apart. */
function curve(layout: Layout, owner: Role, to: Role, lane: 0 | 1): string {
  const from = layout.rows[owner];
  const card = layout.cards[to];
  const shift = (owner === 'agent' ? -1 : 1) * 12 + (lane === 1 ? (owner === 'agent' ? 16 : -16) : 0);
  if (layout.isWide) {
    const [x1, y1, x2, y2] = [from.x + from.width, from.y + from.height / 2 + shift, card.x, card.y + card.height / 2 + shift];
    const middle = (x1 + x2) / 2;
    return `M${x1},${y1} C${middle},${y1} ${middle},${y2} ${x2},${y2}`;
  }
  const [x1, y1, x2, y2] = [from.x + from.width / 2 + shift, from.y + from.height, card.x + card.width / 2 + shift, card.y];
  const middle = (y1 + y2) / 2;
  return `M${x1},${y1} C${x1},${middle} ${x2},${middle} ${x2},${y2}`;
}

/** Text is measured by its length: near enough for one line, and it costs no layout. */
function fit(text: string, widthPx: number, characterPx = CHARACTER_PX): string {
  const room = Math.floor(widthPx / characterPx);
  return text.length <= room ? text : `${text.slice(0, Math.max(1, room - 1))}…`;
}

function lagText(model: PairModel): string {
  const lag = Math.max(...ROLES.map((role) => model.members[role].status?.peer.lag ?? 0));
  return lag === 0 ? 'caches level' : `${lag} mappings behind`;
}

function describe(model: PairModel): string {
  const members = ROLES.map((role) => {
    const { detail, socketsReadBy } = model.members[role];
    return `${role}: ${detail}; its sockets are read by ${socketsReadBy === 'unknown' ? 'an unknown member' : socketsReadBy}.`;
  });
  return `${model.headline}. ${members.join(' ')}`;
}
