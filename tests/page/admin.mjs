// The administrators' views in Chromium: users, all keys, the audit log, the feed, the ring, keys that end soon.
// What is seen is compared with what the server says when it is asked beside the page.
import { check, gone, main, same, test, until } from './fixture.mjs';
import { HOSTILE, HOSTILE_PERMISSION, PASSWORD, button, cells, enter, field, go, link, rows, settled, text, world } from './world.mjs';

const { server, admin } = await world();
const keyOf = (name, more = {}) => server.make('/v2/keys', admin, { name, permissions: ['docs'], expires: '90d', ...more });
const names = (page) => page.locator('table.list tbody th a').allTextContents();

test('all keys: a page at a time, and back', async () => {
  for (let i = 0; i < 60; i += 1) await keyOf(`many ${i}`);
  const page = await enter(server, { login: 'admin' });
  await go(page, '#/all-keys?search=many');
  same(await rows(page).count(), 50, 'keys on the first page');
  const first = await names(page);
  await link(page, text('list.next')).click();
  await until(async () => await rows(page).count() === 10, 'ten keys on the second page');
  const second = await names(page);
  same([...first, ...second].sort(), Array.from({ length: 60 }, (_, i) => `many ${i}`).sort(), 'each key once');
  check(await page.getByText(text('list.end')).isVisible(), 'the last page says so');
  await page.goBack();
  await until(async () => await rows(page).count() === 50, 'the first page again');
  same(await names(page), first, 'the first page again');
});

test('all keys: found by a part of a name, whatever the name', async () => {
  const hostile = await keyOf(HOSTILE, { owner: HOSTILE });
  const disabled = await keyOf('to be disabled');
  await server.call('PATCH', `/v2/keys/${disabled.id}`, { key: admin, body: { disabled: true } });
  const page = await enter(server, { key: admin });
  await link(page.getByRole('navigation').first(), text('allkeys.title')).click();
  await field(page, text('allkeys.search')).fill(HOSTILE.slice(0, 30).toUpperCase());
  await field(page, text('allkeys.search')).press('Enter');
  await until(async () => await rows(page).count() === 1, 'one key is found');
  same(await names(page), [HOSTILE], 'its name is text');
  same(await cells(page, text('column.owner')), [HOSTILE], 'its owner is text');
  same(await page.locator('main img, main script').count(), 0, 'elements that a name made');
  await go(page, `#/all-keys?search=${hostile.id.slice(0, 13)}`);
  same(await names(page), [HOSTILE], 'found by the start of its id');
  await go(page, '#/all-keys?search=to+be+disabled&state=active');
  check(await page.getByText(text('allkeys.none')).isVisible(), 'it is not active');
  await field(page, text('column.state')).selectOption('disabled');
  await button(page, text('list.filter')).click();
  await until(async () => await rows(page).count() === 1, 'it is disabled');
  await link(page, 'to be disabled').click();
  await page.getByRole('heading', { level: 1 }).filter({ hasText: 'to be disabled' }).waitFor();
});

test('a warning of keys that end within 30 days leads to them', async () => {
  const page = await enter(server, { login: 'admin' });
  await go(page, '#/all-keys');
  same(await page.locator('.soon').count(), 0, 'warnings without such keys');
  await keyOf('ends soon', { expires: '29d' });
  await keyOf('ends later', { expires: '31d' });
  await page.reload();
  await settled(page);
  const note = page.locator('.soon');
  check((await note.textContent()).includes(text('expiring.note', { n: 1 })), 'one key is warned of');
  await link(note, text('expiring.show')).click();
  await until(async () => JSON.stringify(await names(page)) === '["ends soon"]', 'the key that ends soon');
});

test('users: made, changed, disabled, enabled, deleted', async () => {
  const page = await enter(server, { login: 'admin' });
  const told = async () => (await server.call('GET', `/v1/user/${encodeURIComponent(HOSTILE)}`, { key: admin }));
  const logIn = () => server.call('POST', '/v1/auth/login', { body: { login: HOSTILE, password: PASSWORD } });
  const dialog = page.getByRole('dialog');
  await link(page.getByRole('navigation').first(), text('users.title')).click();
  await button(page.locator('main'), text('user.make')).click();
  await dialog.locator('input[name=login]').fill(HOSTILE);
  await dialog.locator('input[name=password]').fill(PASSWORD);
  await dialog.getByRole('checkbox', { name: 'docs' }).check();
  await dialog.getByRole('checkbox', { name: HOSTILE_PERMISSION }).check();
  await button(dialog, text('user.make')).click();
  await page.getByRole('heading', { level: 1 }).filter({ hasText: HOSTILE }).waitFor();
  same((await told()).body.permissions, ['docs', HOSTILE_PERMISSION], 'the permissions that were chosen');
  same((await logIn()).status, 200, 'the user logs in');

  await button(page, text('user.permissions')).click();
  check(await dialog.getByRole('checkbox', { name: 'docs' }).isChecked(), 'what the user has is checked');
  await dialog.getByRole('checkbox', { name: 'docs' }).uncheck();
  await button(dialog, text('user.save')).click();
  await gone(page);
  same((await told()).body.permissions, [HOSTILE_PERMISSION], 'one permission is gone');

  await button(page, text('user.disable')).click();
  await button(dialog, text('user.disable')).click();
  await button(page, text('user.enable')).waitFor();
  same((await told()).body.disabled, true, 'the user is disabled');
  check((await logIn()).status !== 200, 'and does not log in');
  await button(page, text('user.enable')).click();
  await button(dialog, text('user.enable')).click();
  await button(page, text('user.disable')).waitFor();
  same((await told()).body.disabled, false, 'the user is enabled');

  await button(page, text('user.delete')).click();
  await page.keyboard.press('Escape');
  await gone(page);
  same((await told()).status, 200, 'Escape deletes nobody');
  await button(page, text('user.delete')).click();
  await button(dialog, text('user.delete')).click();
  await page.waitForURL(/#\/users$/);
  same((await told()).status, 404, 'the user is gone');
});

test('users: what the server refuses is said in the dialog', async () => {
  const page = await enter(server, { login: 'admin' });
  await go(page, '#/users');
  await button(page.locator('main'), text('user.make')).click();
  const dialog = page.getByRole('dialog');
  await dialog.locator('input[name=login]').fill('admin');
  await dialog.locator('input[name=password]').fill(PASSWORD);
  await button(dialog, text('user.make')).click();
  await dialog.getByRole('alert').filter({ hasText: 'already taken' }).waitFor();
  same(await dialog.locator('input[name=login]').inputValue(), 'admin', 'what was typed is still there');
});

test('users: found by a part of their name', async () => {
  await server.make('/v1/user', admin, { login: 'zoë', password: PASSWORD, permissions: [] });
  const page = await enter(server, { login: 'admin' });
  await go(page, '#/users');
  check((await cells(page, text('user.login'))).includes('admin'), 'admin is listed');
  await field(page, text('users.search')).fill('zo');
  await button(page, text('list.filter')).click();
  await until(async () => JSON.stringify(await cells(page, text('user.login'))) === '["zoë"]', 'one user is found');
  await link(page, text('list.all')).click();
  await until(async () => await rows(page).count() > 1, 'all again');
});

test('audit: who, what, when', async () => {
  const made = await keyOf('audited');
  await server.call('PATCH', `/v2/keys/${made.id}`, { key: admin, body: { name: HOSTILE } });
  await server.call('DELETE', `/v2/keys/${made.id}`, { key: admin });
  const page = await enter(server, { login: 'admin' });
  const actions = () => cells(page, text('audit.action'));
  const show = async (query, want) => {
    await go(page, `#/audit?${query}`);
    await until(async () => JSON.stringify(await actions()) === JSON.stringify(want), `audit?${query}: ${JSON.stringify(want)}`);
  };
  await link(page.getByRole('navigation').first(), text('audit.title')).click();
  await field(page, text('audit.target')).fill(made.id);
  await button(page, text('list.filter')).click();
  await until(async () => JSON.stringify(await actions()) === '["key.delete","key.rename","key.create"]', 'what happened to a key');
  check((await cells(page, text('audit.detail'))).some((each) => each.includes(HOSTILE)), 'a hostile name is text');
  await field(page, text('audit.action')).selectOption('key.rename');
  await button(page, text('list.filter')).click();
  await until(async () => JSON.stringify(await actions()) === '["key.rename"]', 'what happened of one kind');
  const who = (await cells(page, text('audit.who')))[0];
  await show(`target=${made.id}&who=${encodeURIComponent(who)}`, ['key.delete', 'key.rename', 'key.create']);
  await show(`target=${made.id}&who=nobody`, []);
  const day = (shift) => new Date(Date.now() + shift * 86400000).toLocaleDateString('sv');
  await show(`target=${made.id}&since=${day(-1)}&until=${day(1)}`, ['key.delete', 'key.rename', 'key.create']);
  await show(`target=${made.id}&since=${day(2)}`, []);
  await show(`target=${made.id}&until=${day(-2)}`, []);
  const { body } = await server.call('GET', '/v2/audit?action=login.&who=person%20admin', { key: admin });
  check(body.entries.length > 0, 'the user admin has logged in');
  await show('action=login.&who=person+admin', body.entries.map(({ action }) => action));
});

test('the feed: sequence, age, and which edge asked when', async () => {
  const edge = await keyOf(HOSTILE, { permissions: ['revocations'] });
  same((await fetch(`${server.url}/v2/revocations`, { headers: { Authorization: `Bearer ${edge.key}` } })).status, 200, 'an edge asks');
  const page = await enter(server, { login: 'admin' });
  await link(page.getByRole('navigation').first(), text('feed.title')).click();
  await until(async () => (await cells(page, text('feed.edge'))).includes(HOSTILE), 'the edge is listed');
  const { body } = await server.call('GET', '/v2/feed', { key: admin });
  check((await page.locator('dl.rows dd').first().textContent()) === String(body.sequence), 'the sequence');
  same(body.edges.filter(({ key }) => key === edge.id).length, 1, 'the server says so');
  await server.call('POST', `/v2/keys/${edge.id}/revoke-subtokens`, { key: admin });
  await button(page, text('list.again')).click();
  await page.getByText(text('feed.behind'), { exact: true }).waitFor();
  same(await page.getByText(text('feed.own')).count(), 0, 'whoever has audit sees all edges');
});

test('the feed without the permission audit: what the own key asked', async () => {
  const [edge, other] = [await keyOf('own edge', { permissions: ['revocations'] }), await keyOf('other edge', { permissions: ['revocations'] })];
  for (const { key } of [edge, other]) {
    same((await fetch(`${server.url}/v2/revocations`, { headers: { Authorization: `Bearer ${key}` } })).status, 200, 'an edge asks');
  }
  const page = await enter(server, { key: edge.key });
  await go(page, '#/feed');
  await until(async () => JSON.stringify(await cells(page, text('feed.edge'))) === '["own edge"]', 'its own row alone');
  check(await page.getByText(text('feed.own')).isVisible(), 'the page says so');
});

test('the ring: kids, ages, which signs, and no secret', async () => {
  server.run(['secret', 'add', '--kid', 'winter']);
  const told = async () => (await server.call('GET', '/v2/ring', { key: admin })).body;
  await until(async () => (await told()).secrets.length === 2, 'the server has both secrets');
  const page = await enter(server, { login: 'admin' });
  await link(page.getByRole('navigation').first(), text('ring.title')).click();
  const body = await told();
  same(body.secrets.map(({ signs }) => signs).sort(), [false, true], 'one of them signs');
  await until(async () => await rows(page).count() === body.secrets.length, 'a row for each secret');
  same(await cells(page, text('ring.does')), body.secrets.map(({ signs }) => text(signs ? 'ring.signs' : 'ring.verifies')), 'which signs');
  same((await cells(page, text('ring.kid'))).sort(), [text('ring.unnamed'), 'winter'], 'their names');
});

test('without the permissions, no administrators view', async () => {
  await server.make('/v1/user', admin, { login: 'plain', password: PASSWORD, permissions: ['docs'] });
  const page = await enter(server, { login: 'plain' });
  for (const view of ['all-keys', 'users', 'audit', 'feed', 'ring']) {
    same(await page.locator(`nav a[href="#/${view}"]`).count(), 0, `links to ${view}`);
    await go(page, `#/${view}`);
    await page.getByRole('heading', { level: 1, name: text('frame.none'), exact: true }).waitFor();
    same(await rows(page).count(), 0, `rows in ${view}`);
  }
});

test('with one permission, no link leads to where it is not enough', async () => {
  for (const one of ['users', 'audit']) {
    await server.make('/v1/user', admin, { login: `only ${one}`, password: PASSWORD, permissions: [one] });
  }
  const edge = await keyOf('an edge', { permissions: ['revocations'] });
  same((await fetch(`${server.url}/v2/revocations`, { headers: { Authorization: `Bearer ${edge.key}` } })).status, 200, 'an edge asks');
  const dead = async (page, from, want) => {
    await go(page, from);
    await page.locator('main').getByText(want).first().waitFor();
    const links = await page.locator('main a[href^="#/"]').evaluateAll((all) => [...new Set(all.map((one) => one.getAttribute('href')))]);
    for (const each of links) {
      await go(page, each);
      same([await page.getByRole('heading', { level: 1, name: text('frame.none'), exact: true }).count(), await page.locator('main [role=alert]').count()], [0, 0], `${from} leads to ${each}`);
    }
  };
  const users = await enter(server, { login: 'only users' });
  await dead(users, '#/users/admin', 'admin');
  const audit = await enter(server, { login: 'only audit' });
  await dead(audit, '#/feed', edge.id);
});

test('the labels of a filter stand level, and a key without permissions says so', async () => {
  const page = await enter(server, { login: 'admin' }, { width: 1400 });
  for (const view of ['all-keys', 'audit']) {
    await go(page, `#/${view}`);
    const fields = await page.locator('.filter .field').evaluateAll((all) => all.map((one) => {
      const [label, control] = [one.querySelector('label'), one.querySelector('input, select')].map((each) => each.getBoundingClientRect());
      return { label: Math.round(label.bottom), control: Math.round(control.bottom) };
    }));
    for (const each of fields) for (const other of fields) check(each.control !== other.control || each.label === other.label, `${view}: ${JSON.stringify(fields)}`);
  }
  const { body: session } = await server.call('POST', '/v1/auth/login', { body: { login: 'admin', password: PASSWORD } });
  await server.make('/v2/keys', session.access_token, { name: 'empty', permissions: [], expires: '90d' });
  await go(page, '#/keys');
  const card = page.locator('.card').filter({ hasText: 'empty' });
  await card.waitFor();
  check((await card.textContent()).includes(text('permissions.none')) && !(await card.textContent()).includes('0 permissions'), 'what a key without permissions says');
});

await main();
