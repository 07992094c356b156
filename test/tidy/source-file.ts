/**
 * What the rules need to know of one TypeScript source: its imports, its names and its functions, read from the syntax
 * tree alone, without types.
 */
import ts from 'typescript';

export interface Import {
  /** As written: `node:fs`, `./x.js`, `@tandem/dns/codec`. */
  readonly specifier: string;
  readonly line: number;
}

export interface FunctionSize {
  readonly name: string;
  readonly line: number;
  readonly lines: number;
  readonly parameters: number;
}

export function parse(path: string, text: string): ts.SourceFile {
  return ts.createSourceFile(path, text, ts.ScriptTarget.ES2024, true);
}

export function lineOf(file: ts.SourceFile, node: ts.Node): number {
  return file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
}

export function visit(node: ts.Node, see: (node: ts.Node) => void): void {
  see(node);
  ts.forEachChild(node, (child) => {
    visit(child, see);
  });
}

/** Static, dynamic and type imports, and re-exports. */
export function importsOf(file: ts.SourceFile): Import[] {
  const found: Import[] = [];
  const add = (literal: ts.Node | undefined): void => {
    if (literal !== undefined && ts.isStringLiteralLike(literal)) {
      found.push({ specifier: literal.text, line: lineOf(file, literal) });
    }
  };
  visit(file, (node) => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node.moduleSpecifier);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) add(node.arguments[0]);
  });
  return found;
}

/** Functions with a body, the outer before the inner. */
export function functionsOf(file: ts.SourceFile): FunctionSize[] {
  const found: FunctionSize[] = [];
  visit(file, (node) => {
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return;
    const first = lineOf(file, node);
    const last = file.getLineAndCharacterOfPosition(node.getEnd()).line + 1;
    found.push({ name: functionName(node), line: first, lines: last - first + 1, parameters: node.parameters.length });
  });
  return found;
}

function functionName(node: ts.SignatureDeclaration): string {
  if (node.name !== undefined) return node.name.getText();
  const parent = node.parent as ts.Node | undefined;
  if (parent !== undefined && (ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent))) return parent.name.getText();
  return ts.isConstructorDeclaration(node) ? 'constructor' : '(anonymous)';
}
