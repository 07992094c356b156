/** Search in the FQDN cache of the member that serves the page: on submit, never by itself. */
import { ApiError, type CacheRow, get, query } from './api.js';
import { byId, el, setText } from './dom.js';
import { clockText, visible } from './format.js';

const ROWS_SHOWN_MAX = 200;
const TIMEOUT_MS = 5_000;
const PATTERN_DEFAULT = '*';

export function startCachePanel(): void {
  const form = byId<HTMLFormElement>('cache-form');
  const pattern = byId<HTMLInputElement>('cache-pattern');
  const outcome = byId('cache-outcome');
  const table = byId('cache-table');
  const body = byId('cache-rows');
  let latest = 0;
  const search = async (): Promise<void> => {
    const mine = ++latest;
    setText(outcome, 'Searching…');
    try {
      // One more than is shown, so as to know that there are more.
      const matchPattern = pattern.value.trim() || PATTERN_DEFAULT;
      const rows = await get<CacheRow[]>(`/api/v1/fqdn/cache?${query({ matchPattern, limit: String(ROWS_SHOWN_MAX + 1) })}`, TIMEOUT_MS);
      if (mine !== latest) return;
      body.replaceChildren(...rows.slice(0, ROWS_SHOWN_MAX).map(rowOf));
      table.hidden = rows.length === 0;
      setText(outcome, sentence(rows.length, matchPattern));
    } catch (error) {
      if (mine !== latest) return;
      table.hidden = true;
      body.replaceChildren();
      setText(outcome, error instanceof ApiError ? error.message : String(error));
    }
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void search();
  });
}

function sentence(count: number, pattern: string): string {
  if (count === 0) return `No mapping matches ${visible(pattern)}.`;
  if (count > ROWS_SHOWN_MAX) return `The first ${ROWS_SHOWN_MAX} mappings; name fewer by a closer pattern.`;
  return count === 1 ? '1 mapping' : `${count} mappings`;
}

function rowOf(row: CacheRow): HTMLElement {
  const expiresMs = Date.parse(row['expiration-time']);
  return el('tr', {},
    el('td', { class: 'name' }, visible(row.fqdn)),
    el('td', { class: 'mono' }, row.ips.join(', ')),
    el('td', { class: 'number' }, row.source === 'connection' ? '–' : `${row.ttl} s`),
    el('td', { class: 'number' }, clockText(expiresMs)),
    el('td', { class: 'number' }, String(row['endpoint-id'])),
    el('td', {}, row.source));
}
