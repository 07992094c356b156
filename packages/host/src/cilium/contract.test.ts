import { fqdnPb } from '@tandem/proto';
import t from 'tap';
import { message, policyState, dnsPolicy, endpointsOf, prefixesOf, raw4 } from './testing/hand-encoder.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const STATE = fqdnPb.PolicyState.fromPartial({
  egressL7DnsPolicy: [{ sourceEndpointId: 12, dnsPattern: ['a.test.', '*.b.test.'], dnsServers: [{ dnsServerIdentity: 4321, dnsServerPort: 53, dnsServerProto: 17 }] }],
  requestId: 'one',
  identityToEndpointMapping: [{ identity: 1001, endpointInfo: [{ id: 12n, ip: [raw4('10.0.0.1')] }] }],
  identityToPrefixMapping: [{ identity: 4321, prefix: [Buffer.from([10, 0, 0, 53, 32])] }],
});

t.test('a policy state has the bytes of the contract', (t) => {
  const bytes = policyState({
    policies: [dnsPolicy(12, ['a.test.', '*.b.test.'], [{ identity: 4321 }])], requestId: 'one',
    endpoints: [endpointsOf(1001, { id: 12, ips: [raw4('10.0.0.1')] })], prefixes: [prefixesOf(4321, Buffer.from([10, 0, 0, 53, 32]))],
  });
  t.equal(hex(bytes), [
    '0a1f080c1207612e746573742e12092a2e622e746573742e1a0708e12110351811', // egress_l7_dns_policy
    '12036f6e65', // request_id
    '1a0d08e9071208080c12040a000001', // identity_to_endpoint_mapping
    '220a08e12112050a00003520', // identity_to_prefix_mapping
  ].join(''), 'the hand encoder itself');
  t.equal(hex(fqdnPb.PolicyState.encode(STATE).finish()), hex(bytes));
  t.strictSame(fqdnPb.PolicyState.decode(bytes), STATE);
  t.end();
});

t.test('a mapping has the bytes of the contract', (t) => {
  const mapping = fqdnPb.FQDNMapping.fromPartial({
    fqdn: 'a.test.', recordIp: [Buffer.from('192.0.2.7')], ttl: 30, sourceIdentity: 1001, sourceIp: Buffer.from('10.0.0.1'), responseCode: 0,
    metricsData: {
      processingStats: { totalTimeNs: 5n, updateNameManagerCacheTimeNs: 6n }, dnsResponseData: { isResponse: true, cnames: ['b.test.'], qtypes: [1], answerTypes: [5, 1] },
      sourcePort: 40_000, serverAddr: '10.0.0.53:53', serverIdentity: 4321, protocol: 'udp', allowed: true, errorMessage: 'x', errorKind: 1,
    },
  });
  const bytes = message(
    [1, 'a.test.'], [2, '192.0.2.7'], [3, 30], [4, 1001], [5, '10.0.0.1'],
    [7, message(
      [1, message([1, 5], [10, 6])], [2, message([1, 1], [2, 'b.test.'], [3, Buffer.from([1])], [4, Buffer.from([5, 1])])],
      [3, 40_000], [4, '10.0.0.53:53'], [5, 4321], [6, 'udp'], [7, 1], [8, 'x'], [9, 1],
    )],
  );
  t.equal(hex(fqdnPb.FQDNMapping.encode(mapping).finish()), hex(bytes));
  t.strictSame(fqdnPb.FQDNMapping.decode(bytes), mapping);
  t.end();
});

t.test('acknowledgements and results have the numbers of the contract', (t) => {
  const numbers = {
    UNSPECIFIED: 0, NO_ERROR: 1, FORMAT_ERROR: 2, SERVER_FAILURE: 3, NOT_IMPLEMENTED: 4, ERROR_ENDPOINT_NOT_FOUND: 5, ERROR_INVALID_ARGUMENT: 6, REFUSED: 7,
  };
  for (const [name, number] of Object.entries(numbers)) t.equal(fqdnPb.ResponseCode[name as keyof typeof numbers], number, name);
  t.equal(hex(fqdnPb.PolicyStateResponse.encode({ response: fqdnPb.ResponseCode.NO_ERROR, requestId: 'one' }).finish()), '080112036f6e65');
  t.equal(hex(fqdnPb.UpdateMappingResponse.encode({ response: fqdnPb.ResponseCode.NO_ERROR }).finish()), '0801');
  t.equal(fqdnPb.FQDNDataService.streamPolicyState.path, '/standalonednsproxy.FQDNData/StreamPolicyState');
  t.equal(fqdnPb.FQDNDataService.updateMappingRequest.path, '/standalonednsproxy.FQDNData/UpdateMappingRequest');
  t.end();
});

t.test('the kind of an error is read as what it is on the wire, a bool or an enum of whatever size', (t) => {
  const kind = (...bytes: number[]): number | undefined => {
    const data = Buffer.from([0x48, ...bytes]);
    return fqdnPb.FQDNMapping.decode(message([7, data])).metricsData?.errorKind;
  };
  t.equal(kind(0), 0);
  t.equal(kind(1), 1);
  t.equal(kind(4), 4);
  t.equal(kind(0xac, 0x02), 300);
  t.equal(fqdnPb.FQDNMapping.decode(message([7, Buffer.alloc(0)])).metricsData?.errorKind, 0, 'absent');
  t.end();
});

t.test('fields of a later version are passed over', (t) => {
  const bytes = Buffer.concat([policyState({ requestId: 'one' }), message([99, 'later'], [100, 7])]);
  t.equal(fqdnPb.PolicyState.decode(bytes).requestId, 'one');
  t.end();
});
