/** What flows are for while one half is away: those of the outage are at the member that comes back, none is missing, none is there twice. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import t from 'tap';
import { UdpClient } from '../harness/clients.js';
import { CLIENT_A } from '../harness/manifests.js';
import { peerOf } from '../harness/pair.js';
import type { Role } from '../harness/pair.js';
import { repositoryRoot } from '../harness/repository.js';
import { startOwing } from '../harness/under-load.js';
import { DEADLINE_MS, until } from '../harness/until.js';
import { buildQuery, TYPE } from '../harness/wire.js';

const SOCKETS = 40;
/** Each socket asks so often. */
const ASK_EVERY_MS = 25;
const OUTAGE_MS = 1_500;
const OUTPUT_BYTES_MAX = 256 * 1024 * 1024;
const execute = promisify(execFile);

/** The parts of a flow that are looked at. */
interface FlowLine {
  readonly flow?: {
    readonly uuid: string;
    readonly verdict: string;
    readonly emitter: { readonly name: string };
    readonly l7: { readonly type: string; readonly dns: { readonly query: string } };
  };
}

const pair = await startOwing(t, { flags: ['--hubble-event-buffer-capacity', '65535'] });

/** Names that nobody asks twice, from many ports, until told to stop. Each with the time at which it was answered. */
class Asking {
  readonly answered = new Map<string, { readonly sentMs: number; readonly answeredMs: number }>();
  readonly unanswered: string[] = [];
  private readonly prefix: string;
  private isOver = false;
  private readonly done: Promise<unknown>;
  private next = 0;

  constructor(prefix: string) {
    this.prefix = prefix;
    this.done = Promise.all(Array.from({ length: SOCKETS }, () => this.askOn()));
  }

  async stop(): Promise<void> {
    this.isOver = true;
    await this.done;
  }

  private async askOn(): Promise<void> {
    const client = await UdpClient.open(CLIENT_A, pair.server);
    for (let id = 1; !this.isOver; id++) {
      const name = `${this.prefix}${String(this.next++)}.bench.test.`;
      const sentMs = performance.now();
      try {
        await client.ask(buildQuery({ name, type: TYPE.A }, { id }));
        this.answered.set(name, { sentMs, answeredMs: performance.now() });
      } catch {
        this.unanswered.push(name);
      }
      await pause(ASK_EVERY_MS);
    }
    client.close();
  }
}

/** All flows that a member shows, the newest of both rings. */
async function flowsAt(role: Role): Promise<readonly NonNullable<FlowLine['flow']>[]> {
  // A child of the harness keeps the end of its output only.
  const { stdout } = await execute(
    join(repositoryRoot, 'packages/cli/bin/tandem'), ['observe', '--all', '--member', role, '-o', 'jsonpb', '--run-dir', pair.runDir],
    { maxBuffer: OUTPUT_BYTES_MAX, timeout: DEADLINE_MS },
  );
  return stdout.split('\n').filter((line) => line !== '').flatMap((line) => (JSON.parse(line) as FlowLine).flow ?? []);
}

for (const role of ['agent', 'dns-proxy'] as const) {
  t.test(`${role} is killed and comes back under load: the flows of its outage are there, each once`, async (t) => {
    await pair.redundant();
    const asking = new Asking(role);
    await until('some answers', 10_000, () => (asking.answered.size > 200 ? true : null));
    const diedMs = performance.now();
    pair.member(role).process.kill('SIGKILL');
    await pair.member(role).exited;
    await pause(OUTAGE_MS);
    pair.launch(role);
    await pair.ready(role);
    await pair.redundant();
    const backMs = performance.now();
    const before = asking.answered.size;
    await until('answers after it', 10_000, () => (asking.answered.size > before + 100 ? true : null));
    await asking.stop();
    t.same(asking.unanswered, [], 'every query was answered');

    const ofOutage = [...asking.answered].filter(([, { sentMs, answeredMs }]) => sentMs > diedMs && answeredMs < backMs).map(([name]) => name);
    t.ok(ofOutage.length > 500, `${String(ofOutage.length)} queries in the outage`);
    for (const member of [role, peerOf(role)]) {
      const flows = (await flowsAt(member)).filter(({ l7 }) => l7.dns.query.startsWith(role));
      t.equal(new Set(flows.map(({ uuid }) => uuid)).size, flows.length, `${member}: no flow is there twice`);
      const counts = new Map<string, number>();
      for (const { l7 } of flows) {
        const key = `${l7.type} ${l7.dns.query}`;
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
      const expected = member === role ? ofOutage : [...asking.answered.keys()];
      const missing = expected.filter((name) => counts.get(`REQUEST ${name}`) === undefined || counts.get(`RESPONSE ${name}`) === undefined);
      t.same(missing, [], `${member}: none of ${String(expected.length)} queries is missing`);
      t.same([...counts].filter(([, count]) => count > 1), [], `${member}: none is told twice`);
      t.ok(flows.every(({ verdict }) => verdict === 'FORWARDED'));
    }
  });
}
