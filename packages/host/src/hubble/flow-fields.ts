/** Names and numbers of the fields of `flow.Flow`, for field masks: generated code has them in no table. A test holds it to flow.proto. */

/** Field name to number; of a single message also to its fields. */
export type MessageFields = Readonly<Record<string, number | MessageField>>;

export interface MessageField {
  readonly number: number;
  readonly fields: MessageFields;
}

const PORTS: MessageFields = { source_port: 1, destination_port: 2 };
const ICMP: MessageFields = { type: 1, code: 2 };
const TIMESTAMP: MessageFields = { seconds: 1, nanos: 2 };
const SERVICE: MessageFields = { name: 1, namespace: 2 };

const ENDPOINT: MessageFields = { ID: 1, identity: 2, namespace: 3, labels: 4, pod_name: 5, workloads: 6, cluster_name: 7 };
const IP: MessageFields = { source: 1, destination: 2, ipVersion: 3, encrypted: 4, source_xlated: 5 };

const FLAGS: MessageFields = { FIN: 1, SYN: 2, RST: 3, PSH: 4, ACK: 5, URG: 6, ECE: 7, CWR: 8, NS: 9 };
const LAYER4: MessageFields = {
  TCP: message(1, { ...PORTS, flags: message(3, FLAGS) }), UDP: message(2, PORTS), ICMPv4: message(3, ICMP), ICMPv6: message(4, ICMP), SCTP: message(5, PORTS),
};

const LAYER7: MessageFields = {
  type: 1,
  latency_ns: 2,
  dns: message(100, { query: 1, ips: 2, ttl: 3, cnames: 4, observation_source: 5, rcode: 6, qtypes: 7, rrtypes: 8 }),
  http: message(101, { code: 1, method: 2, url: 3, protocol: 4, headers: 5 }),
  kafka: message(102, { error_code: 1, api_version: 2, api_key: 3, correlation_id: 4, topic: 5 }),
};

export const FLOW_FIELDS: MessageFields = {
  time: message(1, TIMESTAMP),
  verdict: 2,
  drop_reason: 3,
  ethernet: message(4, { source: 1, destination: 2 }),
  IP: message(5, IP),
  l4: message(6, LAYER4),
  source: message(8, ENDPOINT),
  destination: message(9, ENDPOINT),
  Type: 10,
  node_name: 11,
  source_names: 13,
  destination_names: 14,
  l7: message(15, LAYER7),
  reply: 16,
  event_type: message(19, { type: 1, sub_type: 2 }),
  source_service: message(20, SERVICE),
  destination_service: message(21, SERVICE),
  traffic_direction: 22,
  policy_match_type: 23,
  trace_observation_point: 24,
  drop_reason_desc: 25,
  is_reply: message(26, { value: 1 }),
  debug_capture_point: 27,
  interface: message(28, { index: 1, name: 2 }),
  proxy_port: 29,
  trace_context: message(30, { parent: message(1, { trace_id: 1 }) }),
  sock_xlate_point: 31,
  socket_cookie: 32,
  cgroup_id: 33,
  uuid: 34,
  auth_type: 35,
  trace_reason: 36,
  node_labels: 37,
  file: message(38, { name: 1, line: 2 }),
  tunnel: message(39, { protocol: 1, IP: message(2, IP), l4: message(3, LAYER4), vni: 4 }),
  ip_trace_id: message(40, { trace_id: 1, ip_option_type: 2 }),
  emitter: message(41, { name: 1, version: 2 }),
  egress_allowed_by: 21001,
  ingress_allowed_by: 21002,
  egress_denied_by: 21004,
  ingress_denied_by: 21005,
  policy_log: 21006,
  aggregate: message(21007, {}),
  Summary: 100000,
  extensions: message(150000, { type_url: 1, value: 2 }),
};

function message(number: number, fields: MessageFields): MessageField {
  return { number, fields };
}
