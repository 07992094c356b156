/** What a package's source exports, and which exported names a source uses: read from the syntax tree alone, by name, without types. */
import ts from 'typescript';
import { lineOf, visit } from './source-file.js';

export interface Export {
  readonly name: string;
  readonly line: number;
  /** The source itself uses it, too. */
  readonly isUsedHere: boolean;
}

/** Declarations with `export`. Doors, which export what others declare, have none. */
export function exportsOf(file: ts.SourceFile): Export[] {
  const declared = file.statements.filter(isExported).flatMap(declaredNames);
  const names = new Set(declared);
  const used = new Set<string>();
  visit(file, (node) => {
    if (ts.isIdentifier(node) && !names.has(node) && !isInExport(node) && !isMemberName(node)) used.add(node.text);
  });
  return declared.map((name) => ({ name: name.text, line: lineOf(file, name), isUsedHere: used.has(name.text) }));
}

/** Names as other sources export them: imported by name, or taken from a module that is imported late or as a whole. */
export function importedNames(file: ts.SourceFile): Set<string> {
  const found = new Set<string>();
  const whole = new Set<string>();
  visit(file, (node) => {
    if (ts.isNamespaceImport(node)) whole.add(node.name.text);
    else if (ts.isImportSpecifier(node)) found.add((node.propertyName ?? node.name).text);
    else if (ts.isImportTypeNode(node) && node.qualifier !== undefined) found.add(node.qualifier.getText(file));
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) lateNames(node, found);
  });
  visit(file, (node) => {
    if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression) && whole.has(node.expression.text)) found.add(node.name.text);
    if (ts.isQualifiedName(node) && ts.isIdentifier(node.left) && whole.has(node.left.text)) found.add(node.right.text);
  });
  return found;
}

/** Of `const { a, b: c } = await import('x')`, and of a list of such, a and b; of `(await import('x')).a` and `import('x').then(({ a }) => …)` a. */
function lateNames(call: ts.CallExpression, found: Set<string>): void {
  for (let node: ts.Node = call; !ts.isStatement(node) && !ts.isSourceFile(node); node = node.parent) {
    if (ts.isPropertyAccessExpression(node.parent)) found.add(node.parent.name.text);
    if (!ts.isVariableDeclaration(node.parent) && !ts.isCallExpression(node.parent)) continue;
    visit(node.parent, (inner) => {
      if (ts.isBindingElement(inner) && ts.isIdentifier(inner.propertyName ?? inner.name)) found.add((inner.propertyName ?? inner.name).getText());
    });
  }
}

function isExported(statement: ts.Statement): boolean {
  const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) ?? [] : [];
  return modifiers.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) && !modifiers.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword);
}

function declaredNames(statement: ts.Statement): ts.Identifier[] {
  const names = ts.isVariableStatement(statement) ? statement.declarationList.declarations.map(({ name }) => name) : [(statement as ts.DeclarationStatement).name];
  return names.filter((name) => name !== undefined && ts.isIdentifier(name));
}

function isInExport(node: ts.Node): boolean {
  return ts.isExportSpecifier(node.parent);
}

/** The x of `a.x`, `x: 1`, `{ x(): void }`, which says nothing of an export x; the x of `{ x }` does. */
function isMemberName(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node;
  if (ts.isPropertyAssignment(parent) || ts.isClassElement(parent) || ts.isTypeElement(parent)) return parent.name === node;
  return ts.isBindingElement(parent) && parent.propertyName === node;
}
