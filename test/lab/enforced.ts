/** A lab with the pair on its first node, for tests; both go with the test. What the pair said is told when the test fails. */
import type { Test } from 'tap';
import { Stage, labOptions } from './scenarios/stage.js';
import { Telling } from './scenarios/telling.js';
import type { SetUp } from './scenarios/run.js';
import { Lab } from './topology/lab.js';
import { Tandem } from './topology/tandem.js';

export interface Enforced {
  readonly lab: Lab;
  readonly tandem: Tandem;
  readonly stage: Stage;
}

let count = 0;

export async function startEnforced(t: Test, options: { readonly how: SetUp; readonly scenario: string; readonly policies: Readonly<Record<string, object | string>>; readonly flags?: readonly string[] }): Promise<Enforced> {
  const lab = await Lab.held(labOptions(`e${String(process.pid)}x${String(count++)}`, options.scenario, options.how));
  t.teardown(() => Lab.down(lab.options.name));
  for (const [file, content] of Object.entries(options.policies)) lab.apply(file, content);
  const tandem = await Tandem.start(lab, 1, options.flags);
  t.teardown(() => {
    if (!t.passing()) t.comment(tandem.output());
  });
  const stage = new Stage(lab, new Telling((told) => {
    if (told.kind === 'saw') t.ok(told.isSo, told.expected, told.isSo ? {} : { seen: told.seen });
  }));
  return { lab, tandem, stage };
}

export function where(how: SetUp): string {
  return `${how.wiring}${how.wiring === 'bridge' ? ` with bridge-nf-call-iptables ${String(how.nfCall)}` : ''}, IPv${String(how.family)}`;
}
