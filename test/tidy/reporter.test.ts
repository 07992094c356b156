import t from 'tap';
import Reporter from '../report/reporter.js';

async function report(tap: string): Promise<string> {
  const reporter = new Reporter();
  reporter.end(tap);
  return (await reporter.setEncoding('utf8').toArray()).join('');
}

const passing = `TAP version 14
1..1
# Subtest: a.test.js
    # Subtest: a thing
        ok 1 - yes
        # measured 5 ms
        # Subtest: nested
            ok 1 - inner
            1..1
        ok 2 - nested # time=1.4ms
        1..2
    ok 1 - a thing # time=7.7ms
    some text
    1..1
    # time=9ms
ok 1 - a.test.js # time=37.374ms
# time=60ms
`;

t.test('assertions are counted once, sums of subtests are not', async (t) => {
  const text = await report(passing);
  t.match(text, /ok {3}a\.test\.js \(2, 0\.0 s\)/);
  t.match(text, /a thing: measured 5 ms/);
  t.match(text, /some text/);
  t.ok(text.endsWith('\n2 passed, 0 failed\n'), text);
});

t.test('a failed assertion is shown with its details and counted once', async (t) => {
  const text = await report(`# Subtest: a.test.js
    # Subtest: b thing
        not ok 1 - bad
          ---
          diff: |
            ok 1 - not a test point
          ...
        ok 2 - good
        1..2
    not ok 1 - b thing # time=7.7ms
      ---
      at: somewhere
      ...
    1..1
not ok 1 - a.test.js # time=37.374ms
  ---
  exitCode: 1
  ...
1..1
`);
  t.match(text, /FAIL a\.test\.js > b thing > bad\n {5}diff: \|\n/);
  t.ok(text.endsWith('\n1 passed, 1 failed\n'), text);
});

t.test('a file that crashes after its last assertion still counts as a failure', async (t) => {
  const text = await report(`# Subtest: a.test.js
    ok 1 - fine
    1..1
not ok 1 - a.test.js # time=37.374ms
  ---
  exitCode: 9
  ...
1..1
`);
  t.match(text, /FAIL a\.test\.js\n {5}exitCode: 9\n/);
  t.ok(text.endsWith('\n1 passed, 1 failed\n'), text);
});

t.test('a file without any assertion that exits badly counts as a failure', async (t) => {
  const text = await report('# Subtest: a.test.js\n    1..0\nnot ok 1 - a.test.js # time=3ms\n  ---\n  exitCode: 1\n  ...\n1..1\n');
  t.ok(text.endsWith('\n0 passed, 1 failed\n'), text);
});

t.test('skipped tests are counted apart', async (t) => {
  const text = await report('# Subtest: a.test.js\n    ok 1 - later # SKIP no such kernel\n    ok 2 - now\n    1..2\nok 1 - a.test.js # time=3ms\n1..1\n');
  t.ok(text.endsWith('\n1 skipped\n1 passed, 0 failed\n'), text);
});
