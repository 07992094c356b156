/** dns-proxy alone, with an upstream and a model of Cilium's agent, for the tests of this folder. */
import type { Test } from 'tap';
import { ownAddress, ownPort } from '../harness/address.js';
import { CLIENT_A, CLIENT_B } from '../harness/manifests.js';
import { Pair } from '../harness/pair.js';
import { DEADLINE_MS, until } from '../harness/until.js';
import { Upstream } from '../harness/upstream.js';
import type { Zone } from '../harness/upstream.js';
import { addressA, buildAnswer } from '../harness/wire.js';
import { CiliumAgentModel, type State } from './agent-model.js';

export const ADDRESS = '192.0.2.7';
export const DNS_IDENTITY = 4321;
export const answerAll: Zone = ({ query }) => buildAnswer(query, [addressA(ADDRESS)]);

export interface Stage {
  readonly upstream: Upstream;
  /** dns-proxy, launched with `--cilium-agent`. */
  readonly pair: Pair;
  readonly at: { readonly address: string; readonly port: number };
  model: CiliumAgentModel | null;
  /** The model, from its start on with this state. */
  startAgent(state: State | Buffer): Promise<CiliumAgentModel>;
  stopAgent(): void;
  /** dns-proxy; resolves when it is ready. */
  launch(): Promise<void>;
}

export async function startStage(t: Test, zone: Zone = answerAll): Promise<Stage> {
  const upstream = await Upstream.start(ownAddress, ownPort(), zone);
  t.teardown(() => { upstream.close(); });
  const at = { address: ownAddress, port: ownPort() };
  const pair = await Pair.start({ upstreams: [upstream], manifests: {}, roles: [] });
  const stage: Stage = {
    upstream, pair, at, model: null,
    startAgent: async (state) => {
      stage.model = await CiliumAgentModel.start(at.address, at.port);
      stage.model.say(state);
      return stage.model;
    },
    stopAgent: () => {
      stage.model?.stop();
      stage.model = null;
    },
    launch: async () => {
      pair.launch('dns-proxy', ['--cilium-agent', `${at.address}:${String(at.port)}`]);
      await pair.ready('dns-proxy');
    },
  };
  t.teardown(async () => {
    stage.stopAgent();
    if (!t.passing()) t.comment(pair.output());
    const exits = await pair.stop();
    for (const [role, exit] of exits) if (exit.code !== 0 && exit.signal !== 'SIGKILL') throw new Error(`${role} ended with ${JSON.stringify(exit)}`);
  });
  return stage;
}

/** Two endpoints, the upstream as the server, and what each of the two may ask. */
export function stateOf(upstream: { readonly address: string }, a: readonly string[], b: readonly string[] = [], requestId = ''): State {
  const servers = [6, 17].map((protocol) => ({ dnsServerIdentity: DNS_IDENTITY, dnsServerPort: 53, dnsServerProto: protocol }));
  return {
    requestId,
    egressL7DnsPolicy: [{ sourceEndpointId: 11, dnsPattern: [...a], dnsServers: servers }, { sourceEndpointId: 12, dnsPattern: [...b], dnsServers: servers }],
    identityToEndpointMapping: [
      { identity: 1001, endpointInfo: [{ id: 11n, ip: [bytesOf(CLIENT_A)] }] }, { identity: 1002, endpointInfo: [{ id: 12n, ip: [bytesOf(CLIENT_B)] }] },
    ],
    identityToPrefixMapping: [{ identity: DNS_IDENTITY, prefix: [Buffer.concat([bytesOf(upstream.address), Buffer.from([32])])] }],
  };
}

export function bytesOf(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}

/** The agent has answered so often. */
export async function acknowledgements(model: CiliumAgentModel, count: number): Promise<void> {
  await until(`${String(count)} acknowledgements`, DEADLINE_MS, () => (model.acknowledged.length >= count ? true : null));
}

/** Until the model was told an address for the name. */
export async function told(model: CiliumAgentModel, name: string): Promise<CiliumAgentModel['mappings'][number]> {
  return until(`a mapping of ${name}`, DEADLINE_MS, () => model.mappings.find(({ fqdn }) => fqdn === name) ?? null);
}

/** A metric with a result. */
export async function counted(pair: Pair, name: string, result: string): Promise<number> {
  const { body } = await pair.http('dns-proxy', '/metrics');
  return Number(new RegExp(`^tandem_cilium_${name}_total\\{[^}]*result="${result}"[^}]*\\} (\\S+)$`, 'm').exec(body)?.[1] ?? NaN);
}
