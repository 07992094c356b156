/** What scenarios do and look at: curl and dig in pods, policies, flows and mappings. Everything as a user would, by programs. */
import { isIP } from 'node:net';
import { readRepositoryFile } from '../../harness/repository.js';
import type { Lab, LabOptions } from '../topology/lab.js';
import { KUBE_DNS, NODES } from '../topology/plan.js';
import type { Both } from '../topology/plan.js';
import type { Tandem } from '../topology/tandem.js';
import type { Finding, Telling } from './telling.js';

export const SOON_MS = 5_000;
const CURL_SECONDS = 4;
/** curl's own: the name has no address, nobody there or refused, no answer in time. */
const CURL_NO_NAME = 6;
const CURL_REFUSED = 7;
const CURL_TIMEOUT = 28;

/** A policy's connection, as a client sees it. */
export type Reached = 'works' | 'no such name' | 'refused' | 'no answer' | 'failed';

export interface Attempt {
  readonly reached: Reached;
  readonly text: string;
}

export interface LookedUp {
  /** NOERROR, NXDOMAIN, REFUSED, …; none: no answer. */
  readonly status: string;
  readonly addresses: readonly string[];
  readonly text: string;
}

/** A row of `tandem cache list -o json`. */
export interface Mapping {
  readonly fqdn: string;
  readonly ips: readonly string[];
  readonly 'lookup-time': string;
  readonly 'expiration-time': string;
  readonly ttl: number;
  readonly 'endpoint-id': number;
  readonly source: 'lookup' | 'connection';
}

/** The parts of a flow that are looked at. */
export interface Flow {
  readonly verdict: string;
  readonly Type: string;
  readonly IP: { readonly source: string; readonly destination: string };
  readonly l4?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly l7?: { readonly dns?: { readonly query: string } };
  readonly source: FlowEnd;
  readonly destination: FlowEnd;
  readonly node_name: string;
  readonly traffic_direction: string;
  readonly drop_reason_desc?: string;
  readonly Summary?: string;
}

export interface FlowEnd {
  readonly ID?: number;
  readonly identity?: number;
  readonly namespace?: string;
  readonly labels?: readonly string[];
  readonly pod_name?: string;
  readonly workloads?: readonly object[];
}

export class Stage {
  readonly lab: Lab;
  readonly tell: Telling;

  constructor(lab: Lab, tell: Telling) {
    this.lab = lab;
    this.tell = tell;
  }

  get family(): LabOptions['family'] {
    return this.lab.options.family;
  }

  address(both: Both): string {
    return this.lab.address(both);
  }

  /** The record type of the lab's family. */
  get type(): 'A' | 'AAAA' {
    return this.family === 4 ? 'A' : 'AAAA';
  }

  async curl(pod: string, url: string, more: readonly string[] = []): Promise<Attempt> {
    const { code, output } = await this.lab.exec(pod, ['curl', `-${String(this.family)}`, '-sS', '-m', String(CURL_SECONDS), ...more, url]);
    const reached = code === 0 ? 'works' : code === CURL_NO_NAME ? 'no such name' : code === CURL_REFUSED ? 'refused' : code === CURL_TIMEOUT ? 'no answer' : 'failed';
    return { reached, text: output.trim() };
  }

  /** At this address, without asking DNS. */
  curlAt(pod: string, name: string, address: string, port = 80): Promise<Attempt> {
    const host = isIP(address) === 6 ? `[${address}]` : address;
    return this.curl(pod, `http://${name}:${String(port)}`, ['--resolve', `${name}:${String(port)}:${host}`]);
  }

  private async expects(pod: string, what: string, attempt: Attempt, wanted: Reached): Promise<void> {
    this.tell.did(`${pod}: ${what}`);
    this.tell.expect(wanted === 'works' ? 'it connects' : wanted === 'refused' ? 'refused by policy, at once' : wanted, { seen: `${attempt.reached}: ${attempt.text}`, isSo: attempt.reached === wanted });
    return Promise.resolve();
  }

  async works(pod: string, url: string): Promise<void> {
    await this.expects(pod, `curl ${url}`, await this.curl(pod, url), 'works');
  }

  async isDenied(pod: string, url: string): Promise<void> {
    await this.expects(pod, `curl ${url}`, await this.curl(pod, url), 'refused');
  }

  async worksAt(pod: string, name: string, address: string): Promise<void> {
    await this.expects(pod, `curl --resolve ${name}:80:${address} http://${name}`, await this.curlAt(pod, name, address), 'works');
  }

  async isDeniedAt(pod: string, name: string, address: string): Promise<void> {
    await this.expects(pod, `curl --resolve ${name}:80:${address} http://${name}`, await this.curlAt(pod, name, address), 'refused');
  }

  async lookUp(pod: string, name: string, more: readonly string[] = []): Promise<LookedUp> {
    const { output } = await this.lab.exec(pod, ['dig', '+tries=1', '+time=3', ...more, `@${this.address(KUBE_DNS.address)}`, name, this.type]);
    const status = /status: (\w+)/.exec(output)?.[1] ?? 'none';
    return { status, addresses: [...output.matchAll(/\sIN\s+A(?:AAA)?\s+(\S+)$/gm)].map((match) => match[1]), text: output };
  }

  async answers(pod: string, name: string, status: string, more: readonly string[] = []): Promise<LookedUp> {
    const answer = await this.lookUp(pod, name, more);
    this.tell.did(`${pod}: dig ${[...more, name, this.type].join(' ')}`);
    this.tell.expect(`the answer is ${status}`, { seen: `${answer.status} ${answer.addresses.join(' ')}`.trim(), isSo: answer.status === status });
    return answer;
  }

  /** Replaces policies by a file of the examples, or by objects; waits until each of the pairs enforces it. */
  async policy(file: string, content: object | string | null, tandems: readonly Tandem[]): Promise<void> {
    const before = await Promise.all(tandems.map((tandem) => tandem.revision()));
    this.lab.apply(file, content);
    await Promise.all(tandems.map((tandem, index) => tandem.enforced(before[index])));
  }

  flows = async (tandem: Tandem, ...filters: string[]): Promise<Flow[]> => {
    const { code, output, standardOutput } = await tandem.cli('observe', '--all', ...filters, '-o', 'json');
    if (code !== 0) throw new Error(`tandem observe: exit code ${String(code)}\n${output}`);
    return standardOutput.split('\n').filter((line) => line.startsWith('{"flow"')).map((line) => (JSON.parse(line) as { flow: Flow }).flow);
  };

  /** A line of `tandem observe` that matches each of the patterns, in a moment. */
  async observes(tandem: Tandem, filters: readonly string[], patterns: readonly RegExp[]): Promise<void> {
    this.tell.did(`tandem observe ${filters.join(' ')}`);
    for (const pattern of patterns) {
      await this.tell.expectSoon(`a line with ${String(pattern)}`, SOON_MS, async () => {
        const { output } = await tandem.cli('observe', '--last', '100', ...filters);
        const line = output.split('\n').find((one) => pattern.test(one));
        return { seen: line ?? `none among:\n${output.split('\n').slice(-8).join('\n')}`, isSo: line !== undefined };
      });
    }
  }

  /** Every question came to the DNS servers from the node, none from these addresses themselves: nothing went past it. */
  nothingPast(...of: string[]): Finding {
    const addresses = new Set(of);
    const past = this.lab.seenQueries().filter(({ from }) => addresses.has(from));
    return { seen: past.length === 0 ? 'none' : past.map(({ from, name, type }) => `${from} asked ${name} ${type}`).slice(0, 5).join(', '), isSo: past.length === 0 };
  }
}

export function examplePolicy(name: string): string {
  return readRepositoryFile(`examples/policies/${name}.yaml`);
}

/** Options of a scenario's lab; of a set-up that it does not name, the ordinary one. */
export function labOptions(name: string, scenario: string, how: Partial<Pick<LabOptions, 'wiring' | 'nfCall' | 'family'>> = {}): LabOptions {
  return { name, wiring: 'veth', nfCall: 1, family: 4, ...how, nodes: NODES, scenarios: [scenario] };
}

export function finding(seen: unknown, isSo: boolean): Finding {
  return { seen: typeof seen === 'string' ? seen : JSON.stringify(seen), isSo };
}
