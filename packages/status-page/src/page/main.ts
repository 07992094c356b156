/**
 * The page's start and its one clock: asks the member that serves it how the pair is, once a second (a hidden tab seldom), and hands
 * the answer to what draws. There is one question under way at a time, each with a deadline, so a hung member cannot pile them up.
 */
import { get, type PairAnswer } from './api.js';
import { startCachePanel } from './cache-panel.js';
import { byId, setAttribute, setText } from './dom.js';
import { EventLog } from './events.js';
import { EventsPanel, ProblemsPanel } from './events-panel.js';
import { FlowsPanel } from './flows-panel.js';
import { clockText } from './format.js';
import { History } from './history.js';
import { MembersTable } from './members-table.js';
import { lostModel, pairModel, type PairModel, peerOf, ROLES } from './pair-model.js';
import { type Load, PairPicture } from './pair-picture.js';
import { Plots } from './plots.js';
import { ThemeSwitch } from './theme.js';
import { TracePanel } from './trace-panel.js';

const POLL_MS = 1_000;
const POLL_HIDDEN_MS = 10_000;
/** So that a hung member is told of within two seconds. */
const TIMEOUT_MS = 900;

class Page {
  private readonly history = new History();
  private readonly log = new EventLog();
  private readonly picture = new PairPicture(byId('picture'));
  private readonly plots = new Plots(this.history, { 'agent': byId('plot-agent'), 'dns-proxy': byId('plot-dns-proxy'), 'latency': byId('plot-latency') });
  private readonly members = new MembersTable(byId('member-rows'));
  private readonly events = new EventsPanel();
  private readonly problems = new ProblemsPanel();
  private readonly flows = new FlowsPanel();
  private readonly trace = new TracePanel();
  private model: PairModel | null = null;
  private timer = 0;
  private isAsking = false;

  start(): void {
    new ThemeSwitch(byId('theme'), () => { this.plots.rebuild(); });
    startCachePanel();
    document.addEventListener('visibilitychange', () => { this.poll(); });
    new ResizeObserver(() => { this.drawPicture(); }).observe(byId('picture'));
    this.poll();
  }

  private poll(): void {
    clearTimeout(this.timer);
    if (this.isAsking) return;
    this.isAsking = true;
    const startedAtMs = performance.now();
    if (!document.hidden) void this.flows.poll();
    void this.ask().finally(() => {
      this.isAsking = false;
      const everyMs = document.hidden ? POLL_HIDDEN_MS : POLL_MS;
      this.timer = setTimeout(() => { this.poll(); }, Math.max(0, everyMs - (performance.now() - startedAtMs)));
    });
  }

  private async ask(): Promise<void> {
    try {
      const pair = await get<PairAnswer>('/api/v1/pair', TIMEOUT_MS);
      this.history.add(pair);
      this.show(pairModel(pair), Math.max(...pair.members.map(({ askedAt }) => Date.parse(askedAt))));
      setText(byId('updated'), `as of ${clockText(Date.now())}`);
    } catch (error) {
      this.history.miss(Date.now());
      if (this.model === null) {
        setText(byId('headline'), 'The member that serves this page does not answer');
        setAttribute(byId('headline'), 'class', 'headline level-bad');
      } else this.show(lostModel(this.model, error instanceof Error ? error.message : String(error)), Date.now());
    }
  }

  private show(model: PairModel, timeMs: number): void {
    this.model = model;
    setText(byId('headline'), model.headline);
    setAttribute(byId('headline'), 'class', `headline level-${model.level}`);
    setAttribute(document.body, 'data-level', model.level);
    for (const role of ROLES) setAttribute(document.body, `data-${role}`, model.members[role].state);
    setText(byId('node'), model.nodeName);
    setText(byId('served-by'), `served by ${model.self}`);
    document.title = `${model.level === 'good' ? '' : '⚠ '}Tandem ${model.nodeName}`;
    if (this.log.add(model, timeMs)) this.events.draw(this.log.events);
    this.problems.draw(model);
    this.trace.fill(model);
    this.drawPicture();
    this.members.draw(model, this.history.samples.at(-1) ?? null);
    this.plots.draw();
    this.drawOther(model);
  }

  private drawPicture(): void {
    if (this.model === null) return;
    const rates = this.history.samples.at(-1)?.rates ?? null;
    const all = ROLES.reduce((sum, role) => sum + (rates?.[role]?.queries ?? 0), 0);
    const loads = Object.fromEntries(ROLES.map((role) => {
      const queries = rates?.[role]?.queries ?? null;
      return [role, { queriesPerSecond: queries, sharePercent: queries === null || all === 0 ? null : (queries * 100) / all }];
    })) as Record<(typeof ROLES)[number], Load>;
    this.picture.draw(this.model, loads);
  }

  /** Where this page's member is dead, the other one's page may be had: what was last known of that one stands. */
  private drawOther(model: PairModel): void {
    const link = byId<HTMLAnchorElement>('other');
    const at = model.members[peerOf(model.self)].status?.httpListen;
    link.hidden = at === undefined;
    if (at === undefined) return;
    const address = at.replace(/^(?:0\.0\.0\.0|\[::\]):/, `${location.hostname}:`);
    setAttribute(link, 'href', `http://${address}/`);
    setText(link, `page of ${peerOf(model.self)}`);
  }
}

new Page().start();
