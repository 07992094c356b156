import t from 'tap';
import { run } from '../harness/child.js';
import { TcpClient, UdpClient } from '../harness/clients.js';
import type { Server } from '../harness/clients.js';
import { CLIENT_A, CLIENT_B, STRANGER } from '../harness/manifests.js';
import { addressA, buildAnswer, buildQuery, RCODE, TYPE } from '../harness/wire.js';
import { startBench } from '../pair/start.js';
import { bothFamilies, CLIENT_A_V6, CLIENT_B_V6, dualStackManifests, STRANGER_V6 } from './addresses.js';
import { ownAddress } from '../harness/address.js';

const DIG_DEADLINE_MS = 20_000;

const { pair, upstream } = await startBench(t, ({ query, question }) =>
  question.name.startsWith('missing') ? buildAnswer(query, [], { rcode: RCODE.nxDomain }) : buildAnswer(query, [addressA('192.0.2.7'), addressA('192.0.2.8')]),
{ listen: bothFamilies(), manifests: dualStackManifests(ownAddress) });

const [v4, v6] = pair.listen;

async function dig(from: string, server: Server, ...args: string[]): Promise<string> {
  const { code, output } = await run('dig', ['-b', from, `@${server.address}`, '-p', String(server.port), '+tries=1', '+time=4', ...args], DIG_DEADLINE_MS);
  if (code !== 0) throw new Error(`dig ${args.join(' ')}: exit code ${String(code)}\n${output}`);
  return output;
}

const families = [
  { family: 'v4', server: v4, clients: [CLIENT_A, CLIENT_B], stranger: STRANGER },
  { family: 'v6', server: v6, clients: [CLIENT_A_V6, CLIENT_B_V6], stranger: STRANGER_V6 },
];

for (const { family, server, clients, stranger } of families) {
  for (const protocol of ['udp', 'tcp']) {
    const flag = protocol === 'tcp' ? ['+tcp'] : ['+notcp'];
    t.test(`dig over ${protocol} and ${family}: each client sees what its own policy allows`, async (t) => {
      const own = ['www.a.test', 'www.b.test'];
      for (const [index, client] of clients.entries()) {
        const allowed = await dig(client, server, ...flag, own[index], 'A');
        t.match(allowed, 'status: NOERROR', `${client} asks ${own[index]}`);
        t.match(allowed, /192\.0\.2\.7\n[^]*192\.0\.2\.8\n/);
        const refused = await dig(client, server, ...flag, own[1 - index], 'A');
        t.match(refused, 'status: REFUSED', `${client} asks ${own[1 - index]}`);
        t.match(refused, /EDE: 15 \(Blocked\)/);
      }
      t.match(await dig(clients[0], server, ...flag, 'missing.a.test', 'A'), 'status: NXDOMAIN');
      t.match(await dig(stranger, server, ...flag, 'www.a.test', 'A'), 'status: REFUSED', 'a stranger');
    });
  }

  t.test(`the answer over ${family} is the upstream's, byte for byte but for the ID`, async (t) => {
    const query = buildQuery({ name: 'www.a.test', type: TYPE.A });
    const udp = await UdpClient.open(clients[0], server);
    const tcp = await TcpClient.open(clients[0], server);
    for (const answer of [await udp.ask(query), await tcp.ask(query)]) {
      t.same(answer.subarray(0, 2), query.subarray(0, 2));
      t.same(answer.subarray(2), upstream.sent.get(`www.a.test/${String(TYPE.A)}`)!.subarray(2));
    }
    udp.close();
    tcp.close();
  });
}
