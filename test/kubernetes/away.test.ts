/**
 * The API server is killed, hangs, is restarted and its history compacted, while pods of the node come and go by the thousand: what is known stays in
 * force all the while, and in the end the agent knows what the API server knows.
 */
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { CLIENT_A, dnsPolicy, NODE_NAME } from '../harness/manifests.js';
import { UdpClient } from '../harness/clients.js';
import { until } from '../harness/until.js';
import { buildQuery, readMessage, TYPE } from '../harness/wire.js';
import { AgentStage, putPod } from './agent-stage.js';
import type { ListOf, Pod } from './node/objects.js';

const PODS = 1_000;
/** Alive at once, of those that come and go. */
const ALIVE = 100;
const WORKERS = 4;
const ASK_EVERY_MS = 25;
const AWAY_MS = 3_000;
const DEADLINE_MS = 120_000;
const PODS_PATH = '/api/v1/namespaces/default/pods';

const stage = await AgentStage.start(t);
const { cluster, pair } = stage;

/** Asks an allowed and a refused name in turn; every verdict must be right. */
class Asker {
  readonly wrong: string[] = [];
  asked = 0;
  private isRunning = true;
  private readonly done: Promise<void>;

  constructor() {
    this.done = this.ask();
  }

  async stop(): Promise<void> {
    this.isRunning = false;
    await this.done;
  }

  private async ask(): Promise<void> {
    while (this.isRunning) {
      const name = this.asked % 2 === 0 ? `h${String(this.asked)}.a.test` : `h${String(this.asked)}.b.test`;
      const client = await UdpClient.open(CLIENT_A, pair.server);
      try {
        const { rcode } = readMessage(await client.ask(buildQuery({ name, type: TYPE.A })));
        if (rcode !== (this.asked % 2 === 0 ? 0 : 5)) this.wrong.push(`${name}: response code ${String(rcode)}`);
      } catch (error) {
        this.wrong.push(`${name}: ${String(error)}`);
      } finally {
        client.close();
      }
      this.asked++;
      await pause(ASK_EVERY_MS);
    }
  }
}

/** Makes pods of the node, and deletes the oldest beyond ALIVE; waits where the server is away. */
class Churn {
  made = 0;
  failures = 0;
  private readonly names: string[] = [];

  async run(count: number): Promise<void> {
    const end = this.made + count;
    await Promise.all(Array.from({ length: WORKERS }, async () => {
      while (this.made < end) await this.next(this.made++);
    }));
  }

  private async next(index: number): Promise<void> {
    const name = `churn-${String(index)}`;
    await this.insist(async () => {
      if (await cluster.api.find(`${PODS_PATH}/${name}`) !== null) await cluster.api.remove(`${PODS_PATH}/${name}`); // of a try that was broken off
      await putPod(cluster, { name, labels: { app: index % 2 === 0 ? 'a' : 'b' }, address: `127.200.${String(index >> 8)}.${String(index & 255)}` });
    });
    this.names.push(name);
    if (this.names.length <= ALIVE) return;
    const oldest = this.names.shift()!;
    await this.insist(() => cluster.api.remove(`${PODS_PATH}/${oldest}`));
  }

  private async insist(act: () => Promise<unknown>): Promise<void> {
    for (;;) {
      try {
        await act();
        return;
      } catch (error) {
        if (this.failures++ > PODS * 100) throw error;
        await pause(200);
      }
    }
  }
}

/** The agent's endpoints are the node's pods in the API. */
async function knowsAll(): Promise<number> {
  return until('the agent to know the pods of its node', DEADLINE_MS, async () => {
    const { items } = await cluster.api.call<ListOf<Pod>>('GET', `/api/v1/pods?fieldSelector=${encodeURIComponent(`spec.nodeName=${NODE_NAME}`)}`);
    const rows = await pair.cliJson<readonly { readonly pod: string }[]>('endpoint', 'list', '--member', 'agent');
    const known = rows.map(({ pod }) => pod.split('/').at(-1)).sort().join(' ');
    return known === items.map(({ metadata }) => metadata.name).sort().join(' ') ? items.length : null;
  });
}

t.test('killed, hung, restarted and compacted under churn', async (t) => {
  const asker = new Asker();
  const churn = new Churn();
  const started = performance.now();
  const churning = churn.run(PODS);
  const madeSoFar = (count: number): Promise<boolean> => until(`${String(count)} pods`, DEADLINE_MS, () => (churn.made >= count ? true : null));

  await madeSoFar(PODS * 0.2);
  await cluster.killServer();
  await pause(AWAY_MS);
  await cluster.startServer();

  await madeSoFar(PODS * 0.4);
  await cluster.hangServer();
  await pause(AWAY_MS);
  cluster.resumeServer();

  // It stands still while its versions go by, and comes back to a server that has forgotten them.
  await madeSoFar(PODS * 0.6);
  pair.member('agent').process.kill('SIGSTOP');
  await madeSoFar(PODS * 0.8);
  await cluster.killServer();
  await cluster.compact();
  await cluster.startServer();
  pair.member('agent').process.kill('SIGCONT');

  await churning;
  const endpoints = await knowsAll();
  await stage.caughtUp();
  await asker.stop();
  t.strictSame(asker.wrong, [], 'every verdict was right all the while');
  const expired = await stage.sourceMetric('errors_total', 'expired');
  t.ok(expired > 0, 'it was told 410');
  t.ok(await stage.sourceMetric('relists_total') > 0, 'and listed anew');
  t.comment(`${String(churn.made)} pods in ${((performance.now() - started) / 1_000).toFixed(0)} s, ${String(endpoints)} there in the end; ${String(asker.asked)} queries; ${String(expired)} times 410`);
});

t.test('what changed while it was away is in force when it is back; until then what was before', async (t) => {
  await cluster.apply(dnsPolicy('policy-a', { app: 'a' }, ['*.a.test', 'before.test']));
  await stage.answered(CLIENT_A, 'before.test', 'NOERROR');
  await cluster.killServer();
  await until('the agent to notice', DEADLINE_MS, async () => ((await stage.sourceMetric('away')) === 1 ? true : null));
  t.match((await pair.status('agent')).policy.problems.join('\n'), /API server/, 'the status says so');
  t.equal((await pair.http('agent', '/readyz')).status, 200, 'it is ready all the same');
  await pair.member('agent').stop('SIGKILL');
  pair.launch('agent');
  await pair.ready('agent');
  t.strictSame([...await stage.rcodes(CLIENT_A, 'before.test')], ['NOERROR'], 'also after a restart, from what is stored');
  t.strictSame([...await stage.rcodes(CLIENT_A, 'after.test')], ['REFUSED']);
  await cluster.startServer();
  await cluster.apply(dnsPolicy('policy-a', { app: 'a' }, ['*.a.test', 'after.test']));
  t.comment(`caught up after ${(await stage.answered(CLIENT_A, 'after.test', 'NOERROR')).toFixed(0)} ms`);
  t.strictSame([...await stage.rcodes(CLIENT_A, 'before.test')], ['REFUSED']);
});
