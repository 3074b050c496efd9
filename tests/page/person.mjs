// What a person does on the page, in Chromium: log in, make a key and a subtoken, use them by the lines of curl that
// the page shows, look into a token, have it explained, revoke it. What the page says is compared with what the
// server does.
import { spawnSync } from 'node:child_process';
import { Server, check, gone, main, quiet, same, tab, test, until } from './fixture.mjs';
import { ALL, HOSTILE, HOSTILE_PERMISSION, PASSWORD, button, enter, go, link, sessionOf, settled, signIn, text, world } from './world.mjs';

const { server, admin } = await world();
await server.make('/v1/user', admin, { login: HOSTILE, password: PASSWORD, permissions: ['docs', 'account', HOSTILE_PERMISSION] });

const dialogOf = (page) => page.getByRole('dialog');
const h1 = (page, words) => page.getByRole('heading', { level: 1 }).filter({ hasText: words }).waitFor();
// A line for a shell, as somebody pastes it: the status of the answer and its body.
function shell(line) {
  const { stdout, stderr, status } = spawnSync('sh', ['-c', line], { encoding: 'utf8' });
  check(status === 0, `${line}: ${stderr}`);
  const [head, body] = stdout.split('\r\n\r\n');
  return { status: Number(head.split(' ')[1]), body };
}

test('logging in: wrong and right, a reload, and the end', async () => {
  const page = await tab(server);
  await page.goto('/');
  await page.locator('main input[name=login]').fill(HOSTILE);
  await page.locator('main input[name=password]').fill('not the password');
  await page.locator('main input[name=password]').press('Enter');
  await page.getByRole('alert').waitFor();
  await signIn(page, { login: HOSTILE });
  check((await page.locator('header').textContent()).includes(HOSTILE), 'the name is text');
  same(await page.locator('header img, header script').count(), 0, 'elements that a name made');
  await page.reload();
  await button(page, text('frame.logout')).waitFor();
  same(await page.context().cookies(), [], 'cookies');
  await button(page, text('frame.logout')).click();
  await page.locator('main input[name=login]').waitFor();
  same(await page.evaluate(() => [sessionStorage.length, JSON.stringify(localStorage).includes('subtoken.')]), [0, false], 'what is left behind');
  await page.reload();
  await page.locator('main input[name=login]').waitFor();
});

test('a key that is pasted stays in the tab', async () => {
  const page = await enter(server, { key: admin });
  await go(page, '#/make');
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, document.body.innerHTML]));
  check(!kept.includes(admin.slice(37)), 'the key is written down nowhere');
  await page.reload();
  await page.locator('main input[name=key]').waitFor();
});

test('a key: made, shown once, copied, used', async () => {
  const page = await enter(server, { login: HOSTILE }, { clipboard: true });
  await go(page, '#/keys/new');
  await page.locator('main input[name=name]').fill(HOSTILE);
  await page.getByRole('checkbox', { name: 'docs' }).check();
  await page.getByRole('checkbox', { name: HOSTILE_PERMISSION }).check();
  check((await page.locator('.preview').textContent()).includes(HOSTILE_PERMISSION), 'what it will be worth is shown before');
  same(await page.locator('main select[name=expires]').inputValue(), '90d', 'how long it lives, if nothing else is chosen: a key is not warned of at once');
  await button(page, text('mykeys.make')).click();
  const dialog = dialogOf(page);
  const secret = await dialog.locator('textarea[name=secret]').inputValue();
  await dialog.locator('button[data-copies=secret]').click();
  await dialog.getByRole('status').filter({ hasText: text('copy.done') }).waitFor();
  same(await page.evaluate(() => navigator.clipboard.readText()), secret, 'what is copied');
  const { status, body } = shell(await dialog.locator('textarea[name=line0]').inputValue());
  same([status, JSON.parse(body).permissions], [200, ['docs', HOSTILE_PERMISSION]], 'the line of curl');
  for (let i = 0; i < 5; i += 1) await page.keyboard.press('Escape');
  check(await dialog.isVisible(), 'Escape alone does not lose the secret');
  // As the Back of a telephone does, which nothing refuses.
  await page.evaluate(() => new Promise((done) => {
    const box = document.querySelector('dialog');
    box.addEventListener('close', done, { once: true });
    box.close();
  }));
  await until(() => dialog.evaluate((box) => box.matches(':modal')), 'it is there again');
  same(await dialog.locator('textarea[name=secret]').inputValue(), secret, 'with the secret in it');
  await button(dialog, text('secret.done')).click();
  await gone(page);
  await h1(page, HOSTILE);
  const id = secret.slice(0, 36);
  const told = (await server.call('GET', `/v2/keys/${id}`, { key: admin })).body;
  same([told.name, told.owner, Math.round((Date.parse(told.expires_at) - Date.parse(told.created_at)) / 86400000)], [HOSTILE, HOSTILE, 90], 'what the server made');
  check(!(await page.content()).includes(secret.slice(37)), 'the secret is nowhere any more');
});

test('a key: renamed, disabled, enabled, rotated, its subtokens revoked, deleted', async () => {
  const made = await server.make('/v2/keys', await sessionOf(server, HOSTILE), { name: 'first', permissions: ['docs'], expires: '30d' });
  const told = async () => (await server.call('GET', `/v2/keys/${made.id}`, { key: admin })).body;
  const works = async (key) => (await server.call('GET', '/v2/tokeninfo', { key })).status === 200;
  const page = await enter(server, { login: HOSTILE });
  const dialog = dialogOf(page);
  // Opened by one button, done by the one of the same name in the dialog.
  const act = async (word) => {
    await button(page.locator('main'), text(`mykey.${word}`)).click();
    await button(dialog, text(`mykey.${word}`)).click();
    await gone(page);
  };
  await go(page, '#/keys');
  await link(page, 'first').click();
  await h1(page, 'first');

  await button(page, text('mykey.rename')).click();
  await dialog.locator('input[name=name]').fill(HOSTILE);
  await button(dialog, text('mykey.rename')).click();
  await h1(page, HOSTILE);
  same((await told()).name, HOSTILE, 'renamed');

  await act('disable');
  await button(page, text('mykey.enable')).waitFor();
  same([(await told()).disabled, await works(made.key)], [true, false], 'disabled');
  await act('enable');
  await button(page, text('mykey.disable')).waitFor();
  same([(await told()).disabled, await works(made.key)], [false, true], 'enabled');

  const subtoken = (await server.call('GET', '/v2/createsubtoken?permissions=docs', { key: made.key })).body.subtoken;
  await act('revoke');
  await until(async () => !await works(subtoken), 'the subtoken is refused');
  check(await works(made.key), 'and the key lives on');

  await button(page, text('mykey.rotate')).click();
  await dialog.locator('select[name=overlap]').selectOption('0s');
  await button(dialog, text('mykey.rotate')).click();
  const secret = await dialog.locator('textarea[name=secret]').inputValue();
  same([await works(secret), await works(made.key)], [true, false], 'the new secret, the old one');
  await button(dialog, text('secret.done')).click();
  await gone(page);

  await act('delete');
  await page.waitForURL(/#\/keys$/);
  same([await works(secret), (await server.call('GET', `/v2/keys/${made.id}`, { key: admin })).status], [false, 404], 'deleted');
});

test('keys of one\'s own that end soon are warned of', async () => {
  await server.make('/v1/user', admin, { login: 'warned', password: PASSWORD, permissions: ['docs'] });
  const session = await sessionOf(server, 'warned');
  await server.make('/v2/keys', session, { name: 'ends later', permissions: ['docs'], expires: '31d' });
  const page = await enter(server, { login: 'warned' });
  await go(page, '#/keys');
  same(await page.locator('.soon').count(), 0, 'warnings without such keys');
  await server.make('/v2/keys', session, { name: 'ends soon', permissions: ['docs'], expires: '29d' });
  await go(page, '#/keys');
  await link(page.locator('.soon').filter({ hasText: text('expiring.note', { n: 1 }) }), text('expiring.show')).click();
  await page.waitForURL(/expiring=30d/);
  await link(page, 'ends soon').waitFor();
  await until(async () => await link(page, 'ends later').count() === 0, 'the other key is left out');
});

test('a subtoken: what it is worth before it is made, paths checked as one types, a line that works', async () => {
  const page = await enter(server, { key: admin });
  await go(page, '#/make');
  await page.getByRole('checkbox', { name: 'docs' }).check();
  await button(page, text('make.path.add')).click();
  const path = page.locator('main input[name=url]').last();
  await path.fill('/a//b');
  await page.locator('main input[name=url][aria-invalid=true]').waitFor();
  check(await button(page, text('make.action')).isDisabled(), 'it cannot be made so');
  const says = page.locator(`[id="${await path.getAttribute('aria-describedby')}"]`);
  const refused = await server.call('GET', '/v2/createsubtoken?urls=/a//b', { key: admin });
  check((await says.textContent()).length > 0 && refused.status === 400, 'the server refuses it, too');
  await path.fill('/v2/tokeninfo');
  await page.locator('main input[name=url][aria-invalid=true]').waitFor({ state: 'detached' });
  await page.locator('.preview').filter({ hasText: '/v2/tokeninfo' }).filter({ hasText: 'docs' }).waitFor();
  await page.getByRole('radio', { name: '7 days' }).check();
  await until(async () => !await button(page, text('make.action')).isDisabled(), 'it can be made');
  await button(page, text('make.action')).click();
  const dialog = dialogOf(page);
  const subtoken = await dialog.locator('textarea[name=secret]').inputValue();
  const claims = JSON.parse(Buffer.from(subtoken.split('.')[1], 'base64url'));
  same([claims.permissions, claims.urls, claims.exp - claims.iat], [['docs'], ['/v2/tokeninfo'], 7 * 86400], 'what was made');
  same(shell(await dialog.locator('textarea[name=line0]').inputValue()).status, 200, 'the line of curl');
});

test('a subtoken until a date, with every permission chosen by its sentence', async () => {
  const page = await enter(server, { key: admin });
  await go(page, '#/make');
  for (const each of ALL.split(',').slice(0, 3)) await page.getByRole('checkbox', { name: each, exact: true }).check();
  check(await page.getByText(text('permission.keys')).first().isVisible(), 'a permission has a sentence');
  check(await page.getByText(`Documents ${HOSTILE}`).first().isVisible(), 'that of permission_texts is text');
  await page.locator('main input[name=life][value=date]').check();
  const date = new Date(Date.now() + 3 * 86400000);
  date.setSeconds(0, 0);
  await page.locator('main input[name=date]').fill(new Date(date - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16));
  await until(async () => !await button(page, text('make.action')).isDisabled(), 'it can be made');
  await button(page, text('make.action')).click();
  const subtoken = await dialogOf(page).locator('textarea[name=secret]').inputValue();
  same(JSON.parse(Buffer.from(subtoken.split('.')[1], 'base64url')).exp, date / 1000, 'its end');
});

test('looking into a token sends nothing; the server explains it; it is revoked', async () => {
  const { body: { subtoken } } = await server.call('GET', '/v2/createsubtoken?permissions=docs&urls=/v2/account,GET:/v2/tokeninfo', { key: admin });
  const page = await enter(server, { key: admin });
  await go(page, '#/look');
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.locator('textarea[name=token]').fill(subtoken);
  await page.locator('.token').filter({ hasText: '/v2/account' }).filter({ hasText: 'docs' }).filter({ hasText: subtoken.split('.')[2].slice(0, 16) }).waitFor();
  same(asked, [], 'requests');

  const explained = async (method, url) => {
    await page.locator('select[name=method]').selectOption(method);
    await page.locator('main input[name=target]').fill(url);
    const answered = page.waitForResponse((response) => response.url().endsWith('/v2/explain'));
    await button(page, text('look.explain.action')).click();
    const sent = (await answered).request().postDataJSON();
    same([sent.method, sent.url], [method, url], 'what is sent: always a method with a path');
    await until(async () => (await page.locator('.verdict').textContent()) !== '', 'a verdict');
    return page.locator('.verdict').textContent();
  };
  check((await explained(await page.locator('select[name=method]').inputValue(), '/v2/account')).includes(text('look.good')), 'accepted where it may');
  check((await explained('POST', '/v2/tokeninfo')).includes(text('look.refused', { status: '403', why: text('reason.url') })), 'refused by the method');
  check((await explained('GET', '/v2/account/bank')).includes(text('look.refused', { status: '403', why: text('reason.url') })), 'refused by the path');

  await button(page, text('look.revoke')).click();
  await button(dialogOf(page), text('look.revoke')).click();
  await gone(page);
  same((await server.call('GET', '/v2/tokeninfo', { key: subtoken })).status, 401, 'the server refuses it');
  check((await explained('GET', '/v2/account')).includes(text('reason.revoked')), 'and says why');
});

test('a forged token full of markup is text, and a key that is pasted there is not sent', async () => {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const forged = `${part({ alg: 'HS256', typ: HOSTILE })}.${part({ sub: HOSTILE, iat: 1, exp: 2, permissions: [HOSTILE], urls: [HOSTILE], aud: HOSTILE, sid: HOSTILE, via: [HOSTILE] })}.${'A'.repeat(43)}`;
  const page = await tab(server);
  await page.goto('/#/look');
  const asked = [];
  const input = page.locator('textarea[name=token]');
  await input.waitFor();
  page.on('request', (request) => asked.push(request.url()));
  await input.fill(forged);
  await page.locator('.token').filter({ hasText: HOSTILE }).waitFor();
  same(await page.locator('main img, main script').count(), 0, 'elements that a token made');
  await input.fill(admin);
  await page.getByText(text('look.key', { id: admin.slice(0, 36) })).waitFor();
  for (const odd of ['a.b.c', '..', '{}', `${part({})}.${part([])}.x`, `${part({})}.${Buffer.from('{"exp":1e999,"permissions":{"a":1}}').toString('base64url')}.x`]) await input.fill(odd);
  await page.getByText(text('look.none')).waitFor();
  same(asked, [], 'requests');
});

test('the language is kept; the server says nothing when it is gone', async () => {
  const other = await new Server().start();
  const page = await tab(other);
  await page.goto('/');
  await page.locator('select[name=language]').selectOption('ru');
  await h1(page, text('login.title', {}, 'ru'));
  await page.reload();
  await h1(page, text('login.title', {}, 'ru'));
  const ended = new Promise((done) => { other.child.on('exit', done); });
  other.child.kill('SIGKILL');
  await ended;
  await page.locator('main input[name=login]').fill('somebody');
  await page.locator('main input[name=password]').fill('something');
  await page.locator('main input[name=password]').press('Enter');
  await page.getByRole('alert').filter({ hasText: text('problem.unreachable', {}, 'ru') }).waitFor();
});

test('a login that has ended elsewhere asks to log in again, and goes on there', async () => {
  const page = await enter(server, { login: 'admin' });
  await go(page, '#/audit');
  await server.call('PATCH', '/v1/user/admin', { key: admin, body: { disabled: true } });
  await server.call('PATCH', '/v1/user/admin', { key: admin, body: { disabled: false } });
  await page.evaluate(() => { location.hash = '#/users'; });
  await page.locator('main input[name=login]').waitFor();
  await signIn(page, { login: 'admin' });
  await h1(page, text('users.title'));
  await settled(page);
});


// ---- what a token is said to be, and to have come to ----

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const ended = async (page) => {
  await button(page.locator('main'), text('look.revoke')).click();
  await button(dialogOf(page), text('look.revoke')).click();
  await gone(page);
  await page.locator('.outcome').filter({ hasText: /./ }).waitFor();
  const box = await page.locator('.outcome').boundingBox();
  check(box.y >= 0 && box.y + box.height <= page.viewportSize().height, 'what came of it is in view');
  return [await page.locator('.outcome').textContent(), await page.locator('.outcome.good').count() === 1];
};

test('revoking says what came of it, beside the button', async () => {
  const { body: { subtoken } } = await server.call('GET', '/v2/createsubtoken?permissions=docs', { key: admin });
  const [head, claims] = subtoken.split('.');
  const page = await enter(server, { key: admin }, { height: 500 });
  await go(page, '#/look');
  const token = page.locator('main textarea[name=token]');
  const verdict = page.locator('.verdict');
  const explain = async (url) => {
    await page.locator('main input[name=target]').fill(url);
    const asked = page.waitForRequest((request) => request.url().endsWith('/v2/explain'));
    await button(page, text('look.explain.action')).click();
    await verdict.filter({ hasText: /./ }).waitFor();
    return (await asked).postDataJSON();
  };
  await token.fill(`Authorization: Bearer ${subtoken}`);
  same(await explain('/v2/account'), { token: subtoken, method: 'GET', url: '/v2/account' }, 'what is asked');
  await verdict.filter({ hasText: text('look.good') }).waitFor();
  same(await ended(page), [text('look.revoked'), true], 'revoked');
  same(await verdict.textContent(), '', 'what was said before');

  await token.fill(`${head}.${claims}.${'A'.repeat(43)}`);
  await explain('');
  same(await ended(page), [text('look.revoked.foreign', { why: text('reason.mac') }), false], 'a forged one');

  const { access_token: strange } = (await server.call('POST', '/v1/auth/login', { body: { login: 'admin', password: PASSWORD } })).body;
  const nobody = await tab(server);
  await nobody.goto('/#/look');
  await nobody.locator('main textarea[name=token]').fill(strange);
  same(await ended(nobody), [text('look.revoked.if'), false], 'without a login');
  same((await server.call('GET', '/v2/tokeninfo', { key: strange })).status, 401, 'and it is revoked');
});

test('a token without a valid end is not one that never ends', async () => {
  const page = await tab(server);
  await page.goto('/#/look');
  const input = page.locator('main textarea[name=token]');
  for (const exp of ['soon', -1, 8.64e12, 1.5, null, undefined]) {
    await input.fill('');
    await input.fill(`bearer ${part({ alg: 'HS256' })}.${part({ sub: 'a', exp })}.${'A'.repeat(43)}`);
    await page.locator('.token .problem').filter({ hasText: text('worth.no_expiry') }).waitFor();
    check(!(await page.locator('.token').textContent()).includes(text('worth.never')), `exp ${exp}: it never expires`);
  }
});

// ---- what is filled in ----

test('another language keeps what is filled in', async () => {
  const page = await enter(server, { key: admin });
  const language = async (value) => {
    await page.locator('header select[name=language]').selectOption(value);
    await page.locator(`html[lang=${value}]`).waitFor({ state: 'attached' });
    await settled(page);
  };
  await go(page, '#/keys/new');
  const name = page.locator('main input[name=name]');
  await name.fill('half done');
  await page.locator('main').getByRole('checkbox', { name: 'docs' }).check();
  await page.locator('main select[name=expires]').selectOption('days');
  await page.locator('main input[name=days]').fill('17');
  await page.locator('main summary').click();
  await page.locator('main input[name=audience]').fill('eu');
  await language('ru');
  same([await name.inputValue(), await page.locator('main').getByRole('checkbox', { name: 'docs' }).isChecked(), await page.locator('main input[name=days]').inputValue(),
    await page.locator('main input[name=days]').isEnabled(), await page.locator('main input[name=audience]').inputValue()], ['half done', true, '17', true, 'eu'], 'a new key');
  check((await page.locator('.preview').textContent()).includes('docs'), 'and what it is worth');
  await language('en');
  same(await name.inputValue(), 'half done', 'once more');

  const key = (await server.make('/v2/keys', admin, { name: 'kept', permissions: ['docs', 'account'], expires: '90d' })).key;
  await go(page, '#/make');
  await page.locator('main input[name=with][value=other]').check();
  await page.locator('main input[name=parent]').fill(key);
  await page.locator('main input[name=parent]').press('Enter');
  await page.locator('main').getByRole('checkbox', { name: 'account' }).check();
  for (const path of ['/a', '/b/*']) {
    await button(page, text('make.path.add')).click();
    await page.locator('main input[name=url]').last().fill(path);
  }
  await page.locator('main input[name=life][value="604800"]').check();
  await language('ru');
  await page.locator('.preview').filter({ hasText: '/b/*' }).filter({ hasText: 'account' }).waitFor();
  same([await page.locator('main input[name=parent]').inputValue(), await page.locator('main input[name=life]:checked').getAttribute('value'),
    await page.locator('main input[name=url]').evaluateAll((all) => all.map((one) => one.value))], [key, '604800', ['/a', '/b/*']], 'a subtoken');
  await language('en');

  const { body: { subtoken } } = await server.call('GET', '/v2/createsubtoken?permissions=docs', { key: admin });
  await go(page, '#/look');
  await page.locator('main textarea[name=token]').fill(subtoken);
  await page.locator('main input[name=target]').fill('/v2/account');
  await language('ru');
  same([await page.locator('main textarea[name=token]').inputValue(), await page.locator('main input[name=target]').inputValue()], [subtoken, '/v2/account'], 'a token');
  await go(page, '#/keys/new');
  same(await name.inputValue(), '', 'a form that was left is empty');
});

test('a login that ends while a form is filled in keeps it for the same person', async () => {
  for (const login of ['half', 'other']) await server.make('/v1/user', admin, { login, password: PASSWORD, permissions: ['docs'] });
  const page = await enter(server, { login: 'half' });
  const name = page.locator('main input[name=name]');
  const end = async () => {
    await go(page, '#/keys/new');
    await name.fill('half done');
    await page.locator('main').getByRole('checkbox', { name: 'docs' }).check();
    for (const disabled of [true, false]) await server.call('PATCH', '/v1/user/half', { key: admin, body: { disabled } });
    await button(page, text('mykeys.make')).click();
    await page.locator('main input[name=login]').waitFor();
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
    check(!kept.includes('half done'), 'it is in no storage');
  };
  await end();
  await signIn(page, { login: 'half' });
  same([await name.inputValue(), await page.locator('main').getByRole('checkbox', { name: 'docs' }).isChecked()], ['half done', true], 'what was filled in');
  await go(page, '#/keys');
  await end();
  await signIn(page, { login: 'other' });
  await h1(page, text('mykeys.make'));
  same(await name.inputValue(), '', 'nothing for somebody else');
});

test('a date that is missing or over is said to be so, and in no other way', async () => {
  const page = await enter(server, { key: admin });
  await go(page, '#/make');
  await page.locator('main input[name=life][value=date]').check();
  const date = page.locator('main input[name=date]');
  await date.fill('');
  await page.locator('.preview .problem').filter({ hasText: text('make.date.choose') }).waitFor();
  check(await button(page, text('make.action')).isDisabled(), 'it cannot be made so');
  await date.fill('2001-02-03T04:05');
  await page.locator('.preview .problem').filter({ hasText: 'must be in the future' }).waitFor();
  const said = await page.locator('.preview').textContent();
  check(!/\bexpire:/.test(said) && await page.locator('.preview time').count() === 0, `an end beside the problem: ${said}`);
});

test('in Russian the server is understood', async () => {
  const other = await world({ registration: 'open', keys_per_owner: 1 });
  await other.server.make('/v2/keys', await sessionOf(other.server, 'admin'), { name: 'first', permissions: ['docs'], expires: '90d' });
  const page = await enter(other.server, { login: 'admin' }, { locale: 'ru' });
  const inRussian = async (place) => {
    await place.filter({ hasText: /./ }).waitFor();
    const words = (await place.textContent()).replace(/keys_per_owner/g, '');
    check(/[а-я]/.test(words) && !/[a-z]{3}/i.test(words), `not Russian: ${words}`);
  };
  await go(page, '#/keys/new');
  await page.locator('main input[name=name]').fill('second');
  await button(page, text('mykeys.make', {}, 'ru')).click();
  await inRussian(page.locator('main').getByRole('alert'));
  await go(page, '#/users');
  await button(page.locator('main'), text('user.make', {}, 'ru')).click();
  for (const [login, password] of [['a:b', PASSWORD], ['good', 'short'], ['admin', PASSWORD]]) {
    await dialogOf(page).locator('input[name=login]').fill(login);
    await dialogOf(page).locator('input[name=password]').fill(password);
    const answered = page.waitForResponse((response) => response.url().endsWith('/v1/user'));
    await button(dialogOf(page), text('user.make', {}, 'ru')).click();
    await (await answered).finished();
    await inRussian(dialogOf(page).getByRole('alert'));
  }
  await button(dialogOf(page), text('dialog.cancel', {}, 'ru')).click();
  for (const asked of ['since=x', 'until=x', 'before=x']) {
    await go(page, `#/audit?${asked}`);
    await inRussian(page.locator('main').getByRole('alert'));
  }
  const { body: { subtoken } } = await other.server.call('GET', '/v2/createsubtoken?permissions=docs', { key: other.admin });
  await go(page, '#/look');
  await page.locator('main textarea[name=token]').fill(subtoken);
  await page.locator('main input[name=target]').fill('/a');
  await button(page, text('look.explain.action', {}, 'ru')).click();
  const good = page.locator('.verdict .good + p');
  await inRussian(good);
});

// ---- what is asked twice, given up, or answered late ----

// Requests of a page that are held until they are let go: {asked: a promise, go()}.
async function held(page, url) {
  let go, asked;
  const seen = new Promise((done) => { asked = done; });
  const gate = new Promise((done) => { go = done; });
  await page.route(url, async (route) => {
    asked();
    await gate;
    await route.continue();
  });
  return { asked: seen, go };
}

test('keys come once however often they are asked for, and what was begun is told', async () => {
  const made = await server.make('/v2/keys', await sessionOf(server, HOSTILE), { name: 'first', permissions: ['docs'], expires: '90d' });
  const page = await enter(server, { login: HOSTILE });
  const dialog = dialogOf(page);
  const listed = () => page.locator('main .cards h2 a').allTextContents();
  let fails = true;
  const { body: key } = await server.call('GET', `/v2/keys/${made.id}`, { key: admin });
  await page.route(/\/v2\/keys\?/, (route) => {
    const after = new URL(route.request().url()).searchParams.get('after');
    if (after !== null && fails) return route.abort();
    return route.fulfill({ json: after === null ? { keys: [{ ...key, name: 'one' }], next: 'x' } : { keys: [{ ...key, name: 'two' }] } });
  });
  await go(page, '#/keys');
  for (let i = 0; i < 2; i += 1) {
    await button(page, text('mykeys.more')).click();
    await page.getByRole('alert').waitFor();
  }
  same(await page.getByRole('alert').count(), 1, 'what is wrong is said once');
  fails = false;
  await button(page, text('mykeys.more')).evaluate((one) => { one.click(); one.click(); });
  await until(async () => (await listed()).length > 1, 'the second page');
  await button(page, text('mykeys.more')).waitFor({ state: 'detached' });
  same(await listed(), ['one', 'two'], 'each once');
  await page.unroute(/\/v2\/keys\?/);

  await go(page, `#/keys/${made.id}`);
  const rotation = await held(page, '**/rotate');
  await button(page, text('mykey.rotate')).click();
  await button(dialog, text('mykey.rotate')).click();
  await rotation.asked;
  await page.keyboard.press('Escape');
  await until(async () => await dialog.count() === 0, 'the question is gone');
  rotation.go();
  const secret = await dialog.locator('textarea[name=secret]').inputValue();
  same((await server.call('GET', '/v2/tokeninfo', { key: secret })).status, 200, 'the secret of a key that was rotated all the same');
  await button(dialog, text('secret.done')).click();
  await gone(page);

  await page.route(`**/v2/keys/${made.id}`, (route) => (route.request().method() === 'GET' ? route.abort() : route.continue()));
  await button(page, text('mykey.disable')).click();
  await button(dialog, text('mykey.disable')).click();
  await page.locator('.notice').filter({ hasText: text('mykey.disabled') }).filter({ hasText: text('problem.unreachable') }).waitFor();
});

test('an answer that comes late is not taken for another', async () => {
  const { body: { subtoken } } = await server.call('GET', '/v2/createsubtoken?permissions=docs', { key: admin });
  const page = await enter(server, { key: admin });
  await go(page, '#/look');
  await page.locator('main textarea[name=token]').fill(subtoken);
  const path = page.locator('main input[name=target]');
  await path.fill('/a');
  const explained = await held(page, '**/v2/explain');
  await button(page, text('look.explain.action')).click();
  await explained.asked;
  await path.fill('/b');
  const answered = page.waitForResponse('**/v2/explain');
  explained.go();
  await (await answered).finished();
  await quiet(page);
  same(await page.locator('.verdict').textContent(), '', 'about another path');

  const parent = await held(page, '**/v2/whoami');
  await page.evaluate(() => { location.hash = '#/make'; });
  await parent.asked;
  await page.locator('main input[name=with][value=other]').check();
  const told = page.waitForResponse('**/v2/whoami');
  parent.go();
  await (await told).finished();
  await quiet(page);
  same(await page.locator('main input[name=permissions]').count(), 0, 'the form of a credential that is not chosen any more');
});

test('a login goes on where two calls are refused at a time, and where it cannot be looked at for now', async () => {
  const page = await enter(server, { login: 'admin' });
  const old = page.waitForRequest('**/v2/whoami');
  await page.reload();
  const { authorization } = await (await old).allHeaders();
  await settled(page);
  const renewed = page.waitForResponse('**/v1/auth/refresh');
  let refused = 0;
  await page.route(/\/v2\/keys\?/, async (route) => {
    // What is issued within the same second is the same access token.
    if (refused === 2 || (await route.request().allHeaders()).authorization !== authorization) return route.continue();
    refused += 1;
    if (refused === 2) await (await renewed).finished();
    return route.fulfill({ status: 401, json: { text: 'Invalid access token' } });
  });
  await go(page, '#/all-keys');
  await page.locator('table.list').waitFor();
  same([refused, await button(page, text('frame.logout')).count()], [2, 1], 'refused, and still logged in');

  await page.route('**/v2/whoami', (route) => route.fulfill({ status: 429, json: { text: 'too many requests; try again later' } }));
  await page.reload();
  await page.locator('main input[name=login]').waitFor();
  await page.unroute('**/v2/whoami');
  await page.reload();
  await button(page, text('frame.logout')).waitFor();
});

// What the browser does where it keeps a page as it was and shows it again; Playwright has that turned off.
test('Back to a page that was kept goes on with the login as it is by now', async () => {
  const page = await enter(server, { login: 'admin' });
  const leave = () => page.evaluate(() => {
    dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }));
    return sessionStorage.getItem('subtoken.refresh');
  });
  const comeBack = (token) => page.evaluate((left) => {
    if (left === null) sessionStorage.removeItem('subtoken.refresh');
    else sessionStorage.setItem('subtoken.refresh', left);
    dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
    return sessionStorage.length;
  }, token).catch(() => null); // it may be gone already
  same(await comeBack(await leave()), 0, 'what is left of a token when nothing has happened');
  const token = (await server.call('POST', '/v1/auth/refresh', { body: { token: await leave() } })).body.refresh_token;
  const asked = page.waitForRequest('**/v1/auth/refresh');
  await comeBack(token);
  same((await asked).postDataJSON(), { token }, 'what another page of the tab has left');
  await button(page, text('frame.logout')).waitFor();
  await settled(page);
  await leave();
  await comeBack(null);
  await page.locator('main input[name=login]').waitFor();
});

await main();
