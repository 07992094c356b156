import type { Place } from '@tandem/core';
import fc from 'fast-check';
import t from 'tap';
import { LinkTable } from './link-table.js';
import type { RouteEvent } from './route-messages.js';

const ADDRESSES = ['10.0.0.1', 'fd00::1'];
const MACS = ['02:00:00:00:00:0a', '02:00:00:00:00:0b'];
const BRIDGE = 9;
/** Veths 2 and 3, ports 4 and 5. */
const index = fc.integer({ min: 2, max: 5 });

const link = fc.record({ at: index, isGone: fc.boolean(), isUp: fc.boolean(), isPort: fc.boolean() }).map(({ at, isGone, isUp, isPort }): RouteEvent => ({
  kind: 'link', isGone, link: { index: at, name: `l${at}`, kind: 'veth', mac: '', master: at >= 4 && isPort ? BRIDGE : 0, peer: 0, isUp },
}));
const route = fc.record({ address: fc.constantFrom(...ADDRESSES), isGone: fc.boolean(), replaces: fc.boolean(), priority: fc.constantFrom(0, 1), at: fc.constantFrom(2, 3) })
  .map(({ address, isGone, replaces, priority, at }): RouteEvent => ({ kind: 'route', isGone, replaces: replaces && !isGone, route: { address, table: 254, priority, interfaces: [at] } }));
const neighbour = fc.record({ address: fc.constantFrom(...ADDRESSES), mac: fc.option(fc.constantFrom(...MACS)), isGone: fc.boolean() })
  .map(({ address, mac, isGone }): RouteEvent => ({ kind: 'neighbour', isGone, neighbour: { interface: BRIDGE, address, mac, isStatic: false } }));
const forwarding = fc.record({ port: fc.constantFrom(4, 5), mac: fc.constantFrom(...MACS), isGone: fc.boolean() })
  .map(({ port, mac, isGone }): RouteEvent => ({ kind: 'forwarding', isGone, forwarding: { port, bridge: BRIDGE, mac } }));
const history = fc.array(fc.oneof(link, route, neighbour, forwarding), { maxLength: 40 });

const bridge: RouteEvent = { kind: 'link', isGone: false, link: { index: BRIDGE, name: 'br', kind: 'bridge', mac: '', master: 0, peer: 0, isUp: true } };

/** The plain reading of the same events: lists, and everything gone through each time. */
class Reference {
  private links: { index: number; master: number }[] = [];
  private routes: { address: string; at: number; priority: number }[] = [];
  private neighbours: { address: string; mac: string }[] = [];
  private claims: { address: string; port: number; mac: string }[] = [];

  apply(event: RouteEvent): void {
    switch (event.kind) {
      case 'link': {
        const { index: at, master, isUp } = event.link;
        this.links = this.links.filter((one) => one.index !== at);
        if (!event.isGone) this.links.push({ index: at, master });
        if (event.isGone || !isUp) this.routes = this.routes.filter((one) => one.at !== at);
        if (event.isGone || master !== BRIDGE) this.claims = this.claims.filter(({ port }) => port !== at);
        return;
      }
      case 'route': {
        const { address, priority, interfaces: [at] } = event.route;
        this.routes = this.routes.filter((one) => one.address !== address || one.priority !== priority || (!event.replaces && one.at !== at));
        if (!event.isGone) this.routes.push({ address, at, priority });
        return;
      }
      case 'neighbour': {
        const { address, mac } = event.neighbour;
        this.neighbours = this.neighbours.filter((one) => one.address !== address);
        if (!event.isGone && mac !== null) this.neighbours.push({ address, mac });
        return;
      }
      case 'forwarding': {
        const { port, mac } = event.forwarding;
        if (event.isGone || this.links.find((one) => one.index === port)?.master !== BRIDGE) return;
        for (const { address } of this.neighbours.filter((one) => one.mac === mac)) {
          this.claims = [...this.claims.filter((one) => one.address !== address || one.port !== port), { address, port, mac }];
        }
        return;
      }
      default:
    }
  }

  places(address: string): string[] {
    const isThere = (at: number): boolean => this.links.some((one) => one.index === at);
    const veths = this.routes.filter((one) => one.address === address && isThere(one.at)).map(({ at }) => String(at));
    const ports = this.claims.filter((one) => one.address === address).map(({ port, mac }) => `${port} ${mac}`);
    return [...new Set([...veths, ...ports])].sort();
  }
}

const text = ({ interface: at, mac }: Place): string => (mac === undefined ? String(at) : `${at} ${mac}`);

t.test('addresses are where a plain reading of the same events has them', (t) => {
  fc.assert(fc.property(history, (events) => {
    const table = new LinkTable(() => null);
    table.setAddresses(new Set(ADDRESSES));
    const reference = new Reference();
    table.apply(bridge);
    for (const event of events) {
      table.apply(event);
      reference.apply(event);
      for (const address of ADDRESSES) {
        const [got, expected] = [table.places(address).map(text).sort().join(), reference.places(address).join()];
        if (got !== expected) throw new Error(`${address}: ${got} instead of ${expected}`);
      }
    }
  }), { numRuns: 3000 });
  t.pass();
  t.end();
});

t.test('what is told again changes nothing, and what is claimed stays for links that are the same', (t) => {
  const told = (id: string): { table: LinkTable; tell: () => void } => {
    const ids = { id };
    const table = new LinkTable(() => ids.id);
    table.setAddresses(new Set(ADDRESSES));
    const tell = (): void => {
      table.begin();
      table.apply(bridge);
      table.apply({ kind: 'link', isGone: false, link: { index: 4, name: 'p', kind: 'veth', mac: '', master: BRIDGE, peer: 0, isUp: true } });
      table.end();
    };
    tell();
    table.apply({ kind: 'neighbour', isGone: false, neighbour: { interface: BRIDGE, address: '10.0.0.1', mac: MACS[0], isStatic: false } });
    table.apply({ kind: 'forwarding', isGone: false, forwarding: { port: 4, bridge: BRIDGE, mac: MACS[0] } });
    return { table, tell: () => {
      ids.id = ids.id === 'same' ? 'same' : `${ids.id}+`;
      tell();
    } };
  };
  const same = told('same');
  same.tell();
  t.strictSame(same.table.places('10.0.0.1'), [{ interface: 4, link: 'same', mac: MACS[0], bridge: BRIDGE }]);
  const other = told('other');
  other.tell();
  t.strictSame(other.table.places('10.0.0.1'), [], 'the index is of another link now');
  t.end();
});
