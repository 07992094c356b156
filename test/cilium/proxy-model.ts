/**
 * What a DNS proxy beside an agent is to it, as far as the protocol goes: takes policy states over one stream, answers each without saying
 * which (as Cilium's own does), and tells mappings.
 */
import { Client, type ClientDuplexStream, credentials, type ServiceError, type StatusObject } from '@grpc/grpc-js';
import { fqdnPb } from '@tandem/proto';
import type { Server } from '../harness/clients.js';

const CALL_WITHIN_MS = 5_000;
const identity = (bytes: Buffer): Buffer => bytes;
const ANSWER = Buffer.from(fqdnPb.PolicyStateResponse.encode({ response: fqdnPb.ResponseCode.NO_ERROR, requestId: '' }).finish());

export type Mapping = Parameters<typeof fqdnPb.FQDNMapping.fromPartial>[0];

export class CiliumProxyModel {
  readonly states: { readonly atMs: number; readonly state: fqdnPb.PolicyState }[] = [];
  ended: StatusObject | null = null;
  private readonly client: Client;
  private readonly stream: ClientDuplexStream<Buffer, Buffer>;

  constructor(at: Server, isAnswering = true) {
    this.client = new Client(`${at.address}:${String(at.port)}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    this.stream = this.client.makeBidiStreamRequest(fqdnPb.FQDNDataService.streamPolicyState.path, identity, identity);
    this.stream.on('data', (bytes: Buffer) => {
      this.states.push({ atMs: performance.now(), state: fqdnPb.PolicyState.decode(bytes) });
      if (isAnswering) this.stream.write(ANSWER);
    });
    this.stream.on('error', () => undefined);
    this.stream.on('status', (status: StatusObject) => { this.ended = status; });
  }

  /** Bytes in place of an answer. */
  answer(bytes: Buffer): void {
    this.stream.write(bytes);
  }

  /** The error, or null for one that was taken; bytes go out as they are. */
  tell(mapping: Mapping | Buffer): Promise<ServiceError | null> {
    const bytes = Buffer.isBuffer(mapping) ? mapping : Buffer.from(fqdnPb.FQDNMapping.encode(fqdnPb.FQDNMapping.fromPartial(mapping)).finish());
    return new Promise((resolve, reject) => {
      const { path } = fqdnPb.FQDNDataService.updateMappingRequest;
      this.client.makeUnaryRequest(path, identity, identity, bytes, { deadline: Date.now() + CALL_WITHIN_MS }, (error, answer) => {
        if (error !== null) resolve(error);
        else if (fqdnPb.UpdateMappingResponse.decode(answer!).response === fqdnPb.ResponseCode.NO_ERROR) resolve(null);
        else reject(new Error('an answer without an error that does not acknowledge'));
      });
    });
  }

  close(): void {
    this.stream.cancel();
    this.client.close();
  }
}
