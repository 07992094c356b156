import t from 'tap';
import { DRILLS } from './catalogue.js';
import { boundText, holds, ONCE } from './drill.js';
import type { Figures } from './drill.js';

const FIGURES: Figures = {
  sent: 10, answered: 10, lost: 0, twice: 0, crossed: 0, wrong: 0, failed: 0, refused: 0, worstMs: 60, worstHungMs: 0, steadyWorstMs: 20, convergeMs: 500,
};

t.test('a bound holds up to its edge, and counts from another figure where it says so', (t) => {
  t.ok(holds({ figure: 'lost', atMost: 0 }, FIGURES));
  t.notOk(holds({ figure: 'lost', atMost: 0 }, { ...FIGURES, lost: 1 }));
  t.notOk(holds({ figure: 'lost', atLeast: 1 }, FIGURES));
  const delayed = { figure: 'worstMs', atMost: 45, above: 'steadyWorstMs' } as const;
  t.ok(holds(delayed, { ...FIGURES, worstMs: 65 }));
  t.notOk(holds(delayed, { ...FIGURES, worstMs: 65.1 }));
  t.equal(boundText(delayed), 'worstMs ≤ steadyWorstMs + 45');
  t.ok(holds(ONCE, { ...FIGURES, twice: 2, crossed: 2 }));
  t.notOk(holds(ONCE, { ...FIGURES, twice: 2, crossed: 1 }));
  t.equal(boundText(ONCE), 'twice ≤ crossed');
  t.equal(boundText({ figure: 'failed', atLeast: 1, atMost: 3 }), 'failed ≤ 3, failed ≥ 1');
  t.end();
});

t.test('every drill states its experiment, and none is there twice', (t) => {
  t.equal(new Set(DRILLS.map(({ name }) => name)).size, DRILLS.length);
  for (const drill of DRILLS) {
    t.match(drill.name, /^[a-z]+(-[a-z]+)*$/);
    for (const text of [drill.hypothesis, drill.steadyState, drill.fault]) t.ok(text.length > 20 && text.endsWith('.'), `${drill.name}: ${text}`);
    t.ok(drill.expected.length > 0, `${drill.name} expects figures`);
    t.ok(drill.abort.afterSeconds <= 300, `${drill.name} is bounded in time`);
  }
  t.end();
});
