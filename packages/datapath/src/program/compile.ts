/**
 * Snapshot and places → the tables. Pure: equal input gives an equal program.
 *
 * Invariant: no set and no chain is one pod's alone (but the chain of a bridge's port): pods are elements of maps, by interface and
 * address, which lead to the chains that pods with equal rules share.
 */
import { bridgeTables } from './bridge-tables.js';
import { guardTable } from './guard-table.js';
import { inetTable } from './inet-table.js';
import type { ProgramInput } from './input.js';
import { nodePods } from './node.js';
import type { Program } from './program.js';

export function compileProgram(input: ProgramInput): Program {
  const pods = nodePods(input);
  return { tables: [inetTable(pods), ...(pods.isRedirected ? [guardTable(pods)] : []), ...bridgeTables(pods)] };
}
