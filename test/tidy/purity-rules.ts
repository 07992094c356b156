/**
 * What `core` may not name: sources of time, chance, locale and scheduling, which would make two runs of one seed differ.
 * The compiler already refuses Node and DOM globals there (`"types": []`); this rule refuses what the language itself brings.
 */
import ts from 'typescript';
import { lineOf, visit } from './source-file.js';

const bannedNames = new Set([
  'Date', 'Intl', 'WeakRef', 'FinalizationRegistry', 'Promise', 'Atomics', 'globalThis', 'eval', 'Function', 'performance',
  'crypto', 'process', 'Buffer', 'console', 'setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval',
  'queueMicrotask', 'TextDecoder', 'TextEncoder',
]);

/** Results of these differ between engines, or are random. */
const bannedMath = new Set([
  'random', 'exp', 'expm1', 'log', 'log1p', 'log2', 'log10', 'pow', 'sin', 'cos', 'tan', 'asin', 'acos', 'atan', 'atan2',
  'sinh', 'cosh', 'tanh', 'asinh', 'acosh', 'atanh', 'cbrt', 'hypot',
]);

const bannedMethods = new Set(['localeCompare', 'toLocaleString', 'toLocaleLowerCase', 'toLocaleUpperCase', 'toLocaleDateString']);

/** `path:line name`, one for each use. */
export function impurities(path: string, file: ts.SourceFile): string[] {
  const found: string[] = [];
  visit(file, (node) => {
    const name = impurityOf(node);
    if (name !== null) found.push(`${path}:${String(lineOf(file, node))} ${name}`);
  });
  return found;
}

function impurityOf(node: ts.Node): string | null {
  if (node.kind === ts.SyntaxKind.AsyncKeyword) return 'async';
  if (ts.isAwaitExpression(node)) return 'await';
  if (ts.isForOfStatement(node) && node.awaitModifier !== undefined) return 'for await';
  if (ts.isPropertyAccessExpression(node)) {
    const member = node.name.text;
    if (bannedMethods.has(member)) return member;
    return node.expression.getText() === 'Math' && bannedMath.has(member) ? `Math.${member}` : null;
  }
  if (ts.isElementAccessExpression(node) && node.expression.getText() === 'Math') return 'Math[…]';
  if (ts.isIdentifier(node) && bannedNames.has(node.text) && isReference(node)) return node.text;
  return null;
}

/** Not the name of a member, property or parameter that happens to be spelled the same. */
function isReference(node: ts.Identifier): boolean {
  const parent = node.parent;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent) || ts.isPropertyDeclaration(parent)) return parent.name !== node;
  return !(ts.isMethodDeclaration(parent) || ts.isMethodSignature(parent) || ts.isQualifiedName(parent));
}
