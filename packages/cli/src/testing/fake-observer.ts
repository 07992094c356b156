/** An Observer API without filters, for tests: gives the flows that it was told, then ends, follows on, or breaks off, and keeps what it was asked. */
import { Server, ServerCredentials, status, type ServerWritableStream, type UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Test } from 'tap';
import type { GetFlowsResponse} from '@tandem/proto';
import { Flow, FlowType, type GetFlowsRequest, IPVersion, L7FlowType, ObserverService, TrafficDirection, Verdict } from '@tandem/proto';

export interface FlowTraits {
  readonly uuid?: string;
  /** Seconds of the wall clock. */
  readonly second?: number;
  readonly name?: string;
  readonly verdict?: Verdict;
  /** Addresses of an answer; absent: a request. */
  readonly ips?: readonly string[];
  readonly pod?: string;
}

/** 2026-11-05T10:00:00Z. */
export const TEN_O_CLOCK = 1_793_872_800;

/** A DNS flow as a member makes it: pod shop/web asks kube-system/kube-dns-1. */
export function dnsFlow({ uuid = 'u', second = TEN_O_CLOCK, name = 'www.shop.example.', verdict = Verdict.FORWARDED, ips, pod = 'web' }: FlowTraits = {}): Flow {
  const client = { ID: 7, identity: 300, namespace: 'shop', podName: pod, labels: ['k8s:app=web', 'k8s:io.kubernetes.pod.namespace=shop', 'k8s:pod-template-hash=abc'], workloads: [{ name: 'web', kind: 'Deployment' }] };
  const server = { ID: 0, identity: 301, namespace: 'kube-system', podName: 'kube-dns-1', labels: ['k8s:k8s-app=kube-dns', 'k8s:io.kubernetes.pod.namespace=kube-system'] };
  const isAnswer = ips !== undefined;
  const summary = isAnswer
    ? `DNS Answer ${ips.map((ip) => `"${ip}"`).join(',')} TTL: 30 (Proxy ${name} A)`
    : `DNS Query ${name} A`;
  return Flow.fromPartial({
    time: { seconds: BigInt(second), nanos: 123_456_789 }, uuid, verdict, nodeName: 'node-a', Type: FlowType.L7, trafficDirection: TrafficDirection.EGRESS,
    IP: isAnswer ? { source: '10.0.0.53', destination: '10.0.0.7', ipVersion: IPVersion.IPv4 } : { source: '10.0.0.7', destination: '10.0.0.53', ipVersion: IPVersion.IPv4 },
    l4: { protocol: { $case: 'UDP', value: isAnswer ? { sourcePort: 53, destinationPort: 41_000 } : { sourcePort: 41_000, destinationPort: 53 } } },
    source: isAnswer ? server : client, destination: isAnswer ? client : server, eventType: { type: 129 }, isReply: isAnswer,
    l7: {
      type: isAnswer ? L7FlowType.RESPONSE : L7FlowType.REQUEST,
      record: { $case: 'dns', value: { query: name, observationSource: 'proxy', qtypes: ['A'], ...(isAnswer ? { ips: [...ips], ttl: 30, rrtypes: ['A'] } : {}) } },
    },
    Summary: summary,
  });
}

export function responseOf(flow: Flow): GetFlowsResponse {
  return { responseTypes: { $case: 'flow', value: flow }, nodeName: flow.nodeName, time: flow.time };
}

type Call = ServerWritableStream<GetFlowsRequest, GetFlowsResponse>;

/** What it does with a request; the default gives `responses` and ends. */
export type Behaviour = (call: Call) => void;

export class FakeObserver {
  readonly asked: GetFlowsRequest[] = [];
  behaviour: Behaviour;
  private readonly server = new Server();

  constructor(behaviour: Behaviour) {
    this.behaviour = behaviour;
    const unimplemented = (_: unknown, callback: (error: { code: number }) => void): void => { callback({ code: status.UNIMPLEMENTED }); };
    const service: UntypedServiceImplementation = {
      getFlows: (call: Call) => {
        this.asked.push(call.request);
        this.behaviour(call);
      },
      getAgentEvents: (call: Call) => { call.end(); }, getDebugEvents: (call: Call) => { call.end(); },
      getNodes: unimplemented, getNamespaces: unimplemented, serverStatus: unimplemented,
    };
    this.server.addService(ObserverService, service);
  }

  /** `unix:PATH` or `ADDR:0`; resolves with the port. */
  listen(t: Test, at: string, credentials = ServerCredentials.createInsecure()): Promise<number> {
    t.teardown(() => { this.kill(); });
    return new Promise((resolve, reject) => {
      this.server.bindAsync(at, credentials, (error, port) => { if (error === null) resolve(port); else reject(error); });
    });
  }

  /** As a SIGKILL would: no stream is ended in an orderly way. */
  kill(): void {
    this.server.forceShutdown();
  }
}

export function giving(...responses: readonly GetFlowsResponse[]): Behaviour {
  return (call) => {
    for (const response of responses) call.write(response);
    if (!call.request.follow) call.end();
  };
}

export function failing(code: status, details: string): Behaviour {
  return (call) => { call.emit('error', { code, details }); };
}
