/**
 * `grpc.health.v1` and server reflection (v1 and v1alpha) beside the Observer. What serves them parses .proto files and takes some 10 MB, so
 * it is loaded with the first call: most members are never asked. The server knows only paths and bytes of these services.
 */
import { type handleBidiStreamingCall, type handleServerStreamingCall, type handleUnaryCall, type sendUnaryData, type Server, type ServiceDefinition, status, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { PROTO_DIR } from '@tandem/proto';

type Kind = 'unary' | 'server stream' | 'both stream';

const HEALTH = '/grpc.health.v1.Health';
const REFLECTION = ['/grpc.reflection.v1.ServerReflection', '/grpc.reflection.v1alpha.ServerReflection'] as const;
const OBSERVER_PROTO = 'observer/observer.proto';
const SERVED = ['', 'observer.Observer'] as const;

/** A method as a loaded service has it: a definition, and what answers. */
interface Loaded {
  readonly requestDeserialize: (bytes: Buffer) => unknown;
  readonly responseSerialize: (value: unknown) => Buffer;
  readonly answer: (call: unknown, callback?: sendUnaryData<unknown>) => void;
}

export function addStandardServices(server: Server): void {
  const load = loader();
  addRaw(server, load, HEALTH, { Check: 'unary', List: 'unary', Watch: 'server stream' });
  for (const service of REFLECTION) addRaw(server, load, service, { ServerReflectionInfo: 'both stream' });
}

/** By path; loaded once. What could not be loaded is tried again with the next call. */
function loader(): (path: string) => Promise<Loaded> {
  let loading: Promise<ReadonlyMap<string, Loaded>> | null = null;
  return async (path) => {
    const attempt = (loading ??= loadAll());
    try {
      return (await attempt).get(path)!;
    } catch (error) {
      if (loading === attempt) loading = null;
      throw error;
    }
  };
}

async function loadAll(): Promise<ReadonlyMap<string, Loaded>> {
  const [{ HealthImplementation, protoPath }, { ReflectionService }, { loadSync }] = await Promise.all([
    import('grpc-health-check'), import('@grpc/reflection'), import('@grpc/proto-loader'),
  ]);
  const methods = new Map<string, Loaded>();
  const addService = (definition: ServiceDefinition, implementation: UntypedServiceImplementation): void => {
    for (const [name, { path, requestDeserialize, responseSerialize, originalName }] of Object.entries(definition)) {
      const answer = (implementation[originalName ?? name] ?? implementation[name]) as unknown as Loaded['answer'];
      methods.set(path, { requestDeserialize, responseSerialize, answer });
    }
  };
  new HealthImplementation(Object.fromEntries(SERVED.map((name) => [name, 'SERVING']))).addToServer({ addService });
  const spoken = { ...loadSync(OBSERVER_PROTO, { keepCase: true, includeDirs: [PROTO_DIR] }), ...loadSync(protoPath, { keepCase: true }) };
  new ReflectionService(spoken).addToServer({ addService });
  return methods;
}

/** @throws what gRPC answers to a message that is none of the method's. */
function decoded({ requestDeserialize }: Loaded, bytes: Buffer): unknown {
  try {
    return requestDeserialize(bytes);
  } catch (error) {
    const details = `not a message of this method: ${error instanceof Error ? error.message : String(error)}`;
    throw Object.assign(new Error(details), { code: status.INVALID_ARGUMENT, details });
  }
}

function addRaw(server: Server, load: (path: string) => Promise<Loaded>, service: string, kinds: Readonly<Record<string, Kind>>): void {
  const bytes = (value: Buffer): Buffer => value;
  const definition = Object.fromEntries(Object.entries(kinds).map(([name, kind]) => [name, {
    path: `${service}/${name}`, requestStream: kind === 'both stream', responseStream: kind !== 'unary',
    requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes,
  }]));
  const handlers: Readonly<Record<Kind, (path: string) => UntypedServiceImplementation[string]>> = {
    'unary': (path) => unary(load, path),
    'server stream': (path) => serverStream(load, path),
    'both stream': (path) => bothStream(load, path),
  };
  server.addService(definition, Object.fromEntries(Object.entries(kinds).map(([name, kind]) => [name, handlers[kind](`${service}/${name}`)])));
}

function unary(load: (path: string) => Promise<Loaded>, path: string): handleUnaryCall<Buffer, Buffer> {
  return (call, callback) => {
    load(path).then((method) => {
      method.answer({ request: decoded(method, call.request) }, (error, value) => callback(error, error === null ? method.responseSerialize(value) : null));
    }).catch((error: unknown) => callback(error instanceof Error ? error : new Error(String(error))));
  };
}

function serverStream(load: (path: string) => Promise<Loaded>, path: string): handleServerStreamingCall<Buffer, Buffer> {
  return (call) => {
    load(path).then((method) => {
      method.answer({
        request: decoded(method, call.request),
        on: (event: string, listener: () => void) => call.on(event, listener),
        write: (value: unknown) => call.write(method.responseSerialize(value)),
      });
    }).catch((error: unknown) => call.emit('error', error));
  };
}

/** A client that reads no answers is not read from. */
function bothStream(load: (path: string) => Promise<Loaded>, path: string): handleBidiStreamingCall<Buffer, Buffer> {
  return (call) => {
    load(path).then((method) => {
      call.on('drain', () => call.resume());
      const receive = (bytes: Buffer, listener: (value: unknown) => void): void => {
        try {
          listener(decoded(method, bytes));
        } catch (error) {
          call.emit('error', error);
        }
      };
      method.answer({
        on: (event: string, listener: (value?: unknown) => void) => {
          if (event === 'data') call.on('data', (bytes: Buffer) => { receive(bytes, listener); });
          else call.on(event, listener);
        },
        write: (value: unknown) => {
          if (!call.write(method.responseSerialize(value))) call.pause();
        },
        end: () => call.end(),
      });
    }).catch((error: unknown) => call.emit('error', error));
  };
}
