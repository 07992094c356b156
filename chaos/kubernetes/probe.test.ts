/** What dnsperf prints becomes figures; what a cluster's file says is held to its form. */
import t from 'tap';
import { readRepositoryFile } from '#harness/repository.js';
import { targetFrom } from './lib/cluster-file.js';
import { resultOf } from './lib/probe.js';
import { figuresOf } from './lib/run.js';

const OUTPUT = `pid 4711
DNS Performance Testing Tool
[Timeout] Query timed out: msg id 7
Warning: received a response with an unexpected id: 12
Statistics:

  Queries sent:         1200
  Queries completed:    1196 (99.67%)
  Queries lost:         1 (0.08%)
  Queries interrupted:  3 (0.25%)

  Response codes:       NOERROR 1190 (99.50%), SERVFAIL 2 (0.17%), REFUSED 4 (0.33%)
  Run time (s):         2.000000

  Average Latency (s):  0.001500 (min 0.000100, max 0.250000)
`;

t.test('figures of dnsperf', (t) => {
  const result = resultOf(OUTPUT);
  t.strictSame(result, { sent: 1197, answered: 1196, lost: 1, unexpected: 1, codes: { NOERROR: 1190, SERVFAIL: 2, REFUSED: 4 }, averageMs: 1.5, worstMs: 250 });
  t.throws(() => resultOf('Error: nobody there'), /no figures: Error: nobody there/);
  t.end();
});

t.test('a denied name that is answered counts as wrong, an allowed one that is refused as refused', (t) => {
  const allowed = resultOf(OUTPUT);
  const denied = { sent: 10, answered: 10, lost: 0, unexpected: 0, codes: { REFUSED: 9, NOERROR: 1 }, averageMs: 1, worstMs: 300 };
  const figures = figuresOf({ allowed, denied }, { allowed, denied }, { convergeMs: 5 });
  t.match(figures, { sent: 1207, answered: 1206, lost: 1, twice: 1, wrong: 1, failed: 2, refused: 4, worstMs: 300, convergeMs: 5 });
  t.end();
});

t.test('a cluster\'s file: the example is taken, and each fault of it named', (t) => {
  const example = JSON.parse(readRepositoryFile('chaos/kubernetes/cluster.example.json')) as Record<string, unknown>;
  t.equal(targetFrom(JSON.stringify(example)).freshName(3), 'h3.fresh.example.com');
  const faults: readonly (readonly [object, RegExp])[] = [
    [{ kubectl: [] }, /"kubectl" must be the words of a command/],
    [{ namespace: 7 }, /"namespace" must be/],
    [{ names: { allowed: ['a'], denied: ['b'], fresh: { pattern: 'none', count: 3 } } }, /"names" must be/],
    [{ cut: { off: ['x'], on: ['y'] } }, /"cut" must be/],
    [{ otherImages: { agent: 'x' } }, /"otherImages" must be/],
    [{ kubectx: ['x'] }, /"kubectx" is not known/],
  ];
  for (const [change, complaint] of faults) t.throws(() => targetFrom(JSON.stringify({ ...example, ...change })), complaint);
  t.throws(() => targetFrom('[]'), /must be a JSON object/);
  t.end();
});
