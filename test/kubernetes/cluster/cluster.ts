/**
 * A real API server for one test: etcd and kube-apiserver on addresses of the test's own, in a temporary folder. There is no controller-manager,
 * scheduler or kubelet: what these would do (status of pods, endpoint slices, the end of namespaces) the test does itself or goes without.
 *
 * Invariant: both processes and the folder end with the test, however that ends.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ownAddress, ownPort } from '../../harness/address.js';
import { Child, run } from '../../harness/child.js';
import type { Exit } from '../../harness/child.js';
import { removeTemporary, temporaryFolder } from '../../harness/temporary.js';
import { until } from '../../harness/until.js';
import { Api } from './api.js';
import { Etcd } from './etcd.js';
import { writeKubeconfig } from './kubeconfig.js';
import type { Access } from './kubeconfig.js';
import { program } from './programs.js';

/** Starts take about six seconds on a quiet machine. */
const READY_DEADLINE_MS = 90_000;
const KUBECTL_DEADLINE_MS = 60_000;
/** The shortest that a server gives. */
const TOKEN_SECONDS = 3_600;
const RSA_BITS = 2_048;

export interface ClusterOptions {
  /** Where both listen: default an address of this process's own. */
  readonly address?: string;
  /** Further flags of kube-apiserver. */
  readonly flags?: readonly string[];
  /** What all programs are started by, kubectl too, such as `ip netns exec NAME`. */
  readonly prefix?: readonly string[];
}

export type Kubectl = Exit & { readonly output: string; readonly standardOutput: string };

export class Cluster {
  readonly folder = temporaryFolder('tandem-cluster-');
  /** As cluster-admin. */
  readonly kubeconfig = join(this.folder, 'admin.kubeconfig');
  readonly address: string;
  readonly port = ownPort();
  readonly etcd: Etcd;
  private readonly options: ClusterOptions;
  private readonly adminToken = randomBytes(16).toString('hex');
  private serverChild: Child | null = null;
  private client: Api | null = null;
  private relay: Child | null = null;

  private constructor(options: ClusterOptions) {
    this.options = options;
    this.address = options.address ?? ownAddress;
    this.etcd = new Etcd({ folder: join(this.folder, 'etcd'), address: this.address, prefix: options.prefix ?? [] });
  }

  /** Started, and its API ready. @throws Error with what the programs said. */
  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const cluster = new Cluster(options);
    try {
      cluster.writeCredentials();
      await cluster.startRelay();
      await cluster.etcd.start();
      await cluster.startServer();
    } catch (error) {
      const output = cluster.output();
      await cluster.stop();
      throw new Error(`the cluster did not start:\n${output}`, { cause: error });
    }
    return cluster;
  }

  private writeCredentials(): void {
    writeFileSync(join(this.folder, 'tokens.csv'), `${this.adminToken},admin,admin,system:masters\n`, { mode: 0o600 });
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: RSA_BITS });
    writeFileSync(join(this.folder, 'service-accounts.key'), privateKey.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 });
    mkdirSync(join(this.folder, 'certificates'), { recursive: true });
  }

  private get socketPath(): string {
    return join(this.folder, 'api.sock');
  }

  /** Its namespace may be another than ours. */
  private async startRelay(): Promise<void> {
    const { prefix = [] } = this.options;
    if (prefix.length === 0) return;
    const [command, ...rest] = [...prefix, process.execPath, join(import.meta.dirname, 'relay.js'), this.socketPath, this.address, String(this.port)];
    const relay = this.relay = new Child(command, rest);
    await until('the relay to the API server', READY_DEADLINE_MS, () => {
      if (relay.exit !== null) throw new Error(`the relay ended: ${relay.output}`);
      return relay.standardOutput.includes('ready') ? true : null;
    });
  }

  get url(): string {
    return `https://${this.address}:${String(this.port)}`;
  }

  get server(): Child {
    if (this.serverChild === null) throw new Error('kube-apiserver was not started');
    return this.serverChild;
  }

  /** As cluster-admin. */
  get api(): Api {
    this.client ??= new Api(this.adminAccess);
    return this.client;
  }

  get adminAccess(): Access {
    return this.access(this.adminToken);
  }

  access(token: string): Access {
    const ca = readFileSync(join(this.folder, 'certificates/apiserver.crt'), 'utf8');
    return { server: this.url, ca, token, ...(this.relay === null ? {} : { socketPath: this.socketPath }) };
  }

  /** At the same place as before, with the same credentials; resolves when it is ready. */
  async startServer(): Promise<void> {
    const key = join(this.folder, 'service-accounts.key');
    const flags = {
      'etcd-servers': this.etcd.url, 'bind-address': this.address, 'advertise-address': this.address, 'secure-port': this.port,
      'cert-dir': join(this.folder, 'certificates'), 'token-auth-file': join(this.folder, 'tokens.csv'),
      'service-account-key-file': key, 'service-account-signing-key-file': key, 'service-account-issuer': 'https://tandem.test',
      'service-cluster-ip-range': '10.96.0.0/16', 'authorization-mode': 'RBAC', 'disable-admission-plugins': 'ServiceAccount', 'allow-privileged': true,
      // The Service "kubernetes" may not point at a loopback address; and compaction comes when a test says so.
      'endpoint-reconciler-type': 'none', 'etcd-compaction-interval': 0,
    };
    const args = [...Object.entries(flags).map(([name, value]) => `--${name}=${String(value)}`), ...(this.options.flags ?? [])];
    const [command, ...rest] = [...(this.options.prefix ?? []), program('kube-apiserver'), ...args];
    this.serverChild = new Child(command, rest);
    const child = this.serverChild;
    await until('kube-apiserver ready', READY_DEADLINE_MS, async () => {
      if (child.exit !== null) return child.exit;
      return (await this.api.ask('GET', '/readyz')).status === 200 ? true : null;
    });
    if (child.exit !== null) throw new Error(`kube-apiserver ended with ${JSON.stringify(child.exit)}`);
    writeKubeconfig(this.kubeconfig, this.adminAccess);
  }

  /** SIGKILL: watches end without a word. */
  async killServer(): Promise<void> {
    await this.server.stop('SIGKILL');
  }

  /** It stands still from then on: connections stay open, and nothing comes. */
  async hangServer(): Promise<void> {
    this.server.process.kill('SIGSTOP');
    const stat = `/proc/${String(this.server.pid)}/stat`;
    await until('kube-apiserver to stand still', READY_DEADLINE_MS, () => (/^\d+ \(.*\) T /s.test(readFileSync(stat, 'utf8')) ? true : null));
  }

  resumeServer(): void {
    this.server.process.kill('SIGCONT');
  }

  /** All former revisions are forgotten: lists that go on and watches from one of them get 410. */
  async compact(): Promise<void> {
    await this.etcd.compact();
  }

  /** `kubectl ARGS…` as cluster-admin, or by another kubeconfig. */
  kubectl(...args: string[]): Promise<Kubectl> {
    return this.kubectlBy(this.kubeconfig, ...args);
  }

  kubectlBy(kubeconfig: string, ...args: string[]): Promise<Kubectl> {
    const [command, ...rest] = [
      ...(this.options.prefix ?? []), program('kubectl'), '--kubeconfig', kubeconfig, '--cache-dir', join(this.folder, 'discovery'), ...args,
    ];
    return run(command, rest, KUBECTL_DEADLINE_MS);
  }

  /** Its standard output. @throws Error if it fails. */
  async kubectlOk(...args: string[]): Promise<string> {
    const { code, output, standardOutput } = await this.kubectl(...args);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: exit code ${String(code)}\n${output.slice(-4_000)}`);
    return standardOutput;
  }

  /** `kubectl apply` of objects. */
  async apply(...objects: object[]): Promise<void> {
    const path = join(this.folder, 'apply.json');
    writeFileSync(path, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
    await this.kubectlOk('apply', '-f', path);
  }

  /** Path of a kubeconfig for a ServiceAccount that exists, with a token that the server has issued for it. */
  async kubeconfigOf(namespace: string, serviceAccount: string): Promise<string> {
    const path = join(this.folder, `${namespace}.${serviceAccount}.kubeconfig`);
    writeKubeconfig(path, this.access(await this.issueToken(namespace, serviceAccount)));
    return path;
  }

  async issueToken(namespace: string, serviceAccount: string): Promise<string> {
    const at = `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`;
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: TOKEN_SECONDS } };
    return (await this.api.call<TokenRequest>('POST', at, body)).status.token;
  }

  /** What both have said, for a failed test. */
  output(): string {
    return `--- etcd\n${this.etcd.output.slice(-2_000)}\n--- kube-apiserver\n${(this.serverChild?.output ?? '').slice(-6_000)}`;
  }

  async stop(): Promise<void> {
    this.client?.close();
    if (this.serverChild !== null) {
      this.resumeServer();
      await this.serverChild.stop('SIGKILL'); // it would wait for its watches to end
    }
    await this.etcd.stop();
    await this.relay?.stop('SIGKILL');
    removeTemporary(this.folder);
  }
}

interface TokenRequest {
  readonly status: { readonly token: string };
}
