/**
 * What each alert is shown: series with which it must fire, and series like them with which it must not. Values are promtool's
 * expanding notation, a value a minute: `0x30` is 0 thirty-one times, `0+60x30` counts up by one a second, `_` is no sample.
 */

export interface AlertCase {
  readonly alert: string;
  /** Series → values. All begin when the rules do. */
  readonly fires: Readonly<Record<string, string>>;
  /** A minute at which it fires, and the last one at which it does not yet; null: it fires as soon as there is something to see. */
  readonly firesAtMinute: number;
  readonly notYetAtMinute: number | null;
  /** Of the alert that fires, besides its name and severity. */
  readonly labels: Readonly<Record<string, string>>;
  /** In which of these it must be silent, at `firesAtMinute`, too. */
  readonly silent: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

const AGENT = 'node="n",role="agent"';
const PROXY = 'node="n",role="dns-proxy"';
const BOTH_UP = { [`tandem_build_info{${AGENT},version="1"}`]: '1x90', [`tandem_build_info{${PROXY},version="1"}`]: '1x90' };
const NODE = { node: 'n' };
const OF_AGENT = { node: 'n', role: 'agent' };

/** A gauge of the agent that is wrong, beside one that is right. */
function gauge(alert: string, name: string, values: { readonly wrong: string; readonly right: string; readonly forMinutes: number }): AlertCase {
  const series = `${name}{${AGENT}}`;
  return {
    alert, fires: { [series]: values.wrong }, labels: OF_AGENT, firesAtMinute: values.forMinutes + 1, notYetAtMinute: Math.max(0, values.forMinutes - 1),
    silent: { 'all is well': { [series]: values.right } },
  };
}

/** A counter of the agent that rises by `perMinute`, where it should stand still; it is seen from the second minute on. */
function counter(alert: string, name: string, options: { readonly perMinute: number; readonly forMinutes: number; readonly labels?: AlertCase['labels'] }): AlertCase {
  const series = `${name}{${AGENT}}`;
  const { perMinute, forMinutes, labels = OF_AGENT } = options;
  return {
    alert, fires: { [series]: `0+${String(perMinute)}x60` }, labels, firesAtMinute: forMinutes + 3, notYetAtMinute: forMinutes === 0 ? null : forMinutes,
    silent: { 'it stands still': { [series]: '7x60' } },
  };
}

const ALLOWED = `tandem_allowed_total{${AGENT}}`;
const TIMEOUTS = `tandem_upstream_timeout_total{${AGENT}}`;
const RESPONSES = (rcode: string): string => `hubble_dns_responses_total{${AGENT},rcode="${rcode}",qtypes="A",ips_returned="0"}`;
const UPSTREAM_BUCKET = (le: string): string => `cilium_proxy_upstream_reply_seconds_bucket{${AGENT},error="allow",protocol_l7="dns",scope="upstreamTime",le="${le}"}`;
const DENIED = `tandem_denied_total{${AGENT}}`;
const ON_INSTANCE = `instance="i",${AGENT}`;

export const ALERT_CASES: readonly AlertCase[] = [
  {
    alert: 'TandemPairDown', labels: NODE, firesAtMinute: 43, notYetAtMinute: 35,
    fires: { [`tandem_build_info{${AGENT},version="1"}`]: '1x35 stale', [`tandem_build_info{${PROXY},version="1"}`]: '1x35 stale' },
    silent: {
      'one of the two is left': { [`tandem_build_info{${AGENT},version="1"}`]: '1x35 stale', [`tandem_build_info{${PROXY},version="1"}`]: '1x90' },
      'there never was one': {},
    },
  },
  {
    alert: 'TandemMemberDown', labels: NODE, firesAtMinute: 6, notYetAtMinute: 4,
    fires: { [`tandem_build_info{${AGENT},version="1"}`]: '1x30' },
    silent: { 'both are there': BOTH_UP },
  },
  {
    alert: 'TandemNotRedundant', labels: NODE, firesAtMinute: 6, notYetAtMinute: 4,
    fires: { [`tandem_redundant{${AGENT}}`]: '1x30', [`tandem_redundant{${PROXY}}`]: '0x30' },
    silent: {
      'both say so': { [`tandem_redundant{${AGENT}}`]: '1x30', [`tandem_redundant{${PROXY}}`]: '1x30' },
      'a member is replaced': { [`tandem_redundant{${AGENT}}`]: '0x3 1x30', [`tandem_redundant{${PROXY}}`]: '1x30' },
    },
  },
  gauge('TandemHeartbeatLate', 'tandem_heartbeat_age_seconds', { wrong: '0.4x30', right: '0.012x30', forMinutes: 2 }),
  gauge('TandemPeerHung', 'tandem_peer_heartbeat_age_seconds', { wrong: '5+60x30', right: '0.02x30', forMinutes: 1 }),
  {
    alert: 'TandemTakeoversOften', labels: NODE, firesAtMinute: 16, notYetAtMinute: 1,
    fires: { [`tandem_takeovers_total{${AGENT}}`]: '0+1x60' },
    silent: { 'one upgrade': { [`tandem_takeovers_total{${AGENT}}`]: '0x8 1x30', [`tandem_takeovers_total{${PROXY}}`]: '0x10 1x30' } },
  },
  {
    alert: 'TandemRestarts', labels: { ...OF_AGENT, instance: 'i' }, firesAtMinute: 20, notYetAtMinute: 4,
    fires: { [`process_start_time_seconds{${ON_INSTANCE}}`]: '100x4 400x4 700x4 1000x60', [`tandem_build_info{${ON_INSTANCE},version="1"}`]: '1x90' },
    silent: {
      'one restart': { [`process_start_time_seconds{${ON_INSTANCE}}`]: '100x4 400x60', [`tandem_build_info{${ON_INSTANCE},version="1"}`]: '1x90' },
      'another program': { 'process_start_time_seconds{instance="other"}': '100x4 400x4 700x4 1000x60', ...BOTH_UP },
    },
  },
  {
    alert: 'TandemQueryOfDeath', labels: OF_AGENT, firesAtMinute: 12, notYetAtMinute: 9,
    fires: { [`tandem_taken_unparsed_total{${AGENT}}`]: '0x9 1x60' },
    silent: { 'takeovers without one': { [`tandem_taken_unparsed_total{${AGENT}}`]: '0x60', [`tandem_taken_total{${AGENT}}`]: '0+10x60' } },
  },
  {
    alert: 'TandemPeerLinkDown', labels: OF_AGENT, firesAtMinute: 6, notYetAtMinute: 4,
    fires: { ...BOTH_UP, [`tandem_peer_connected{${AGENT}}`]: '0x30', [`tandem_peer_connected{${PROXY}}`]: '1x30' },
    silent: {
      'the link is up': { ...BOTH_UP, [`tandem_peer_connected{${AGENT}}`]: '1x30' },
      'the peer is down, which has an alert of its own': { [`tandem_build_info{${AGENT},version="1"}`]: '1x30', [`tandem_peer_connected{${AGENT}}`]: '0x30' },
    },
  },
  {
    alert: 'TandemReconcileLag', labels: OF_AGENT, firesAtMinute: 6, notYetAtMinute: 4,
    fires: { [`tandem_peer_connected{${AGENT}}`]: '1x30', [`tandem_peer_lag_seconds{${AGENT}}`]: '4x30', [`tandem_peer_lag_mappings{${AGENT}}`]: '12x30' },
    silent: {
      'all is acknowledged': { [`tandem_peer_connected{${AGENT}}`]: '1x30', [`tandem_peer_lag_seconds{${AGENT}}`]: '0.1x30', [`tandem_peer_lag_mappings{${AGENT}}`]: '3x30' },
      'there is no peer to be late': { [`tandem_peer_connected{${AGENT}}`]: '0x30', [`tandem_peer_lag_seconds{${AGENT}}`]: '60+60x30', [`tandem_peer_lag_mappings{${AGENT}}`]: '9000x30' },
    },
  },
  {
    alert: 'TandemVersionSkew', labels: { ...OF_AGENT, version: '2' }, firesAtMinute: 61, notYetAtMinute: 59,
    fires: { ...BOTH_UP, [`tandem_peer_info{${AGENT},version="2"}`]: '1x90' },
    silent: { 'one version': { ...BOTH_UP, [`tandem_peer_info{${AGENT},version="1"}`]: '1x90' } },
  },
  gauge('TandemSettingsMismatch', 'tandem_settings_mismatch', { wrong: '2x30', right: '0x30', forMinutes: 5 }),
  gauge('TandemNoSnapshot', 'tandem_policy_revision', { wrong: '0x30', right: '17x30', forMinutes: 2 }),
  gauge('TandemPolicyDiffers', 'tandem_peer_policy_differs', { wrong: '1x30', right: '1x3 0x30', forMinutes: 5 }),
  gauge('TandemPolicyProblems', 'tandem_policy_problems', { wrong: '1x40', right: '1x10 0x40', forMinutes: 15 }),
  {
    alert: 'TandemRefusalsJump', labels: NODE, firesAtMinute: 105, notYetAtMinute: 88,
    fires: { [DENIED]: '0+30x90 2700+1800x60' },
    silent: {
      'refusals as ever, however many': { [DENIED]: '0+1800x150' },
      'a few where there were none': { [DENIED]: '0x90 0+30x60' },
    },
  },
  counter('TandemStrangers', 'tandem_unknown_endpoint_total', { perMinute: 120, forMinutes: 10, labels: NODE }),
  {
    alert: 'TandemUpstreamTimeouts', labels: NODE, firesAtMinute: 8, notYetAtMinute: 5,
    fires: { [ALLOWED]: '0+6000x30', [TIMEOUTS]: '0+600x30' },
    silent: {
      'one in a thousand': { [ALLOWED]: '0+6000x30', [TIMEOUTS]: '0+6x30' },
      'no queries at all': { [ALLOWED]: '0x30', [TIMEOUTS]: '0x30' },
    },
  },
  {
    alert: 'TandemUpstreamSlow', labels: NODE, firesAtMinute: 18, notYetAtMinute: 15,
    fires: { [UPSTREAM_BUCKET('0.5')]: '0+90x60', [UPSTREAM_BUCKET('1')]: '0+100x60', [UPSTREAM_BUCKET('+Inf')]: '0+100x60' },
    silent: { 'all within half a second': { [UPSTREAM_BUCKET('0.5')]: '0+100x60', [UPSTREAM_BUCKET('1')]: '0+100x60', [UPSTREAM_BUCKET('+Inf')]: '0+100x60' } },
  },
  {
    alert: 'TandemUpstreamLies', labels: NODE, firesAtMinute: 13, notYetAtMinute: 10,
    fires: { [`tandem_upstream_unmatched_total{${AGENT}}`]: '0+6000x30', [`tandem_upstream_malformed_total{${AGENT}}`]: '0x30', [`tandem_off_chain_total{${AGENT}}`]: '0x30' },
    silent: { 'a late answer now and then': { [`tandem_upstream_unmatched_total{${AGENT}}`]: '0+60x30', [`tandem_upstream_malformed_total{${AGENT}}`]: '0x30', [`tandem_off_chain_total{${AGENT}}`]: '0x30' } },
  },
  {
    alert: 'TandemServfail', labels: NODE, firesAtMinute: 13, notYetAtMinute: 10,
    fires: { [RESPONSES('Server Failure')]: '0+60x30', [RESPONSES('No Error')]: '0+600x30' },
    silent: { 'names that are not there': { [RESPONSES('Server Failure')]: '0+6x30', [RESPONSES('Non-Existent Domain')]: '0+600x30' } },
  },
  {
    alert: 'TandemSlotsShort', labels: OF_AGENT, firesAtMinute: 6, notYetAtMinute: 4,
    fires: { [`tandem_under_way{${AGENT}}`]: '3000x30', [`tandem_slots{${AGENT}}`]: '8192x30' },
    silent: { 'a burst': { [`tandem_under_way{${AGENT}}`]: '3000x3 40x30', [`tandem_slots{${AGENT}}`]: '8192x30' } },
  },
  counter('TandemShedding', 'tandem_shed_total', { perMinute: 60, forMinutes: 2 }),
  counter('TandemOverdue', 'tandem_overdue_total', { perMinute: 60, forMinutes: 2 }),
  counter('TandemSemaphoreRejections', 'tandem_semaphore_rejected_total', { perMinute: 60, forMinutes: 5 }),
  {
    alert: 'TandemDatapathLate', labels: OF_AGENT, firesAtMinute: 8, notYetAtMinute: 5,
    fires: { [`tandem_hold_timeout_total{${AGENT}}`]: '0+60x30', [`tandem_hold_overflow_total{${AGENT}}`]: '0x30' },
    silent: { 'answers are held, and released in time': { [`tandem_held_total{${AGENT}}`]: '0+600x30', [`tandem_hold_timeout_total{${AGENT}}`]: '0x30', [`tandem_hold_overflow_total{${AGENT}}`]: '0x30' } },
  },
  gauge('TandemSourceAway', 'tandem_source_away', { wrong: '1x30', right: '0x30', forMinutes: 5 }),
  gauge('TandemSourceNotSynced', 'tandem_source_synced', { wrong: '0x30', right: '1x30', forMinutes: 10 }),
  gauge('TandemCiliumAgentAway', 'tandem_cilium_connected', { wrong: '0x30', right: '1x30', forMinutes: 10 }),
  gauge('TandemStateNotWritten', 'tandem_state_write_failed', { wrong: '1x30', right: '0x30', forMinutes: 2 }),
  counter('TandemMappingsDropped', 'tandem_learn_dropped_total', { perMinute: 6, forMinutes: 2 }),
  {
    alert: 'TandemMappingsEvicted', labels: OF_AGENT, firesAtMinute: 3, notYetAtMinute: null,
    fires: { [`tandem_mappings_evicted_total{${AGENT}}`]: '0+10x30', [`tandem_zombies_evicted_total{${AGENT}}`]: '0x30' },
    silent: { 'it was long ago': { [`tandem_mappings_evicted_total{${AGENT}}`]: '5000x30', [`tandem_zombies_evicted_total{${AGENT}}`]: '7x30' } },
  },
  counter('TandemFlowsLost', 'tandem_flows_lost_total', { perMinute: 600, forMinutes: 10 }),
  {
    alert: 'TandemControlThreadBusy', labels: { ...OF_AGENT, instance: 'i' }, firesAtMinute: 11, notYetAtMinute: 9,
    fires: { [`nodejs_eventloop_lag_max_seconds{${ON_INSTANCE}}`]: '2x30', [`tandem_build_info{${ON_INSTANCE},version="1"}`]: '1x30' },
    silent: {
      'a policy is compiled now and then': { [`nodejs_eventloop_lag_max_seconds{${ON_INSTANCE}}`]: '2 0.02x5 2 0.02x30', [`tandem_build_info{${ON_INSTANCE},version="1"}`]: '1x30' },
      'another program': { 'nodejs_eventloop_lag_max_seconds{instance="other"}': '2x30' },
    },
  },
  {
    alert: 'TandemDescriptorsShort', labels: { ...OF_AGENT, instance: 'i' }, firesAtMinute: 11, notYetAtMinute: 9,
    fires: { [`process_open_fds{${ON_INSTANCE}}`]: '900x30', [`process_max_fds{${ON_INSTANCE}}`]: '1024x30', [`tandem_build_info{${ON_INSTANCE},version="1"}`]: '1x30' },
    silent: {
      'a few hundred': { [`process_open_fds{${ON_INSTANCE}}`]: '300x30', [`process_max_fds{${ON_INSTANCE}}`]: '1024x30', [`tandem_build_info{${ON_INSTANCE},version="1"}`]: '1x30' },
      'another program': { 'process_open_fds{instance="other"}': '900x30', 'process_max_fds{instance="other"}': '1024x30' },
    },
  },
];
