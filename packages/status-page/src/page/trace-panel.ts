/** The form that asks what policy says of a query, and its answer with the reason. Nothing is sent to a resolver. */
import { ApiError, type EndpointRow, get, query, type Rule, type TraceAnswer } from './api.js';
import { byId, el } from './dom.js';
import { visible } from './format.js';
import type { PairModel } from './pair-model.js';

const TIMEOUT_MS = 5_000;
const SUGGESTIONS_MAX = 500;
const VERDICTS: Readonly<Record<TraceAnswer['verdict'], { readonly word: string; readonly level: string }>> = {
  allow: { word: 'Allowed', level: 'good' },
  refuse: { word: 'Refused', level: 'bad' },
  audit: { word: 'Refused, let pass by audit mode', level: 'warn' },
};

export class TracePanel {
  private readonly server = byId<HTMLInputElement>('trace-server');
  private readonly answer = byId('trace-answer');
  private latest = 0;
  private wasFilled = false;

  constructor() {
    const form = byId<HTMLFormElement>('trace-form');
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.trace(new FormData(form));
    });
    // What pods there are is asked when it is needed.
    byId('trace-from').addEventListener('focus', () => void this.suggest(), { once: true });
  }

  /** The server that pods ask most likely: the upstream. Written once, and never over what somebody typed. */
  fill(model: PairModel): void {
    const upstream = model.members[model.self].status?.upstreams[0];
    if (this.wasFilled || upstream === undefined) return;
    this.wasFilled = true;
    if (this.server.value === '') this.server.value = upstream.replace(/^\[?(.*?)\]?:\d+$/, '$1');
  }

  private async suggest(): Promise<void> {
    const endpoints = await get<EndpointRow[]>('/api/v1/endpoints', TIMEOUT_MS).catch(() => []);
    byId('pods').replaceChildren(...endpoints.slice(0, SUGGESTIONS_MAX).map(({ namespace, pod }) => el('option', { value: `${namespace}/${pod}` })));
  }

  private async trace(form: FormData): Promise<void> {
    const mine = ++this.latest;
    const fields = Object.fromEntries([...form].map(([key, value]) => [key, typeof value === 'string' ? value.trim() : '']));
    this.answer.replaceChildren(el('p', { class: 'faint' }, 'Asking…'));
    const shown = await get<TraceAnswer>(`/api/v1/policy/trace?${query(fields)}`, TIMEOUT_MS).then(answerOf, (error: unknown) => (
      [el('p', { class: 'level-bad' }, error instanceof ApiError ? visible(error.message) : String(error))]
    ));
    if (mine === this.latest) this.answer.replaceChildren(...shown);
  }
}

function answerOf(trace: TraceAnswer): HTMLElement[] {
  const { word, level } = VERDICTS[trace.verdict];
  const from = trace.endpoint === null ? 'a stranger' : `${trace.endpoint.namespace}/${trace.endpoint.pod}`;
  const verdict = el('strong', { class: `verdict level-${level}` }, word);
  const parts: HTMLElement[] = [
    el('p', {}, verdict, ` ${trace.reason}`),
    el('p', { class: 'faint' }, `${visible(from)} asks ${trace.server.address}:${trace.port} (${trace.protocol}) for ${visible(trace.name)}; policy revision ${trace.revision}`),
  ];
  if (trace.rule !== null) {
    parts.push(el('p', {}, 'By ', ...ruleText(trace.rule), trace.rule.pattern === null ? null : el('span', {}, ', pattern ', el('code', {}, visible(trace.rule.pattern)))));
  }
  if (trace.deniedBy.length > 0) parts.push(el('p', {}, 'Closed by ', ...trace.deniedBy.flatMap((rule, index) => [...(index > 0 ? [', '] : []), ...ruleText(rule)])));
  if (trace.nearest.length > 0) {
    parts.push(el('p', { class: 'faint' }, 'Nearest rules:'));
    parts.push(el('ol', { class: 'nearest' }, ...trace.nearest.map((rule) => el('li', {}, ...ruleText(rule), el('span', { class: 'block' }, visible(rule.explanation))))));
  }
  return parts;
}

function ruleText({ kind, namespace, name, path }: Rule): (HTMLElement | string)[] {
  return [`${kind} `, el('b', {}, visible(namespace === '' ? name : `${namespace}/${name}`)), ' ', el('code', {}, visible(path))];
}

