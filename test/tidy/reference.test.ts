import t from 'tap';
import { SETTINGS } from '@tandem/core';
import { readRepositoryFile } from '../harness/repository.js';
import { CLI_PAGE, CLI_PAGE_COMMAND, cliPage } from './cli-page.js';
import { METRICS_PAGE, METRICS_PAGE_COMMAND, metricsPage } from './metrics-page.js';
import { SETTINGS_PAGE, SETTINGS_PAGE_COMMAND, settingsPage } from './settings-page.js';

t.test('the page of settings says what the daemons read', (t) => {
  t.equal(readRepositoryFile(SETTINGS_PAGE), settingsPage(), `write it anew: ${SETTINGS_PAGE_COMMAND}`);
  const rows = settingsPage().split('\n').filter((line) => line.startsWith('|'));
  t.equal(rows.length, SETTINGS.length + 2);
  for (const row of rows) t.equal(row.split(/(?<!\\)\|/).length, 7, row);
  t.end();
});

t.test('the page of the command line says what --help says', (t) => {
  t.equal(readRepositoryFile(CLI_PAGE), cliPage(), `write it anew: ${CLI_PAGE_COMMAND}`);
  t.end();
});

t.test('the page of metrics says what a scrape gives', (t) => {
  t.equal(readRepositoryFile(METRICS_PAGE), metricsPage(), `write it anew: ${METRICS_PAGE_COMMAND}`);
  t.end();
});

t.test('the page of the HTTP API names each route, and its examples are JSON', (t) => {
  const page = readRepositoryFile('docs/reference/api.md');
  const table = /^const routes[^]*?^\};/m.exec(readRepositoryFile('packages/host/src/control/http-routes.ts'))?.[0] ?? '';
  const paths = [...table.matchAll(/^ {2}'(\/[^']*)': /gm)].map((match) => match[1]);
  t.ok(paths.length >= 9, 'the routes are found');
  const rows = page.split('\n').filter((line) => line.startsWith('| `')).map((line) => line.split('|')[1].trim());
  t.strictSame(paths.filter((path) => !rows.some((row) => row.endsWith(` ${path}\``))), []);
  const examples = page.split('```json\n').slice(1).map((part) => part.slice(0, part.indexOf('```')));
  t.ok(examples.length >= 6, 'the examples are found');
  for (const example of examples) t.ok(JSON.parse(example), example.slice(0, 40));
  t.end();
});
