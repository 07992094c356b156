import t from 'tap';
import { readRepositoryFile, repositoryFiles } from '../harness/repository.js';
import { isTestFile } from './import-rules.js';
import { LARGE } from './sizes.js';
import { functionsOf, parse } from './source-file.js';

const FILE_LINES_AIM = 400;
const FUNCTION_LINES_AIM = 70;
const PARAMETERS_AIM = 4;

/** What is over an aim, by what it is: `path`, `path name` and `path name()`, for lines of files and functions and for parameters. */
function largeOf(path: string, text: string): [what: string, size: number][] {
  const found: [what: string, size: number][] = [];
  const see = (what: string, size: number, aim: number): void => {
    if (size > aim) found.push([what, size]);
  };
  see(path, text.split('\n').length - 1, FILE_LINES_AIM);
  if (!path.endsWith('.ts') || isTestFile(path)) return found;
  for (const { name, lines, parameters } of functionsOf(parse(path, text))) {
    see(`${path} ${name}`, lines, FUNCTION_LINES_AIM);
    see(`${path} ${name}()`, parameters, PARAMETERS_AIM);
  }
  return found;
}

/** Of several with one name the largest counts. */
function largest(found: readonly [what: string, size: number][]): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const [what, size] of found) sizes.set(what, Math.max(size, sizes.get(what) ?? 0));
  return sizes;
}

t.test('no file, function or list of parameters is over its aim, or larger than what is listed for it', (t) => {
  const sources = repositoryFiles().filter((path) => /\.(ts|cc|h)$/.test(path) && !path.includes('/generated/'));
  t.ok(sources.length > 300, 'the sources are found');
  const sizes = largest(sources.flatMap((path) => largeOf(path, readRepositoryFile(path))));
  const grown = [...sizes].filter(([what, size]) => size > (LARGE[what] ?? 0)).map(([what, size]) => `${what}: ${String(size)}, allowed: ${String(LARGE[what] ?? 'none')}`);
  t.strictSame(grown, []);
  t.strictSame(Object.keys(LARGE).filter((what) => !sizes.has(what)), [], 'what is within its aim is not listed');
  t.end();
});

t.test('sizes are counted in lines', (t) => {
  const [one] = functionsOf(parse('x.ts', 'function f(a: number, b: number) {\n  return a +\n    b;\n}\n'));
  t.match(one, { name: 'f', line: 1, lines: 4, parameters: 2 });
  const long = `function f(a, b, c, d, e) {${'\n'.repeat(FUNCTION_LINES_AIM)}}\n`;
  t.strictSame(largeOf('x.ts', long), [['x.ts f', 71], ['x.ts f()', 5]]);
  t.strictSame(largeOf('x.test.ts', long), [], 'functions of tests may be long');
  t.strictSame(largeOf('x.cc', '\n'.repeat(401)), [['x.cc', 401]]);
  t.strictSame([...largest([['x f', 80], ['x f', 90], ['x f', 85]])], [['x f', 90]]);
  t.end();
});
