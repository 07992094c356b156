/** What is in deploy for Prometheus and Grafana, and which metrics and labels an expression in it names. Parses no more of PromQL than that takes. */

export const RULES = 'deploy/alerts/tandem.rules.yaml';
export const DASHBOARD = 'deploy/dashboards/tandem.json';
export const RUNBOOK = 'docs/runbook.md';

export interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface RuleFile {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[];
}

/** Series that an expression selects. */
export interface Selected {
  readonly metric: string;
  /** Labels that it is selected by. */
  readonly labels: readonly string[];
}

export interface Named {
  readonly selected: readonly Selected[];
  /** Labels that it groups or matches by. */
  readonly grouped: readonly string[];
}

const KEYWORDS = new Set(['by', 'without', 'on', 'ignoring', 'group_left', 'group_right', 'offset', 'and', 'or', 'unless', 'bool']);
const TOKEN = /"(?:[^"\\]|\\.)*"|(?<words>[a-zA-Z_:][a-zA-Z0-9_:]*)|\[[^\]]*\]|[0-9.]+[a-z]*|\S/g;

export function namedIn(expr: string): Named {
  const selected: Selected[] = [];
  const grouped: string[] = [];
  const tokens = [...expr.matchAll(TOKEN)].map((match) => ({ text: match[0], isWord: match.groups?.words !== undefined }));
  for (let i = 0; i < tokens.length; i++) {
    const { text, isWord } = tokens[i];
    if (!isWord) continue;
    const next = tokens.at(i + 1)?.text;
    if (KEYWORDS.has(text)) {
      if (next !== '(' || text === 'and' || text === 'or' || text === 'unless') continue;
      for (i += 2; tokens[i].text !== ')'; i++) if (tokens[i].isWord) grouped.push(tokens[i].text);
    } else if (next === '{') {
      const labels: string[] = [];
      for (i += 2; tokens[i].text !== '}'; i++) if (tokens[i].isWord) labels.push(tokens[i].text);
      selected.push({ metric: text, labels });
    } else if (next !== '(' && !KEYWORDS.has(next ?? '') || (next !== undefined && KEYWORDS.has(next) && !isAggregation(text))) {
      selected.push({ metric: text, labels: [] });
    }
  }
  return { selected, grouped };
}

/** Before `by (…)` stands an aggregation, before other words a metric. */
function isAggregation(word: string): boolean {
  return ['sum', 'min', 'max', 'avg', 'count', 'topk', 'quantile'].includes(word);
}

interface Panel {
  readonly title?: string;
  readonly targets?: readonly { readonly expr?: string }[];
  readonly panels?: readonly Panel[];
}

/** Expressions of the dashboard, with Grafana's variables replaced by what they may stand for. */
export function dashboardExpressions(json: string): { readonly panel: string; readonly expr: string }[] {
  const dashboard = JSON.parse(json) as Panel;
  const all = (panels: readonly Panel[]): Panel[] => panels.flatMap((panel) => [panel, ...all(panel.panels ?? [])]);
  return all(dashboard.panels ?? []).flatMap(({ title = '', targets = [] }) => targets.flatMap(({ expr }) => (
    expr === undefined ? [] : [{ panel: title, expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$__range', '1h').replaceAll('$node', '.*') }]
  )));
}
