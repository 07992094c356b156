/** Which of two policies stays where the older one is written to the kernel for longer than the data plane takes to start. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import t from 'tap';
import type { Snapshot } from '@tandem/core';
import { Node, snapshotOf } from '../pair/testing/members.js';
import { freeAddress } from '../testing/free-address.js';
import { SlowKernel } from './testing/slow-kernel.js';

const ADDRESS = '127.0.0.1';
const REFUSED = 5;
const RCODE_BYTE = 3;
const RCODE_MASK = 0x0f;
/** `a.example.`, for its A record. */
const QUERY = Buffer.from('0001010000010000000000000161076578616d706c650000010001', 'hex');

/** The response code that the client at ADDRESS gets. */
async function ask(port: number): Promise<number> {
  const socket = createSocket('udp4');
  socket.send(QUERY, port, ADDRESS);
  const [answer] = await once(socket, 'message') as [Buffer];
  socket.close();
  return answer[RCODE_BYTE] & RCODE_MASK;
}

/** The pod at ADDRESS may ask for everything, or by an empty rule set for nothing. */
function policy(revision: number, allows: boolean): Snapshot {
  const snapshot = snapshotOf(revision);
  return allows ? snapshot : { ...snapshot, endpoints: snapshot.endpoints.map((endpoint) => ({ ...endpoint, ruleSet: 0 })), ruleSets: [{ key: 'none', rules: [] }] };
}

t.test('a policy that a later one has overtaken is not applied when the kernel has it at last', async (t) => {
  const node = new Node();
  t.teardown(() => node.remove());
  const kernel = new SlowKernel();
  const listen = [await freeAddress(ADDRESS)];
  const upstreams = [await freeAddress(ADDRESS)];
  const { member } = node.member('agent', { listen, upstreams, unknownEndpoint: 'refuse' }, { enforcement: kernel });
  t.teardown(() => member.stop());

  const older = member.enforce(policy(1, true));
  await member.serve();
  const newer = member.enforce(policy(2, false));
  kernel.written[1]();
  await newer;
  t.equal(member.enforced?.revision, 2);
  t.equal(await ask(listen[0].port), REFUSED);
  kernel.written[0]();
  await older;
  t.equal(member.enforced?.revision, 2);
  t.equal(await ask(listen[0].port), REFUSED);
});
