import { once } from 'node:events';
import { type Client, status } from '@grpc/grpc-js';
import t from 'tap';
import { ListedFlows } from './testing/listed-flows.js';
import { answerOf, refusalOf, serve } from './testing/served-flows.js';

const bytes = (value: Buffer): Buffer => value;

/** A message with one text in it, shorter than 128 bytes. */
function textField(number: number, text: string): Buffer {
  return Buffer.concat([Buffer.from([number * 8 + 2, text.length]), Buffer.from(text)]);
}

const SERVICE = 1;
const FILE_BY_FILENAME = 3;
const FILE_CONTAINING_SYMBOL = 4;
const LIST_SERVICES = 7;
/** `status` 1: SERVING. */
const SERVING = '0801';

function check(channel: Client, service: string): Promise<Buffer | undefined> {
  return answerOf((callback) => channel.makeUnaryRequest('/grpc.health.v1.Health/Check', bytes, bytes, textField(SERVICE, service), callback));
}

t.test('the health service says that the Observer serves', async (t) => {
  const { channel } = await serve(t, new ListedFlows());
  t.equal((await check(channel, ''))?.toString('hex'), SERVING);
  t.equal((await check(channel, 'observer.Observer'))?.toString('hex'), SERVING);
  t.match(await refusalOf(check(channel, 'observer.Nobody')), { code: status.NOT_FOUND });
  const watch = channel.makeServerStreamRequest('/grpc.health.v1.Health/Watch', bytes, bytes, textField(SERVICE, 'observer.Observer'));
  watch.on('error', () => undefined);
  const [state] = await once(watch, 'data') as [Buffer];
  t.equal(state.toString('hex'), SERVING);
  watch.cancel();
});

for (const version of ['v1', 'v1alpha']) {
  t.test(`reflection ${version} says what is spoken, file by file`, async (t) => {
    const { channel } = await serve(t, new ListedFlows());
    const stream = channel.makeBidiStreamRequest(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`, bytes, bytes);
    const ask = async (field: number, text: string): Promise<Buffer> => {
      stream.write(textField(field, text));
      const [answer] = await once(stream, 'data') as [Buffer];
      return answer;
    };
    const services = await ask(LIST_SERVICES, '*');
    for (const name of ['observer.Observer', 'grpc.health.v1.Health']) t.ok(services.includes(name), name);
    const observer = await ask(FILE_CONTAINING_SYMBOL, 'observer.Observer');
    for (const name of ['GetFlowsRequest', 'ServerStatusResponse', 'num_unavailable_nodes']) t.ok(observer.includes(name), name);
    t.ok((await ask(FILE_CONTAINING_SYMBOL, 'flow.FlowFilter')).includes('source_identity'));
    t.ok((await ask(FILE_BY_FILENAME, 'nothing.proto')).includes('nothing.proto'));
    stream.end();
    await once(stream, 'status');
  });
}

t.test('bytes that are no message are refused, and who comes next is served', async (t) => {
  const { channel } = await serve(t, new ListedFlows());
  const broken = Buffer.from([0x0f]);
  const refused = { code: status.INVALID_ARGUMENT, details: /not a message of this method/ };
  for (const version of ['v1', 'v1alpha']) {
    const stream = channel.makeBidiStreamRequest(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`, bytes, bytes);
    stream.on('error', () => undefined);
    const ended = new Promise((resolve) => { stream.on('status', resolve); });
    stream.write(broken);
    stream.write(broken);
    t.match(await ended, refused, version);
  }
  const watch = channel.makeServerStreamRequest('/grpc.health.v1.Health/Watch', bytes, bytes, broken);
  watch.on('error', () => undefined);
  t.match(await new Promise((resolve) => { watch.on('status', resolve); }), refused);
  t.match(await refusalOf(answerOf((callback) => channel.makeUnaryRequest('/grpc.health.v1.Health/Check', bytes, bytes, broken, callback))), refused);
  t.equal((await check(channel, ''))?.toString('hex'), SERVING);
});
