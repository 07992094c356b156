import t from 'tap';
import { readRepositoryFile, repositoryFiles } from '../harness/repository.js';
import { exportsOf, importedNames } from './exports-rules.js';
import { isTestFile } from './import-rules.js';
import { parse } from './source-file.js';

/** What only tests use, and why it is there. */
const FOR_TESTS: Readonly<Record<string, string>> = {
  NO_OBJECTS: 'objects of a test are these, and a few more',
  REGRESSIONS: 'seeds that have failed, run by the simulator\'s test',
  SEPARATOR: 'of a story\'s file, which a test reads',
  STATUS_PAGE_BYTES_MAX: 'a bound that a test holds the page to',
  disarmCodePoints: 'tests of takeovers act between two native instructions',
  onCodePoint: 'tests of takeovers act between two native instructions',
  scanCodeName: 'tests say by name what a scan came to',
  slotFlagTruncated: 'part of the journal\'s layout: native code writes it',
  tellStory: 'stories are tests',
  threadSlice: 'what was set is read back',
  unixSocketPair: 'two ends of a handover in one process',
};

/** Packages, and the tools that make pages or measure. */
function isProgram(path: string): boolean {
  return /^packages\/|^test\/bench\/|^test\/tidy\/.*-page\.ts$/.test(path) && !isTestFile(path) && !path.includes('/generated/');
}

t.test('what a package exports is used by something that is no test', (t) => {
  const sources = repositoryFiles().filter((path) => path.endsWith('.ts') && isProgram(path)).map((path) => ({ path, file: parse(path, readRepositoryFile(path)) }));
  const imported = new Set(sources.flatMap(({ file }) => [...importedNames(file)]));
  const exported = sources.filter(({ path }) => path.startsWith('packages/')).flatMap(({ path, file }) => exportsOf(file).map((one) => ({ ...one, path })));
  t.ok(exported.length > 1_000, 'the exports are found');
  const unused = exported.filter(({ name, isUsedHere }) => !isUsedHere && !imported.has(name));
  t.strictSame(unused.filter(({ name }) => !Object.hasOwn(FOR_TESTS, name)).map(({ path, line, name }) => `${path}:${String(line)} ${name}`), []);
  const names = new Set(unused.map(({ name }) => name));
  t.strictSame(Object.keys(FOR_TESTS).filter((name) => !names.has(name)), [], 'nothing is listed that is used, or that is gone');
  t.end();
});

t.test('the rule sees what is used, and where', (t) => {
  const used = (text: string): unknown[] => exportsOf(parse('x.ts', text)).map(({ name, isUsedHere }) => [name, isUsedHere]);
  t.strictSame(used('export const a = 1, b = a;'), [['a', true], ['b', false]]);
  t.strictSame(used('export function a() { return o.a + { a: 1 }.a; }'), [['a', false]], 'members of that name are no use of it');
  t.strictSame(used('export interface A { a: B } export type B = 1; interface C { b: B }'), [['A', false], ['B', true]]);
  t.strictSame(used("export { a } from './a.js'; export default class {} class B {} export { B };"), [], 'doors declare nothing');
  const imports = (text: string): string[] => [...importedNames(parse('x.ts', text))];
  t.strictSame(imports("import d, { a, b as c, type E } from './x.js';"), ['a', 'b', 'E']);
  t.strictSame(imports("import * as n from './x.js'; n.a(); let b: n.B; m.c();"), ['a', 'B']);
  t.strictSame(imports("const { a, b: c } = await import('./x.js');"), ['a', 'b']);
  t.strictSame(imports("const [{ a }, { b }] = await Promise.all([import('./x.js'), import('./y.js')]);"), ['a', 'b']);
  t.strictSame(imports("type A = import('./x.js').B;"), ['B']);
  t.end();
});
