/**
 * The stories in test/stories, each with the transcript that is expected below a line of dashes.
 * `npm run stories -- --rewrite` writes what happens now; the difference is then for review.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';
import { SEPARATOR, tellStory } from './story.js';

const isRewriting = process.argv.includes('--rewrite');
/** This file runs as packages/sim/dist/story/stories.test.js. */
const folder = resolve(import.meta.dirname, '../../../../test/stories');
const EXTENSION = '.story';

/** Each row of the failure table has a story of one of these names. */
const FAILURE_TABLE = [
  'kill-agent', 'hang-agent', 'starve', 'kill-proxy', 'hang-proxy', 'both-dead', 'link-cut', 'source-away', 'upstream-silent', 'upstream-slow',
  'upstream-lies', 'datapath-slow', 'datapath-refuses', 'disk-full', 'corrupt-state',
];

const stories = readdirSync(folder).filter((name) => name.endsWith(EXTENSION)).sort();

t.test('each row of the failure table has its story', (t) => {
  const names = stories.map((name) => name.slice(0, -EXTENSION.length));
  t.strictSame(FAILURE_TABLE.filter((name) => !names.includes(name)), []);
  t.end();
});

for (const name of stories) {
  t.test(name, (t) => {
    const path = join(folder, name);
    const [script = '', expected = ''] = readFileSync(path, 'utf8').split(`\n${SEPARATOR}\n`);
    const told = `${tellStory(script).join('\n')}\n`;
    if (isRewriting) writeFileSync(path, `${script.trimEnd()}\n${SEPARATOR}\n${told}`);
    else t.strictSame(told.split('\n'), expected.split('\n'));
    t.end();
  });
}

t.test('a story that cannot be read says which line is wrong', (t) => {
  t.throws(() => tellStory('# a comment\nrun 1ms\nfly agent\n'), /line 3: fly agent: there is no such command/);
  t.throws(() => tellStory('kill nobody'), /"nobody" is no member: agent or dns-proxy/);
  t.throws(() => tellStory('run soon'), /"soon" is no duration/);
  t.throws(() => tellStory('query client=pod-0 name=nowhere.'), /there is no such name/);
  t.end();
});
