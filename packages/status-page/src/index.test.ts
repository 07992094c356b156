import t from 'tap';
import { STATUS_PAGE_BYTES_MAX, statusPageFiles } from './index.js';

const files = statusPageFiles();
const text = (path: string): string => Buffer.from(files.find((file) => file.path === path)!.bytes).toString('utf8');

t.test('the page fits into 150 KB with all that it loads', (t) => {
  const bytes = files.reduce((sum, file) => sum + file.bytes.length, 0);
  t.comment(`${String(bytes)} bytes in ${String(files.length)} files`);
  t.ok(bytes <= STATUS_PAGE_BYTES_MAX, `${String(bytes)} bytes`);
  t.end();
});

t.test('all that the page and its scripts name is served, and nothing comes from elsewhere', (t) => {
  const paths = new Set(files.map(({ path }) => path));
  const named = [...text('/').matchAll(/(?:src|href)="([^"#]+)"/g)].map((match) => match[1]).filter((one) => !one.startsWith('/api/'));
  t.ok(named.length >= 5, 'the page names what it loads');
  t.strictSame(named.filter((one) => !paths.has(one)), []);
  const scripts = files.filter(({ path, contentType }) => contentType.startsWith('text/javascript') && path !== '/assets/uplot.js');
  const imports = scripts.flatMap(({ path }) => [...text(path).matchAll(/from '\.\/([^']+)'/g)].map((match) => `/assets/${match[1]}`));
  t.ok(imports.length > 10, 'the scripts import each other');
  t.strictSame(imports.filter((one) => !paths.has(one)), []);
  t.strictSame([...paths].filter((path) => path.includes('.test.')), [], 'no test is served');
  t.end();
});

t.test('the page has no inline script, style or handler, which its policy would block', (t) => {
  t.notMatch(text('/'), /<style|\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=|javascript:/i);
  t.end();
});

t.test('no script reads markup from a string', (t) => {
  for (const { path } of files.filter((file) => file.path.endsWith('.js') && file.path !== '/assets/uplot.js')) {
    t.notMatch(text(path), /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|createContextualFragment|srcdoc/, path);
  }
  t.end();
});
