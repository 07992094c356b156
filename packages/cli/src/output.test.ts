import t from 'tap';
import { columns, ownLabels, printable, render } from './output.js';

t.test('columns are at least five wide with three blanks between, and the last is ragged', (t) => {
  t.equal(columns([['a', 'b', 'c'], ['aaaaaa', 'b', 'cccccccc']]), 'a        b    c\naaaaaa   b    cccccccc\n');
  t.equal(columns([]), '');
  t.end();
});

t.test('no control character of a name reaches the terminal', (t) => {
  t.equal(printable('a\x1b[2Jb\nc\u2028'), 'a\\u001b[2Jb\\u000ac\\u2028');
  t.match(columns([['\x07', 'x']]), /^\\u0007/);
  t.end();
});

t.test('each form is rendered', (t) => {
  const table = (): string => 'T\n';
  t.equal(render([{ a: 1 }], 'json', table), '[\n  {\n    "a": 1\n  }\n]\n');
  t.equal(render([{ a: 1 }], 'yaml', table), '- a: 1\n');
  t.equal(render([], 'table', table), 'T\n');
  t.end();
});

t.test('labels that every pod has are left out for people', (t) => {
  t.equal(ownLabels(['k8s:app=web', 'k8s:io.cilium.k8s.policy.cluster=default', 'k8s:io.kubernetes.pod.namespace=demo', 'k8s:team=a']), 'k8s:app=web,k8s:team=a');
  t.end();
});
