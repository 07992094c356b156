import t from 'tap';
import { SetBatch } from './set-batch.js';

/** begin; `add element inet tandem s { 10.0.0.1 timeout 30s }`; end: struct by struct, attribute by attribute. */
const GOLDEN = [
  '14000000 1000 0100 01000000 00000000', '00 00 000a',
  '54000000 0c0a 0504 02000000 00000000', '01 00 0000',
  '0b00 0100 74616e64656d00 00', '0600 0200 7300 0000',
  '2c00 0380', '2800 0180', '0c00 0180', '0800 0100 0a000001', '0c00 0400 0000000000007530', '0c00 0500 0000000000007530',
  '14000000 1100 0100 03000000 00000000', '00 00 000a',
].join('').replaceAll(' ', '');

t.test('an element is written as the kernel reads it', (t) => {
  const batch = new SetBatch(4);
  batch.add('s', new Uint8Array([10, 0, 0, 1]), 30_000);
  t.equal(Buffer.from(batch.take()).toString('hex'), GOLDEN);
  t.end();
});

t.test('it is full before a further element would not fit, and empty when it was taken', (t) => {
  const batch = new SetBatch(3);
  const key = new Uint8Array(32);
  let count = 0;
  while (!batch.isFull) {
    batch.add('pod-fqdn6-0123456789abcdef', key, 1);
    count++;
  }
  t.ok(count >= 3);
  t.equal(batch.size, count);
  batch.take();
  t.equal(batch.size, 0);
  t.equal(batch.take().length, 40, 'nothing but begin and end');
  t.end();
});
