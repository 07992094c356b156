/** One etcd of a cluster's own. It keeps its folder over restarts. */
import { ownPort } from '../../harness/address.js';
import { Child } from '../../harness/child.js';
import { until, within } from '../../harness/until.js';

const READY_DEADLINE_MS = 30_000;
const CALL_DEADLINE_MS = 10_000;

export interface EtcdOptions {
  readonly folder: string;
  readonly address: string;
  /** What it is started by. */
  readonly prefix: readonly string[];
}

export class Etcd {
  readonly url: string;
  private readonly options: EtcdOptions;
  private readonly peerUrl: string;
  private started: Child | null = null;

  constructor(options: EtcdOptions) {
    this.options = options;
    this.url = `http://${options.address}:${String(ownPort())}`;
    this.peerUrl = `http://${options.address}:${String(ownPort())}`;
  }

  get child(): Child {
    if (this.started === null) throw new Error('etcd was not started');
    return this.started;
  }

  get output(): string {
    return this.started?.output ?? '';
  }

  async start(): Promise<void> {
    const args = [
      '--name', 'tandem', '--data-dir', this.options.folder, '--listen-client-urls', this.url, '--advertise-client-urls', this.url,
      '--listen-peer-urls', this.peerUrl, '--initial-advertise-peer-urls', this.peerUrl, '--initial-cluster', `tandem=${this.peerUrl}`,
    ];
    const [command, ...rest] = [...this.options.prefix, 'etcd', ...args];
    const child = this.started = new Child(command, rest);
    await until('etcd ready', READY_DEADLINE_MS, () => {
      if (child.exit !== null) throw new Error(`etcd ended: ${child.output.slice(-2_000)}`);
      return child.output.includes('serving insecure client requests') ? true : null;
    });
  }

  /** Forgets all revisions but the newest. */
  async compact(): Promise<void> {
    // Any key will do: the answer's header says which revision is the newest.
    const { header } = await this.call<{ readonly header: { readonly revision: string } }>('kv/range', { key: Buffer.from('/').toString('base64') });
    await this.call('kv/compaction', { revision: header.revision, physical: true });
  }

  private async call<T>(path: string, body: object): Promise<T> {
    const answer = await within(`etcd ${path}`, CALL_DEADLINE_MS, fetch(`${this.url}/v3/${path}`, { method: 'POST', body: JSON.stringify(body) }));
    const text = await answer.text();
    if (!answer.ok) throw new Error(`etcd ${path}: HTTP ${String(answer.status)} ${text}`);
    return JSON.parse(text) as T;
  }

  async stop(): Promise<void> {
    await this.started?.stop('SIGKILL');
  }
}
