/** The lab's servers: unbound for DNS, which logs every query, and nginx, which says at which address it was reached and from where. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { shell } from './namespaces.js';
import { DNS_PORT, DNS_TARGET_PORT, WEB_PORT, ZONES } from './plan.js';
import type { Both, Name } from './plan.js';

const HTTPS_PORT = 443;

/** One line of a DNS server's log. */
export interface SeenQuery {
  /** Unix time in seconds. */
  readonly time: number;
  /** Address it came from. */
  readonly from: string;
  /** With its last dot, letters as they came. */
  readonly name: string;
  readonly type: string;
}

function records({ name, ttlSeconds, addresses }: Name): string[] {
  return addresses.map((address) => `${name}. ${String(ttlSeconds)} IN ${isIP(address) === 6 ? 'AAAA' : 'A'} ${address}`);
}

function unboundConfiguration(folder: string, own: Both, names: readonly Name[]): string {
  const interfaces = [own.v4, own.v6].flatMap((address) => [DNS_PORT, DNS_TARGET_PORT].map((port) => `  interface: ${address}@${String(port)}`));
  const soa = ZONES.map((zone) => `  local-zone: "${zone}." static
  local-data: "${zone}. 300 IN SOA ns.${zone}. root.${zone}. 1 300 300 300 30"`);
  return `server:
${interfaces.join('\n')}
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  username: ""
  chroot: ""
  directory: "${folder}"
  pidfile: "${folder}/unbound.pid"
  logfile: "${folder}/queries.log"
  use-syslog: no
  log-queries: yes
  verbosity: 0
  num-threads: 1
  so-rcvbuf: 8m
  module-config: "iterator"
  msg-cache-size: 1m
  rrset-cache-size: 1m
  local-zone: "." static
${soa.join('\n')}
${names.flatMap(records).map((record) => `  local-data: "${record}"`).join('\n')}
remote-control:
  control-enable: yes
  control-interface: ${folder}/control
  control-use-cert: no
`;
}

/** Answers for all names by itself and asks nobody. */
export async function startDnsServer(namespace: string, folder: string, options: { readonly own: Both; readonly names: readonly Name[] }): Promise<void> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'unbound.conf'), unboundConfiguration(folder, options.own, options.names));
  await shell(namespace, `unbound -c ${folder}/unbound.conf`);
}

/** Replaces the addresses of a name in a running server. */
export async function changeName(namespace: string, folder: string, name: Name): Promise<void> {
  const control = `unbound-control -c ${folder}/unbound.conf`;
  await shell(namespace, [`${control} local_data_remove ${name.name}.`, ...records(name).map((record) => `${control} local_data '${record}'`)].join(' >/dev/null\n'));
}

export function seenBy(folder: string): SeenQuery[] {
  const text = readFileSync(join(folder, 'queries.log'), 'utf8');
  return [...text.matchAll(/^\[(\d+)\] unbound\[[^\]]*\] info: (\S+) (\S+) (\S+) IN$/gm)].map(([, time, from, name, type]) => ({ time: Number(time), from, name, type }));
}

const NGINX_TEMPORARY = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

export async function startWebServer(namespace: string, folder: string, who: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const listen = [WEB_PORT, HTTPS_PORT].flatMap((port) => [`listen ${String(port)};`, `listen [::]:${String(port)} ipv6only=on;`]);
  writeFileSync(join(folder, 'nginx.conf'), `daemon on;
master_process off;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_timeout 3600;
  keepalive_requests 1000000;
  ${NGINX_TEMPORARY.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(' ')}
  default_type text/plain;
  server {
    ${listen.join(' ')}
    location / { return 200 "${who} at $server_addr for $remote_addr\\n"; }
  }
}
`);
  await shell(namespace, `nginx -p ${folder} -c ${folder}/nginx.conf -e ${folder}/error.log`);
}
