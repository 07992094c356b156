import t from 'tap';
import { TYPE, typeName, typeNumber } from './constants.js';
import { SCAN, scanCodeName } from './scan-code.js';

t.test('every known type has one name and one number', (t) => {
  for (const [name, number] of Object.entries(TYPE)) {
    t.equal(typeName(number), name);
    t.equal(typeNumber(name.toLowerCase()), number);
  }
  t.equal(new Set(Object.values(TYPE)).size, Object.keys(TYPE).length);
  t.end();
});

t.test('types without a mnemonic are written as RFC 3597 says', (t) => {
  t.equal(typeName(65534), 'TYPE65534');
  t.equal(typeNumber('TYPE65534'), 65534);
  t.equal(typeNumber('type1'), 1);
  t.equal(typeNumber('TYPE65536'), -1);
  t.equal(typeNumber('TYPE'), -1);
  t.equal(typeNumber('TYPE1x'), -1);
  t.equal(typeNumber('NOSUCH'), -1);
  t.equal(typeNumber('constructor'), -1);
  t.end();
});

t.test('scan codes have names', (t) => {
  for (const [name, code] of Object.entries(SCAN)) t.equal(scanCodeName(code), name);
  t.equal(scanCodeName(999), 'unknown');
  t.equal(new Set(Object.values(SCAN)).size, Object.keys(SCAN).length);
  t.end();
});
