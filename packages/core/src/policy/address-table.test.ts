import t from 'tap';
import { AddressTable, wordsOfAddress } from './address-table.js';

t.test('addresses are found by their words, others are not', (t) => {
  const entries = Array.from({ length: 3000 }, (_, row) => ({
    address: row % 2 === 0 ? `10.${row >> 8}.${row & 255}.7` : `fd00::${row.toString(16)}`,
    row,
  }));
  const table = new AddressTable(entries);
  const words = new Uint32Array(9);
  for (const { address, row } of entries) {
    words.set(wordsOfAddress(address), 5);
    if (table.find(words, 5) !== row) t.fail(address);
  }
  for (const stranger of ['10.0.0.8', '::', 'fd00::ffff', '0.0.0.0']) {
    t.equal(table.find(wordsOfAddress(stranger), 0), -1, stranger);
  }
  t.equal(new AddressTable([]).find(wordsOfAddress('1.2.3.4'), 0), -1);
  t.end();
});

t.test('words are the bytes of the packet as a little-endian machine sees them', (t) => {
  const bytes = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1);
  t.same([...wordsOfAddress('192.0.2.1')], [...new Uint32Array(bytes.buffer)]);
  t.same(wordsOfAddress('::ffff:192.0.2.1'), wordsOfAddress('192.0.2.1'));
  t.end();
});
