/** The status page of both members in a real browser: what it shows, what it may do, and who can use it. */
import t, { type Test } from 'tap';
import { dnsPolicy, CLIENT_A, CLIENT_B } from '../harness/manifests.js';
import { UdpClient } from '../harness/clients.js';
import { ROLES, type Role } from '../harness/pair.js';
import { DEADLINE_MS, until } from '../harness/until.js';
import { addressA, buildAnswer, buildQuery, TYPE } from '../harness/wire.js';
import { startBench } from '../pair/start.js';
import { contrastFaults, structureFaults, tabStops, widthFaults } from './audit.js';
import { openPage, startBrowser, type Look, type WatchedPage } from './browser.js';

/** A label that would be an element, and run a script, in a page that took it for markup. */
const HOSTILE = '<img src=x onerror=alert(1)>';
/** The same in the form in which names are written. */
const SHOWN = '<img\\032src=x\\032onerror=alert(1)>';

const { pair, upstream } = await startBench(t, ({ query }) => buildAnswer(query, [addressA('192.0.2.7')]));
await pair.redundant();
const browser = await startBrowser();
t.teardown(() => browser.close());
pair.writeManifest('odd.json', { ...dnsPolicy('odd', { app: 'nobody' }, ['x.test']), [HOSTILE]: 1 });
const [clientA, clientB] = await Promise.all([CLIENT_A, CLIENT_B].map((address) => UdpClient.open(address, pair.server)));
t.teardown(() => { clientA.close(); clientB.close(); });

async function ask(client: UdpClient, name: string): Promise<void> {
  await client.ask(buildQuery({ name, type: TYPE.A }));
}

/** The page of a member, once it shows the pair. */
async function opened(t: Test, role: Role, look: Look = {}): Promise<WatchedPage> {
  const watched = await openPage(browser, pair, role, look);
  t.teardown(() => watched.context.close());
  await watched.page.locator('body[data-level=good]').waitFor({ timeout: DEADLINE_MS });
  return watched;
}

for (const role of ROLES) {
  t.test(`the page of ${role} shows both members, breaks no rule of its own policy, and asks nobody else`, async (t) => {
    const { page, faults } = await opened(t, role);
    await ask(clientA, 'www.a.test');
    await ask(clientB, 'www.a.test');
    t.match(await page.locator('#headline').textContent(), /^Redundant/);
    t.equal(await page.locator('#served-by').textContent(), `served by ${role}`);
    t.equal(await page.locator('svg.pair .card').count(), 2);
    await page.locator('#member-rows tr', { hasText: 'State' }).getByText('answers queries').nth(1).waitFor({ timeout: DEADLINE_MS });
    await page.locator('.plot-canvas canvas').nth(2).waitFor({ timeout: DEADLINE_MS });
    for (const other of ROLES) {
      const { pid } = await pair.status(other);
      await page.locator('#member-rows').getByText(`pid ${String(pid)}`).waitFor({ timeout: DEADLINE_MS });
    }
    t.strictSame(faults, []);
  });
}

t.test('the trace form gives the verdict with its reason', async (t) => {
  const { page, faults } = await opened(t, 'dns-proxy');
  t.equal(await page.locator('#trace-server').inputValue(), upstream.address, 'the upstream is proposed');
  const trace = async (from: string, name: string): Promise<string> => {
    await page.locator('#trace-from').fill(from);
    await page.locator('#trace-form [name=name]').fill(name);
    await page.locator('#trace-form button').click();
    await page.locator('#trace-answer', { hasText: name }).waitFor({ timeout: DEADLINE_MS });
    return page.locator('#trace-answer').innerText();
  };
  t.match(await trace('default/client-a', 'www.a.test'), /^Allowed a rule allows it[^]*CiliumNetworkPolicy default\/policy-a[^]*\*\.a\.test/);
  t.match(await trace('default/client-a', 'www.b.test'), /^Refused default deny[^]*Closed by[^]*Nearest rules/);
  t.match(await trace('default/client-a', HOSTILE), HOSTILE, 'what is asked about is text');
  t.equal(await page.locator('main img').count(), 0);
  await page.locator('#trace-from').fill('');
  await page.locator('#trace-form button').click();
  t.equal(await page.evaluate(() => document.activeElement?.id), 'trace-from', 'a field that is missing is gone to');
  t.strictSame(faults, []);
});

t.test('the cache is searched by name and pattern', async (t) => {
  await ask(clientA, 'one.a.test');
  await ask(clientA, 'two.a.test');
  const { page, faults } = await opened(t, 'agent');
  const search = async (pattern: string, outcome: RegExp): Promise<string> => {
    await page.locator('#cache-pattern').fill(pattern);
    await page.locator('#cache-pattern').press('Enter');
    await page.locator('#cache-outcome', { hasText: outcome }).waitFor({ timeout: DEADLINE_MS });
    return page.locator('#cache-rows').innerText();
  };
  t.match(await search('one.*.test', /^1 mapping$/), /one\.a\.test\.\s+192\.0\.2\.7/);
  t.match(await search('', /^[2-9] mappings$/), /two\.a\.test/);
  t.equal(await search('nowhere.test', /^No mapping matches nowhere\.test\.$/), '');
  await search('[', /./);
  t.strictSame(faults, []);
});

t.test('flows of both members appear as they happen, and are found by pod, name and verdict', async (t) => {
  const { page, faults } = await opened(t, 'dns-proxy');
  await ask(clientA, 'live.a.test');
  const rows = page.locator('#flow-rows tr');
  const live = rows.filter({ hasText: 'live.a.test' });
  await live.filter({ hasText: 'answer' }).filter({ hasText: '192.0.2.7' }).waitFor({ timeout: DEADLINE_MS });
  await live.filter({ hasText: 'query' }).filter({ hasText: 'default/client-a' }).filter({ hasText: 'FORWARDED' }).waitFor({ timeout: DEADLINE_MS });

  await ask(clientB, 'live.a.test');
  await page.locator('#flow-filter [name=verdict]').selectOption('DROPPED');
  await rows.filter({ hasText: 'DROPPED' }).filter({ hasText: 'default/client-b' }).first().waitFor({ timeout: DEADLINE_MS });
  await until('no others', DEADLINE_MS, async () => ((await rows.filter({ hasText: 'FORWARDED' }).count()) === 0 ? true : null));
  await page.locator('#flow-filter [name=verdict]').selectOption('');
  await page.locator('#flow-filter [name=pod]').fill('client-b');
  await until('only flows of that pod', DEADLINE_MS, async () => ((await rows.count()) > 0 && (await rows.filter({ hasText: 'client-a' }).count()) === 0 ? true : null));
  await page.locator('#flow-filter [name=name]').fill('nowhere');
  await page.locator('#flows-outcome', { hasText: 'No flow matches' }).waitFor({ timeout: DEADLINE_MS });

  await page.locator('#flow-filter [name=pod]').fill('');
  await page.locator('#flow-filter [name=name]').fill('paused');
  await page.locator('#flows-pause').click();
  t.equal(await page.locator('#flows-pause').getAttribute('aria-pressed'), 'true');
  await ask(clientA, 'paused.a.test');
  await page.locator('#flows-pause').click();
  await rows.filter({ hasText: 'paused.a.test' }).first().waitFor({ timeout: DEADLINE_MS });
  t.strictSame(faults, []);
});

t.test('what strangers and manifests call things is text, never markup', async (t) => {
  const { page, faults } = await opened(t, 'agent');
  page.on('dialog', (dialog) => { faults.push(`dialog: ${dialog.message()}`); void dialog.dismiss(); });
  await ask(clientB, `${HOSTILE}.a.test`);
  const asked = page.locator('#flow-rows tr', { hasText: SHOWN });
  await asked.first().waitFor({ timeout: DEADLINE_MS });
  await page.locator('#flow-filter [name=name]').fill(SHOWN);
  await until('the filter to find it', DEADLINE_MS, async () => ((await page.locator('#flow-rows tr').count()) === (await asked.count()) && (await asked.count()) > 0 ? true : null));
  await page.locator('#problem-list').getByText(HOSTILE).first().waitFor({ timeout: DEADLINE_MS });
  t.equal(await page.locator('main img').count(), 0);
  t.strictSame(faults, []);
});

t.test('all of it is done with keys alone, in the order in which it is read, and the place is seen', async (t) => {
  const { page } = await opened(t, 'dns-proxy');
  const stops = await tabStops(page);
  const reached = stops.map(({ what }) => what);
  t.match(reached[0], 'a.skip', 'the way past the head comes first');
  for (const what of ['a#other', 'button#theme', 'ol#events', 'input[name=pod]', 'input[name=name]', 'select[name=verdict]', 'button#flows-pause', 'input#trace-from', 'input#trace-server', 'input#cache-pattern']) {
    t.ok(reached.includes(what), `${what} is reached`);
  }
  t.strictSame(stops.filter(({ isSeen }) => !isSeen), [], 'each shows that it has the focus');
  const order = await page.evaluate(() => [...document.querySelectorAll('a[href],button,input,select,[tabindex="0"]')].filter((one) => (one as HTMLElement).checkVisibility()).length);
  t.equal(stops.length, order, 'and none twice, none left out');

  await page.locator('a.skip').focus();
  await page.keyboard.press('Enter');
  t.equal(await page.evaluate(() => document.activeElement?.id), 'main');
  await page.locator('#theme').focus();
  const before = await page.evaluate(() => document.documentElement.dataset.theme);
  await page.keyboard.press('Space');
  t.not(await page.evaluate(() => document.documentElement.dataset.theme), before, 'a key switches the theme');
  await page.locator('#trace-from').focus();
  await page.keyboard.type('default/client-b');
  await page.keyboard.press('Tab');
  await page.keyboard.type('www.b.test');
  await page.keyboard.press('Enter');
  await page.locator('#trace-answer', { hasText: 'Allowed' }).waitFor({ timeout: DEADLINE_MS });
});

for (const colorScheme of ['light', 'dark'] as const) {
  t.test(`in ${colorScheme}, at two widths, everything can be read and has its name`, async (t) => {
    for (const width of [1360, 390]) {
      const { page, faults } = await opened(t, 'agent', { colorScheme, viewport: { width, height: 900 } });
      t.equal(await page.evaluate(() => document.documentElement.dataset.theme), colorScheme, 'as the system wishes');
      await page.locator('#trace-from').fill('default/client-a');
      await page.locator('#trace-form [name=name]').fill('www.b.test');
      await page.locator('#trace-form button').click();
      await page.locator('#trace-answer .nearest').waitFor({ timeout: DEADLINE_MS });
      t.strictSame(await structureFaults(page), [], `structure, ${String(width)} px`);
      t.strictSame(await contrastFaults(page), [], `contrast, ${String(width)} px`);
      t.strictSame(await widthFaults(page), [], `nothing is wider than ${String(width)} px`);
      t.strictSame(faults, []);
    }
  });
}

t.test('who wants no motion gets none', async (t) => {
  const { page } = await opened(t, 'agent', { reducedMotion: 'reduce' });
  t.strictSame(await page.evaluate(() => document.getAnimations().length), 0);
});
