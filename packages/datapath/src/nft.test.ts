import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '@tandem/core';
import t from 'tap';
import { applyNft, nftError, readNft } from './nft.js';

/** A program in place of nft: what matters is how it ends. */
function program(folder: string, script: string): string {
  const path = join(folder, 'program');
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

t.test('a missing nft is named, with the package that has it', async (t) => {
  await t.rejects(applyNft('add table inet x\n', { binary: '/nowhere/nft' }), { code: 'UNAVAILABLE', message: /no program \/nowhere\/nft: install the package nftables/ });
});

t.test('without the privilege the message names the remedy', (t) => {
  const error = nftError('netlink: Error: cache initialization failed: Operation not permitted\n', 'add table inet x');
  t.equal(error.code, 'UNAVAILABLE');
  t.match(error.message, /run as root, or give the capability CAP_NET_ADMIN/);
  t.match(nftError('/dev/stdin:1:1-9: Error: Could not process rule: Operation not supported\n', 'x').message, /the kernel lacks something of nftables/);
  t.end();
});

t.test('a refused text is told with its line', (t) => {
  const error = nftError('/dev/stdin:2:7-11: Error: syntax error, unexpected fwd, expecting string\nchain fwd {\n', 'table inet x {\nchain fwd {\n}\n}\n');
  t.equal(error.message, 'nft refuses line 2, "chain fwd {": Error: syntax error, unexpected fwd, expecting string');
  t.strictSame(error.details, { line: 2, text: 'chain fwd {' });
  t.ok(nftError('/dev/stdin:1:1-1: Error: too much\n', 'x'.repeat(10_000)).message.length < 500, 'a long line is cut');
  t.equal(nftError('Error: No such file or directory\nlist table inet tandem\n', '').code, 'NOT_FOUND');
  t.match(nftError('', '').message, /ended without a word/);
  t.end();
});

t.test('a run that does not end is ended, and one that says too much is cut off', async (t) => {
  const folder = t.testdir();
  const sleeper = program(folder, 'exec sleep 600');
  await t.rejects(applyNft('x', { binary: sleeper, timeoutMs: 50 }), { code: 'UNAVAILABLE', message: /did not end within 50 ms/ });
  const talker = program(folder, 'exec yes');
  await t.rejects(readNft(['list'], { binary: talker }), { code: 'UNAVAILABLE', message: /says more than/ });
});

t.test('what it says is given back; what it does not read does no harm; nothing to do starts nothing', async (t) => {
  const folder = t.testdir();
  t.equal(await readNft(['a', 'b'], { binary: program(folder, 'echo "$@"') }), 'a b\n');
  await applyNft('x'.repeat(4_000_000), { binary: program(folder, 'exit 0') });
  await t.rejects(applyNft('x'.repeat(4_000_000), { binary: program(folder, 'echo "/dev/stdin:1:1-1: Error: no" >&2; exit 1') }), AppError);
  await applyNft('', { binary: '/nowhere/nft' });
});
