/**
 * What a Cilium agent is to a DNS proxy beside it, as far as its protocol goes: says full policy states over one stream per proxy, the next
 * one when the one before was answered; takes mappings. It can hang, refuse, and say bytes that are no message.
 */
import { type sendUnaryData, Server, ServerCredentials, type ServerDuplexStream, type ServerUnaryCall, status } from '@grpc/grpc-js';
import { fqdnPb } from '@tandem/proto';

export type State = Parameters<typeof fqdnPb.PolicyState.fromPartial>[0];
type Stream = ServerDuplexStream<fqdnPb.PolicyStateResponse, Buffer>;

interface Proxy {
  /** The number of the last state that it was sent. */
  sent: number;
  isOutstanding: boolean;
}

const ENDPOINT_NOT_FOUND = 'endpoint not found';

export class CiliumAgentModel {
  readonly address: string;
  readonly port: number;
  readonly acknowledged: fqdnPb.PolicyStateResponse[] = [];
  readonly mappings: fqdnPb.FQDNMapping[] = [];
  /** take: as it should; refuse: as for an endpoint that it does not know; hang: no word. */
  behaviour: 'take' | 'refuse' | 'hang' = 'take';
  private readonly server: Server;
  private readonly listening = new Map<Stream, Proxy>();
  private state: Buffer = Buffer.alloc(0);
  private number = 0;

  private constructor(server: Server, address: string, port: number) {
    this.server = server;
    this.address = address;
    this.port = port;
  }

  static async start(address: string, port: number): Promise<CiliumAgentModel> {
    const server = new Server();
    const model = new CiliumAgentModel(server, address, port);
    const { streamPolicyState, updateMappingRequest } = fqdnPb.FQDNDataService;
    server.addService(
      { streamPolicyState: { ...streamPolicyState, responseSerialize: (bytes: Buffer) => bytes }, updateMappingRequest },
      {
        streamPolicyState: (stream: Stream) => { model.stream(stream); },
        updateMappingRequest: (call: ServerUnaryCall<fqdnPb.FQDNMapping, fqdnPb.UpdateMappingResponse>, done: sendUnaryData<fqdnPb.UpdateMappingResponse>) => {
          model.mapping(call.request, done);
        },
      },
    );
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`${address}:${String(port)}`, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    return model;
  }

  /** How many proxies listen. */
  get proxies(): number {
    return this.listening.size;
  }

  /** To those that listen, and to all that come; bytes go out as they are. */
  say(state: State | Buffer): void {
    this.state = Buffer.isBuffer(state) ? state : Buffer.from(fqdnPb.PolicyState.encode(fqdnPb.PolicyState.fromPartial(state)).finish());
    this.number++;
    for (const [stream, proxy] of this.listening) this.send(stream, proxy);
  }

  /** Its end, as of a process that is killed. */
  stop(): void {
    this.server.forceShutdown();
  }

  private stream(stream: Stream): void {
    const proxy: Proxy = { sent: 0, isOutstanding: false };
    this.listening.set(stream, proxy);
    const over = (): void => { this.listening.delete(stream); };
    stream.on('data', (response: fqdnPb.PolicyStateResponse) => {
      this.acknowledged.push(response);
      proxy.isOutstanding = false;
      this.send(stream, proxy);
    });
    stream.on('end', () => { stream.end(); });
    stream.on('close', over);
    stream.on('cancelled', over);
    stream.on('error', over);
    this.send(stream, proxy);
  }

  private send(stream: Stream, proxy: Proxy): void {
    if (proxy.isOutstanding || proxy.sent === this.number) return;
    proxy.isOutstanding = true;
    proxy.sent = this.number;
    stream.write(this.state);
  }

  private mapping(mapping: fqdnPb.FQDNMapping, done: sendUnaryData<fqdnPb.UpdateMappingResponse>): void {
    if (this.behaviour === 'hang') return;
    if (this.behaviour === 'refuse') {
      done({ code: status.UNKNOWN, details: ENDPOINT_NOT_FOUND });
      return;
    }
    this.mappings.push(mapping);
    done(null, { response: fqdnPb.ResponseCode.NO_ERROR });
  }
}
