import t from 'tap';
import { enterOwnNamespace } from '../testing/namespace.js';
import { makeTable, nft } from '../testing/open-sets.js';
import { isOpenInKernel } from './read-elements.js';

enterOwnNamespace();

const address = Uint8Array.of(192, 0, 2, 1);
const pair = Uint8Array.of(10, 0, 0, 1, 192, 0, 2, 1);

t.test('an address is open where the kernel has it, in that set, and as long as it has it', async (t) => {
  makeTable('fqdn4-a', 'fqdn4-b', 'pod-fqdn4-a');
  t.equal(await isOpenInKernel({ set: 'fqdn4-a', key: address }), false);
  nft('add element inet tandem fqdn4-a { 192.0.2.1 timeout 1h }; add element inet tandem pod-fqdn4-a { 10.0.0.1 . 192.0.2.1 timeout 1h }');
  t.equal(await isOpenInKernel({ set: 'fqdn4-a', key: address }), true);
  t.equal(await isOpenInKernel({ set: 'fqdn4-b', key: address }), false);
  t.equal(await isOpenInKernel({ set: 'pod-fqdn4-a', key: pair }), true);
  t.equal(await isOpenInKernel({ set: 'pod-fqdn4-a', key: Uint8Array.of(10, 0, 0, 2, 192, 0, 2, 1) }), false);
  t.equal(await isOpenInKernel({ set: 'fqdn4-c', key: address }), false, 'a set that is not there');
  nft('delete element inet tandem fqdn4-a { 192.0.2.1 }');
  t.equal(await isOpenInKernel({ set: 'fqdn4-a', key: address }), false);
});
