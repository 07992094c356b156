import t from 'tap';
import { SHORT_CASES } from './cases.js';
import { planOf, UsageError } from './options.js';

t.test('without flags everything is run, of the pair', (t) => {
  const { member, rounds, cases } = planOf([]);
  t.match({ member, rounds }, { member: 'pair', rounds: 7 });
  t.ok(cases.length > SHORT_CASES.length);
  t.end();
});

t.test('flags narrow a run; --short alone can be overruled by each', (t) => {
  const ids = (args: string[]): string[] => planOf(args).cases.map(({ id }) => id);
  t.strictSame(ids(['--only', 'tcp,allowed', '--only', 'mixed']), ['allowed', 'mixed', 'tcp']);
  t.strictSame(ids(['--short']).sort(), [...SHORT_CASES].sort());
  t.match(planOf(['--short', '--rounds', '9', '--member', 'agent']), { rounds: 9, seconds: 1, member: 'agent' });
  t.end();
});

t.test('what cannot be meant is refused with the flag, the value and what may stand there', (t) => {
  const cases: [string[], string][] = [
    [['--rounds', '0'], '--rounds 0: must be a whole number from 1 to 100'],
    [['--seconds', '1.5'], '--seconds 1.5: must be a whole number from 1 to 600'],
    [['--member', 'both'], '--member both: must be one of pair, agent, dns-proxy'],
    [['--only', 'allowed,tpc'], '--only tpc: must be of allowed, '],
    [['--fast'], "Unknown option '--fast'"],
    [['allowed'], 'flags: --only'],
    [['--only'], 'flags: --only'],
  ];
  for (const [args, message] of cases) {
    try {
      planOf(args);
      t.fail(`${args.join(' ')} is taken`);
    } catch (error) {
      t.ok(error instanceof UsageError);
      t.match(String(error), message);
    }
  }
  t.end();
});
