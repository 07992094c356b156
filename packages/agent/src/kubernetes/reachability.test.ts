import t from 'tap';
import { ApiClient } from './api-client.js';
import { Reachability } from './reachability.js';
import { FakeApiServer } from './testing/fake-api-server.js';

const passed = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });

t.test('what listens and lets no watch begin is told of more and more rarely, however late the watches find out', async (t) => {
  const server = await new FakeApiServer().start();
  const client = new ApiClient({ server: new URL(server.url), ca: null, cert: null, key: null, token: null, tlsServerName: null, insecureSkipTlsVerify: false }, { version: '0' });
  let told = (): void => undefined;
  const reachability = new Reachability(client, () => { told(); }, { againMs: 100, spreadMs: 0 });
  t.teardown(async () => {
    reachability.close();
    client.close();
    await server.stop();
  });
  const lost = async (): Promise<number> => {
    const begin = performance.now();
    const isTold = new Promise<void>((resolve) => { told = resolve; });
    reachability.lost();
    await isTold;
    return performance.now() - begin;
  };
  await lost();
  await passed(250);
  t.ok(await lost() >= 145, 'twice the first wait, and a quarter less by chance');
  await passed(450);
  t.ok(await lost() >= 295);
  reachability.opened();
  await passed(850);
  t.ok(await lost() < 145, 'a watch has begun: the next loss is a new one');
});
