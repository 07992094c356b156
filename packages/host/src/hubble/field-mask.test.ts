import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Flow, PROTO_DIR, Verdict } from '@tandem/proto';
import fc from 'fast-check';
import t from 'tap';
import { compileFieldMask, PATHS_MAX } from './field-mask.js';
import { FLOW_FIELDS, type MessageFields } from './flow-fields.js';
import { flows } from './testing/random-flows.js';

function masked(flow: Flow, ...paths: readonly string[]): unknown {
  return Flow.toJSON(Flow.decode(compileFieldMask(paths)!(Flow.encode(flow).finish())));
}

/** Messages of flow.proto: field to number, type, and whether there may be several. */
function published(): Map<string, Map<string, { number: number; type: string; isRepeated: boolean }>> {
  const text = readFileSync(join(PROTO_DIR, 'flow', 'flow.proto'), 'utf8').replaceAll(/\/\/.*/g, '').replaceAll(/\s*(enum|oneof)\s+\w+\s*\{/g, (match, kind: string) => (kind === 'enum' ? match : ' {'));
  const messages = new Map<string, Map<string, { number: number; type: string; isRepeated: boolean }>>();
  for (const [, name, body] of text.matchAll(/^message (\w+) \{([^]*?)^\}/gm)) {
    const fields = [...body.matchAll(/(repeated )?([\w.]+) (\w+) = (\d+)( \[[^\]]*\])?;/g)];
    messages.set(name, new Map(fields.map(([, repeated, type, field, number]) => [field, { number: Number(number), type, isRepeated: repeated !== undefined }])));
  }
  return messages;
}

t.test('the table of fields is what flow.proto says', (t) => {
  const messages = published();
  let fields = 0;
  const compare = (path: string, table: MessageFields, message: string): void => {
    const expected = messages.get(message)!;
    t.strictSame(Object.keys(table).sort(), [...expected.keys()].sort(), path);
    for (const [name, field] of Object.entries(table)) {
      const { number, type, isRepeated } = expected.get(name)!;
      fields++;
      t.equal(typeof field === 'number' ? field : field.number, number, `${path}${name}`);
      if (messages.has(type) && !isRepeated) {
        if (typeof field === 'number') t.fail(`${path}${name} is a message`);
        else compare(`${path}${name}.`, field.fields, type);
      }
    }
  };
  // Its protocol stands inside, and is no field of it.
  messages.get('Tunnel')!.forEach(({ type }, name, all) => { if (type === 'UNKNOWN') all.delete(name); });
  compare('', FLOW_FIELDS, 'Flow');
  t.ok(fields > 150);
  t.end();
});

t.test('fields of fields are wanted alone, and all of a field where it is named', (t) => {
  const flow = Flow.fromPartial({
    uuid: 'u', verdict: Verdict.DROPPED, source: { identity: 7, podName: 'web', labels: ['a', 'b'], workloads: [{ name: 'w', kind: 'k' }] }, destination: { identity: 9 },
    l7: { latencyNs: 5n, record: { $case: 'dns', value: { query: `${'q'.repeat(300)}.`, ips: ['192.0.2.1', '192.0.2.2'] } } },
  });
  t.strictSame(masked(flow, 'uuid'), { uuid: 'u' });
  t.strictSame(masked(flow, 'source.pod_name', 'source.labels', 'destination'), { source: { pod_name: 'web', labels: ['a', 'b'] }, destination: { identity: 9 } });
  t.strictSame(masked(flow, 'l7.dns.query', 'l7.latency_ns'), { l7: { latency_ns: '5', dns: { query: `${'q'.repeat(300)}.` } } });
  t.strictSame(masked(flow, 'source', 'source.pod_name'), masked(flow, 'source'));
  t.strictSame(masked(flow, 'source.pod_name', 'source'), masked(flow, 'source'));
  t.strictSame(masked(flow, 'ethernet', 'l4.TCP'), {});
  t.end();
});

t.test('masks of chance leave what their paths name, and nothing else', (t) => {
  const paths = fc.constantFrom('time', 'verdict', 'uuid', 'source.labels', 'source.identity', 'destination', 'l7.dns', 'l7.dns.ips', 'l7.type', 'l4.TCP.flags', 'l4.UDP', 'IP.source', 'is_reply', 'trace_context.parent.trace_id', 'source_names');
  type Json = { [name: string]: Json } | undefined;
  const cut = (json: Json, path: readonly string[], into: NonNullable<Json>): void => {
    const [name, ...rest] = path;
    if (json?.[name] === undefined) return;
    if (rest.length === 0) into[name] = json[name];
    else cut(json[name], rest, (into[name] ??= {}));
  };
  fc.assert(fc.property(flows, fc.array(paths, { minLength: 1, maxLength: 5 }), (flows, wanted) => {
    for (const flow of flows) {
      const expected: NonNullable<Json> = {};
      // The shorter path first: what it names is all there.
      for (const path of [...wanted].sort((one, other) => other.length - one.length)) cut(Flow.toJSON(flow) as Json, path.split('.'), expected);
      if (JSON.stringify(Flow.toJSON(Flow.fromJSON(expected))) !== JSON.stringify(masked(flow, ...wanted))) throw new Error(`${wanted.join()} left ${JSON.stringify(masked(flow, ...wanted))} of ${JSON.stringify(Flow.toJSON(flow))}`);
    }
  }), { numRuns: 200 });
  t.end();
});

t.test('paths that a flow does not have are refused', (t) => {
  for (const path of ['', 'nothing', 'source.', '.source', 'source.shoe', 'uuid.x', 'source.workloads.name', 'sourceNames', 'constructor', 'l7.dns.query.x']) {
    t.throws(() => compileFieldMask([path]), { code: 'USAGE', message: /field_mask: a flow has no field/ }, path);
  }
  t.equal(compileFieldMask([]), null);
  t.throws(() => compileFieldMask(Array.from({ length: PATHS_MAX + 1 }, () => 'uuid')), { message: /field_mask has 257 paths; allowed: 256/ });
  t.end();
});
