/**
 * Messages in bytes, put together by hand from the published field numbers, not by an encoder of ours: what the stock client sends, and
 * what it must get. One field per line; an indented one lies in the one above.
 */

function bytesOf(text: string): Buffer {
  return Buffer.from(text.replaceAll(/#.*|\s/g, ''), 'hex');
}

export const REQUEST = bytesOf(`
  0a8302  # flow (1), 259 bytes
    0a0c  # time (1), 12 bytes
      0880e2cfaa06  # seconds 1 = 1700000000
      1080cab5ee01  # nanos 2 = 500000000
    1001  # verdict 2 = 1
    2a17  # IP (5), 23 bytes
      0a0831302e302e302e31  # source 1 = "10.0.0.1"
      120931302e302e302e3533  # destination 2 = "10.0.0.53"
      1801  # ipVersion 3 = 1
    3208  # l4 (6), 8 bytes
      1206  # UDP (2), 6 bytes
        08c0b802  # source_port 1 = 40000
        1035  # destination_port 2 = 53
    4245  # source (8), 69 bytes
      0807  # ID 1 = 7
      10e907  # identity 2 = 1001
      1a0473686f70  # namespace 3 = "shop"
      220f6b38733a6170703d637261776c6572  # labels 4 = "k8s:app=crawler"
      2a07637261776c6572  # pod_name 5 = "crawler"
      3215  # workloads (6), 21 bytes
        0a07637261776c6572  # name 1 = "crawler"
        120a4465706c6f796d656e74  # kind 2 = "Deployment"
      3a0764656661756c74  # cluster_name 7 = "default"
    4a12  # destination (9), 18 bytes
      1002  # identity 2 = 2
      220e72657365727665643a776f726c64  # labels 4 = "reserved:world"
    5002  # Type 10 (L7) = 2
    5a046e6f6465  # node_name 11 = "node"
    7a18  # l7 (15), 24 bytes
      0801  # type 1 = 1
      a20613  # dns (100), 19 bytes
        0a07612e746573742e  # query 1 = "a.test."
        2a0570726f7879  # observation_source 5 = "proxy"
        3a0141  # qtypes 7 = "A"
    9a0103  # event_type (19), 3 bytes
      088101  # type 1 = 129
    b00102  # traffic_direction 22 (EGRESS) = 2
    d20100  # is_reply (26), 0 bytes
    920209752d72657175657374  # uuid 34 = "u-request"
    caa00a20  # egress_allowed_by (21001), 32 bytes
      0a03646e73  # name 1 = "dns"
      120473686f70  # namespace 2 = "shop"
      2a1343696c69756d4e6574776f726b506f6c696379  # kind 5 = "CiliumNetworkPolicy"
    82ea3013444e5320517565727920612e746573742e2041  # Summary 100000 = "DNS Query a.test. A"
  c23e046e6f6465  # node_name 1000 = "node"
  ca3e0c  # time (1001), 12 bytes
    0880e2cfaa06  # seconds 1 = 1700000000
    1080cab5ee01  # nanos 2 = 500000000
`);

export const ANSWER = bytesOf(`
  0ac502  # flow (1), 325 bytes
    0a0c  # time (1), 12 bytes
      0880e2cfaa06  # seconds 1 = 1700000000
      1080cab5ee01  # nanos 2 = 500000000
    1001  # verdict 2 = 1
    2a17  # IP (5), 23 bytes
      0a0931302e302e302e3533  # source 1 = "10.0.0.53"
      120831302e302e302e31  # destination 2 = "10.0.0.1"
      1801  # ipVersion 3 = 1
    3208  # l4 (6), 8 bytes
      1206  # UDP (2), 6 bytes
        0835  # source_port 1 = 53
        10c0b802  # destination_port 2 = 40000
    4212  # source (8), 18 bytes
      1002  # identity 2 = 2
      220e72657365727665643a776f726c64  # labels 4 = "reserved:world"
    4a45  # destination (9), 69 bytes
      0807  # ID 1 = 7
      10e907  # identity 2 = 1001
      1a0473686f70  # namespace 3 = "shop"
      220f6b38733a6170703d637261776c6572  # labels 4 = "k8s:app=crawler"
      2a07637261776c6572  # pod_name 5 = "crawler"
      3215  # workloads (6), 21 bytes
        0a07637261776c6572  # name 1 = "crawler"
        120a4465706c6f796d656e74  # kind 2 = "Deployment"
      3a0764656661756c74  # cluster_name 7 = "default"
    5002  # Type 10 (L7) = 2
    5a046e6f6465  # node_name 11 = "node"
    7a3c  # l7 (15), 60 bytes
      0802  # type 1 = 2
      10e0c65b  # latency_ns 2 = 1500000
      a20633  # dns (100), 51 bytes
        0a07612e746573742e  # query 1 = "a.test."
        12093139322e302e322e37  # ips 2 = "192.0.2.7"
        181e  # ttl 3 = 30
        2207622e746573742e  # cnames 4 = "b.test."
        2a0570726f7879  # observation_source 5 = "proxy"
        3a0141  # qtypes 7 = "A"
        4205434e414d45  # rrtypes 8 = "CNAME"
        420141  # rrtypes 8 = "A"
    9a0103  # event_type (19), 3 bytes
      088101  # type 1 = 129
    b00102  # traffic_direction 22 (EGRESS) = 2
    d20102  # is_reply (26), 2 bytes
      0801  # value 1 = 1
    920208752d616e73776572  # uuid 34 = "u-answer"
    caa00a20  # egress_allowed_by (21001), 32 bytes
      0a03646e73  # name 1 = "dns"
      120473686f70  # namespace 2 = "shop"
      2a1343696c69756d4e6574776f726b506f6c696379  # kind 5 = "CiliumNetworkPolicy"
    82ea3030444e5320416e7377657220223139322e302e322e37222054544c3a203330202850726f787920612e746573742e204129  # Summary 100000 = "DNS Answer "192.0.2.7" TTL: 30 (Proxy a.test. A)"
  c23e046e6f6465  # node_name 1000 = "node"
  ca3e0c  # time (1001), 12 bytes
    0880e2cfaa06  # seconds 1 = 1700000000
    1080cab5ee01  # nanos 2 = 500000000
`);

export const REFUSED = bytesOf(`
  0a8a02  # flow (1), 266 bytes
    0a0c  # time (1), 12 bytes
      0880e2cfaa06  # seconds 1 = 1700000000
      1080cab5ee01  # nanos 2 = 500000000
    1002  # verdict 2 = 2
    188501  # drop_reason 3 = 133
    2a17  # IP (5), 23 bytes
      0a0831302e302e302e31  # source 1 = "10.0.0.1"
      120931302e302e302e3533  # destination 2 = "10.0.0.53"
      1801  # ipVersion 3 = 1
    3208  # l4 (6), 8 bytes
      1206  # UDP (2), 6 bytes
        08c0b802  # source_port 1 = 40000
        1035  # destination_port 2 = 53
    4245  # source (8), 69 bytes
      0807  # ID 1 = 7
      10e907  # identity 2 = 1001
      1a0473686f70  # namespace 3 = "shop"
      220f6b38733a6170703d637261776c6572  # labels 4 = "k8s:app=crawler"
      2a07637261776c6572  # pod_name 5 = "crawler"
      3215  # workloads (6), 21 bytes
        0a07637261776c6572  # name 1 = "crawler"
        120a4465706c6f796d656e74  # kind 2 = "Deployment"
      3a0764656661756c74  # cluster_name 7 = "default"
    4a12  # destination (9), 18 bytes
      1002  # identity 2 = 2
      220e72657365727665643a776f726c64  # labels 4 = "reserved:world"
    5002  # Type 10 (L7) = 2
    5a046e6f6465  # node_name 11 = "node"
    7a18  # l7 (15), 24 bytes
      0801  # type 1 = 1
      a20613  # dns (100), 19 bytes
        0a07612e746573742e  # query 1 = "a.test."
        2a0570726f7879  # observation_source 5 = "proxy"
        3a0141  # qtypes 7 = "A"
    9a0103  # event_type (19), 3 bytes
      088101  # type 1 = 129
    b00102  # traffic_direction 22 (EGRESS) = 2
    c8018501  # drop_reason_desc 25 (POLICY_DENIED) = 133
    d20100  # is_reply (26), 0 bytes
    920209752d72656675736564  # uuid 34 = "u-refused"
    e2a00a20  # egress_denied_by (21004), 32 bytes
      0a03646e73  # name 1 = "dns"
      120473686f70  # namespace 2 = "shop"
      2a1343696c69756d4e6574776f726b506f6c696379  # kind 5 = "CiliumNetworkPolicy"
    82ea3013444e5320517565727920612e746573742e2041  # Summary 100000 = "DNS Query a.test. A"
  c23e046e6f6465  # node_name 1000 = "node"
  ca3e0c  # time (1001), 12 bytes
    0880e2cfaa06  # seconds 1 = 1700000000
    1080cab5ee01  # nanos 2 = 500000000
`);

export const LOST = bytesOf(`
  1a05  # lost_events (3), 5 bytes
    0803  # source 1 (HUBBLE_RING_BUFFER) = 3
    10ac02  # num_events_lost 2 = 300
  c23e046e6f6465  # node_name 1000 = "node"
  ca3e0c  # time (1001), 12 bytes
    0880e2cfaa06  # seconds 1 = 1700000000
    1080cab5ee01  # nanos 2 = 500000000
`);

export const NODE_STATUS = bytesOf(`
  1214  # node_status (2), 20 bytes
    0802  # state_change 1 (NODE_UNAVAILABLE) = 2
    120a6e6f64652f6167656e74  # node_names 2 = "node/agent"
    1a04676f6e65  # message 3 = "gone"
  c23e046e6f6465  # node_name 1000 = "node"
  ca3e0c  # time (1001), 12 bytes
    0880e2cfaa06  # seconds 1 = 1700000000
    1080cab5ee01  # nanos 2 = 500000000
`);

export const SERVER_STATUS = bytesOf(`
  0803  # num_flows 1 = 3
  10808001  # max_flows 2 = 16384
  1803  # seen_flows 3 = 3
  2080e497d012  # uptime_ns 4 = 5000000000
  2a02  # num_connected_nodes (5), 2 bytes
    0801  # value 1 = 1
  3202  # num_unavailable_nodes (6), 2 bytes
    0801  # value 1 = 1
  3a0e6e6f64652f646e732d70726f7879  # unavailable_nodes 7 = "node/dns-proxy"
  42027631  # version 8 = "v1"
`);

/** What `hubble observe --protocol dns` asks for. */
export const OBSERVE_DNS = bytesOf(`
  0814  # number 1 = 20
  3205  # whitelist (6), 5 bytes
    6203646e73  # protocol 12 = "dns"
  52c201  # field_mask (10), 194 bytes
    0a0474696d65  # paths 1 = "time"
    0a0f736f757263652e6964656e74697479  # paths 1 = "source.identity"
    0a10736f757263652e6e616d657370616365  # paths 1 = "source.namespace"
    0a0f736f757263652e706f645f6e616d65  # paths 1 = "source.pod_name"
    0a1464657374696e6174696f6e2e6964656e74697479  # paths 1 = "destination.identity"
    0a1564657374696e6174696f6e2e6e616d657370616365  # paths 1 = "destination.namespace"
    0a1464657374696e6174696f6e2e706f645f6e616d65  # paths 1 = "destination.pod_name"
    0a026c34  # paths 1 = "l4"
    0a024950  # paths 1 = "IP"
    0a026c37  # paths 1 = "l7"
    0a0454797065  # paths 1 = "Type"
    0a096e6f64655f6e616d65  # paths 1 = "node_name"
    0a0869735f7265706c79  # paths 1 = "is_reply"
    0a0a6576656e745f74797065  # paths 1 = "event_type"
    0a0776657264696374  # paths 1 = "verdict"
    0a0753756d6d617279  # paths 1 = "Summary"
`);
