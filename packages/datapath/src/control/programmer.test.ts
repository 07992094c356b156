import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Snapshot } from '@tandem/core';
import t, { type Test } from 'tap';
import { marksFrom } from '../names.js';
import { compileProgram, type Program } from '../program/index.js';
import { NO_LOG, staysAlive, until } from '../testing/kernel-test.js';
import { enterOwnNamespace } from '../testing/namespace.js';
import { nft, setsOf, snapshotOf } from '../testing/open-sets.js';
import { Programmer } from './programmer.js';
import { fingerprint, generation } from './table-watch.js';

enterOwnNamespace();

staysAlive(t);

function programOf(snapshot: Snapshot): Program {
  return compileProgram({
    snapshot: { ...snapshot, endpoints: snapshot.endpoints.map((one, n) => ({ ...one, at: one.addresses.map((address) => ({ address, interface: 100 + n })) })) },
    divert: null, nameOf: () => null, bridgePorts: [], marks: marksFrom(0x0100_0000), redirectTo: { v4: { address: '127.0.0.153', port: 53 }, v6: null },
    grantScope: 'node', auditMode: false, logGroup: null, podCidrs: [], isTransparentUpstream: false,
  });
}

function stage(t: Test) {
  nft('flush ruleset');
  const state = { mayWrite: true, written: [] as boolean[] };
  const programmer = new Programmer({ log: NO_LOG, mayWrite: () => state.mayWrite, open: () => new Map(), onWritten: (_, isWhole) => state.written.push(isWhole) });
  t.teardown(() => { programmer.follow(); });
  programmer.lead();
  return { programmer, state };
}

const listed = (): string => execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' });
/** What the table holds; a set that stayed comes elsewhere in the list. */
const held = (): string[] => execFileSync('nft', ['list', 'table', 'inet', 'tandem'], { encoding: 'utf8' }).split(/\n\t}\n\n?/).sort();

const ONE = snapshotOf(['*.one.']);
const TWO = snapshotOf(['*.one.', '*.two.']);

t.test('the first write is whole, the next are differences, and of wants that wait only the latest is written', async (t) => {
  const { programmer, state } = stage(t);
  await programmer.want(programOf(ONE));
  t.strictSame(state.written, [true]);
  const between = programOf(TWO);
  await Promise.all([programmer.want(programOf(TWO)), programmer.want(between), programmer.want(programOf(ONE))]);
  t.strictSame(state.written, [true, false, false], 'one that was under way, and the last');
  t.notMatch(held().join(), setsOf(TWO)[1]);
  t.equal(programmer.repairs, 0);
});

t.test('a member that may not write does not, and no want waits for it', async (t) => {
  const { programmer, state } = stage(t);
  state.mayWrite = false;
  await programmer.want(programOf(ONE));
  t.strictSame([state.written, listed()], [[], '']);
});

for (const [what, text] of [['flushed', 'flush table inet tandem'], ['deleted', 'delete table inet tandem'], ['robbed of a rule', 'flush chain inet tandem egress-forward']] as const) {
  t.test(`a table that somebody has ${what} is written anew within a second`, async (t) => {
    const { programmer, state } = stage(t);
    await programmer.want(programOf(ONE));
    const before = held();
    nft(text);
    t.ok(await until(() => state.written.length === 2));
    t.strictSame([state.written[1], programmer.repairs], [true, 1]);
    t.strictSame(held(), before);
  });
}

for (const [what, text] of [['flushed', 'flush table inet tandem'], ['robbed of a rule', 'flush chain inet tandem egress-forward']] as const) {
  t.test(`a table that somebody has ${what} just before the next write is written whole`, async (t) => {
    const { programmer, state } = stage(t);
    await programmer.want(programOf(TWO));
    const expected = held();
    await programmer.want(programOf(ONE));
    nft(text);
    await programmer.want(programOf(TWO));
    t.strictSame([state.written, programmer.repairs], [[true, false, true], 1]);
    t.strictSame(held(), expected);
  });
}

t.test('addresses that are opened between two writes are nobody else\'s change', async (t) => {
  const { programmer, state } = stage(t);
  await programmer.want(programOf(ONE));
  nft(`add element inet tandem ${setsOf(ONE)[0]} { 192.0.2.1 timeout 60s }`);
  await programmer.want(programOf(TWO));
  t.strictSame([state.written, programmer.repairs], [[true, false], 0]);
});

t.test('addresses that are opened all the time are nobody else\'s change', async (t) => {
  const { programmer, state } = stage(t);
  const [set] = setsOf(ONE);
  await programmer.want(programOf(ONE));
  for (let round = 0; round < 40; round++) {
    nft(Array.from({ length: 20 }, (_, i) => `add element inet tandem ${set} { 192.0.2.${i} timeout ${60 + round}s }`).join('\n'));
    await new Promise(setImmediate);
  }
  nft('add table inet others');
  t.ok(await generation() !== null);
  t.strictSame([programmer.repairs, state.written.length], [0, 1]);
});

t.test('with no descriptor left nothing ends but the look; then all goes on', async (t) => {
  const { programmer, state } = stage(t);
  await programmer.want(programOf(ONE));
  execFileSync('prlimit', ['--nofile=256', '--pid', String(process.pid)]);
  const taken: number[] = [];
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch {
    t.strictSame([await generation(), await fingerprint()], [null, null]);
  }
  const wanted = programmer.want(programOf(TWO));
  t.ok(await until(() => programmer.problem !== null), 'it is said');
  t.match(programmer.problem, /EMFILE/);
  for (const fd of taken) closeSync(fd);
  await wanted;
  t.strictSame([state.written, programmer.problem], [[true, true], null]);
});
