import t from 'tap';
import { readRepositoryFile, repositoryFiles } from '../harness/repository.js';
import { isTestFile } from './import-rules.js';
import { functionsOf, parse } from './source-file.js';

const FILE_LINES_AIM = 400;
const FUNCTION_LINES_AIM = 70;
const PARAMETERS_AIM = 4;

t.test('long files and functions are reported, for a reader to judge', (t) => {
  const sources = repositoryFiles().filter((path) => /\.(ts|cc|h)$/.test(path) && !path.includes('/generated/'));
  t.ok(sources.length > 0, 'the sources are found');
  for (const path of sources) {
    const text = readRepositoryFile(path);
    const lines = text.split('\n').length - 1;
    if (lines > FILE_LINES_AIM) t.comment(`${path}: ${String(lines)} lines`);
    if (!path.endsWith('.ts') || isTestFile(path)) continue;
    for (const one of functionsOf(parse(path, text))) {
      if (one.lines > FUNCTION_LINES_AIM) t.comment(`${path}:${String(one.line)} ${one.name}: ${String(one.lines)} lines`);
      if (one.parameters > PARAMETERS_AIM) t.comment(`${path}:${String(one.line)} ${one.name}: ${String(one.parameters)} parameters`);
    }
  }
  t.end();
});

t.test('sizes are counted in lines', (t) => {
  const [one] = functionsOf(parse('x.ts', 'function f(a: number, b: number) {\n  return a +\n    b;\n}\n'));
  t.match(one, { name: 'f', line: 1, lines: 4, parameters: 2 });
  t.end();
});
