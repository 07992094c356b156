/**
 * Recent flows, live: asks for what is new since the last look, and keeps the newest. The filter works at the member, so a rare
 * flow is found among many. Each flow is shown once, by its uuid, whichever member it came through.
 *
 * Invariant: at most `ROWS_MAX` rows; that some were passed over is said, never hidden.
 */
import { ApiError, get, query } from './api.js';
import { byId, el, setText } from './dom.js';
import { type FlowAnswer, flowRow, type FlowRow } from './flow-row.js';

const ROWS_MAX = 100;
const TIMEOUT_MS = 2_000;
const FILTER_PAUSE_MS = 300;

export class FlowsPanel {
  private readonly body = byId('flow-rows');
  private readonly outcome = byId('flows-outcome');
  private readonly form = byId<HTMLFormElement>('flow-filter');
  private readonly pause = byId<HTMLButtonElement>('flows-pause');
  private readonly uuids = new Map<string, HTMLElement>();
  private cursor = '';
  private filter: Readonly<Record<string, string>> = {};
  private isPaused = false;
  private isAsking = false;
  private more: 'no' | 'older' | 'passed over' = 'no';
  private typing = 0;

  constructor() {
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.refilter();
    });
    this.form.addEventListener('input', () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => { this.refilter(); }, FILTER_PAUSE_MS);
    });
    this.pause.addEventListener('click', () => {
      this.isPaused = !this.isPaused;
      this.pause.setAttribute('aria-pressed', String(this.isPaused));
      setText(this.pause, this.isPaused ? 'Resume' : 'Pause');
    });
  }

  /** Looks for what is new; nothing while paused, or while it still waits for an answer. */
  async poll(): Promise<void> {
    if (this.isPaused || this.isAsking) return;
    this.isAsking = true;
    const { filter } = this;
    try {
      const answer = await get<FlowAnswer>(`/api/v1/flows?${query({ last: String(ROWS_MAX), since: this.cursor, ...filter })}`, TIMEOUT_MS);
      if (filter === this.filter) this.show(answer);
    } catch (error) {
      setText(this.outcome, error instanceof ApiError ? error.message : String(error));
    } finally {
      this.isAsking = false;
    }
  }

  private refilter(): void {
    clearTimeout(this.typing);
    const fields = Object.fromEntries([...new FormData(this.form)].map(([key, value]) => [key, typeof value === 'string' ? value.trim() : '']));
    if (JSON.stringify(fields) === JSON.stringify(this.filter)) return;
    this.filter = fields;
    this.cursor = '';
    this.more = 'no';
    this.uuids.clear();
    this.body.replaceChildren();
    void this.poll();
  }

  private show(answer: FlowAnswer): void {
    if (answer.more) this.more = this.cursor === '' ? 'older' : 'passed over';
    else if (this.more === 'passed over') this.more = 'no';
    this.cursor = answer.cursor;
    for (const flow of answer.flows) {
      const row = flowRow(flow);
      if (this.uuids.has(row.uuid)) continue;
      const shown = elementOf(row);
      this.uuids.set(row.uuid, shown);
      this.body.prepend(shown);
    }
    // The oldest came first into the map.
    for (const [uuid, shown] of this.uuids) {
      if (this.uuids.size <= ROWS_MAX) break;
      shown.remove();
      this.uuids.delete(uuid);
    }
    setText(this.outcome, this.sentence());
  }

  private sentence(): string {
    const isFiltered = Object.values(this.filter).some((value) => value !== '');
    if (this.uuids.size === 0) {
      if (!isFiltered) return 'No flow yet: nobody has asked anything.';
      return this.more === 'no' ? 'No flow matches the filter.' : 'Among the newest flows none matches the filter; tandem observe looks through all.';
    }
    return this.more === 'passed over' ? 'Flows come faster than they can be shown: some are left out. tandem observe has all.' : '';
  }
}

function elementOf(row: FlowRow): HTMLElement {
  return el('tr', { class: `flow-${row.level}` },
    el('td', { class: 'number' }, el('time', { datetime: row.time }, row.clock)),
    el('td', { class: 'name' }, row.from),
    el('td', { class: 'name' }, row.to),
    el('td', {}, row.kind),
    el('td', { class: 'name' }, row.name),
    el('td', { class: 'mono' }, row.types),
    el('td', {}, el('span', { class: `verdict level-${row.level}` }, row.verdict)),
    el('td', { class: 'name mono' }, row.answer),
    el('td', { class: 'number' }, row.latency));
}
