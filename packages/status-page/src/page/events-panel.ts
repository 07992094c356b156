/** What happened, newest first, and the problems that an operator should mend. */
import { byId, el, setText } from './dom.js';
import type { PairEvent } from './events.js';
import { clockText, visible } from './format.js';
import { type PairModel, ROLES } from './pair-model.js';

const PROBLEMS_MAX = 20;

export class EventsPanel {
  private readonly list = byId('events');

  draw(events: readonly PairEvent[]): void {
    this.list.replaceChildren(...events.map(({ timeMs, level, text }) => (
      el('li', { class: `level-${level}` }, el('time', { datetime: new Date(timeMs).toISOString() }, clockText(timeMs)), el('span', {}, text))
    )));
  }
}

export class ProblemsPanel {
  private readonly section = byId('problems');
  private readonly list = byId('problem-list');
  private readonly title = byId('problems-title');
  private shown = '';

  draw(model: PairModel): void {
    const problems = ROLES.flatMap((role) => (model.members[role].status?.policy.problems ?? []).map((text) => ({ role, text: visible(text) })));
    const key = JSON.stringify(problems);
    if (key === this.shown) return;
    this.shown = key;
    this.section.hidden = problems.length === 0;
    setText(this.title, problems.length === 1 ? '1 problem' : `${problems.length} problems`);
    const rest = problems.length - PROBLEMS_MAX;
    this.list.replaceChildren(
      ...problems.slice(0, PROBLEMS_MAX).map(({ role, text }) => el('li', {}, el('span', { class: `tag role-${role}` }, role), el('span', {}, text))),
      ...(rest > 0 ? [el('li', {}, `and ${rest} more: tandem status`)] : []),
    );
  }
}
