// Every view and every dialog, in light and dark, wide and at 320 pixels, in English and Russian: axe-core finds
// nothing, nothing needs scrolling sideways, no text is missing, and every name in them is a hostile or a long one.
// Two of the eight combinations hold each setting; SUBTOKEN_EVERY=1 runs all. Pictures of all:
// SUBTOKEN_SCREENSHOTS=DIR make page-views.
import { check, gone, main, same, sound, tab, test, until, wrongIn } from './fixture.mjs';
import { HOSTILE, HOSTILE_PERMISSION, LONG, PASSWORD, allTexts, button, go, sessionOf, signIn, text, world } from './world.mjs';

const { server, admin } = await world({ registration: 'open' });

// ---- what there is to be seen ----

const make = (name, more = {}) => server.make('/v2/keys', admin, { name, permissions: ['docs', HOSTILE_PERMISSION], expires: '20d', ...more });
const hostile = await make(HOSTILE, { owner: HOSTILE });
await make(LONG, { owner: LONG, expires: 'never' });
const disabled = await make('disabled', { audience: 'eu' });
await server.call('PATCH', `/v2/keys/${disabled.id}`, { key: admin, body: { disabled: true } });
for (const login of [HOSTILE, LONG]) await server.make('/v1/user', admin, { login, password: PASSWORD, permissions: ['docs', HOSTILE_PERMISSION] });
const own = await server.make('/v2/keys', await sessionOf(server, 'admin'), { name: HOSTILE, permissions: ['docs'], expires: '20d' });
const edge = await make(HOSTILE, { permissions: ['revocations'] });
await fetch(`${server.url}/v2/revocations`, { headers: { Authorization: `Bearer ${edge.key}` } });
const { body: { subtoken } } = await server.call('GET', `/v2/createsubtoken?permissions=docs&urls=/a/${'b'.repeat(300)},GET:/c/*`, { key: hostile.key });

// ---- how each is reached ----

const press = (key) => async (page, language) => button(page.locator('main'), text(key, {}, language)).click();
// A button that opens a dialog.
const ask = (key) => async (page, language) => {
  await press(key)(page, language);
  await page.locator('dialog[open]').waitFor();
};
// [name, address, the dialog that is opened there]
const VIEWS = [
  ['keys', '#/keys'],
  ['keys expiring', '#/keys?expiring=30d'],
  ['keys new', '#/keys/new'],
  ['keys secret', '#/keys/new', async (page, language) => {
    await page.locator('main input[name=name]').fill(HOSTILE);
    await press('mykeys.make')(page, language);
    await page.locator('dialog textarea[name=secret]').waitFor();
  }],
  ['key', `#/keys/${own.id}`],
  ...['rename', 'disable', 'rotate', 'revoke', 'delete'].map((word) => [`key ${word}`, `#/keys/${own.id}`, ask(`mykey.${word}`)]),
  ['key disabled', `#/keys/${disabled.id}`],
  ['make', '#/make', async (page, language) => {
    const parent = page.locator('input[name=parent]');
    await parent.fill(hostile.key);
    await parent.press('Enter');
    await page.locator('input[name=permissions]').first().check();
    await button(page, text('make.path.add', {}, language)).click();
    await page.locator('input[name=url]').fill('/a//b');
    await page.locator('input[name=url][aria-invalid=true]').waitFor();
  }],
  ['make secret', '#/make', async (page, language) => {
    const parent = page.locator('input[name=parent]');
    await parent.fill(hostile.key);
    await parent.press('Enter');
    await page.locator('.preview dl').waitFor();
    await button(page, text('make.action', {}, language)).click();
    await page.locator('dialog textarea[name=secret]').waitFor();
  }],
  ['look', '#/look', async (page) => { await page.locator('textarea[name=token]').fill(subtoken); }],
  ['look explained', '#/look', async (page, language) => {
    await page.locator('textarea[name=token]').fill(subtoken);
    await page.locator('input[name=target]').fill(`/${HOSTILE}`);
    await press('look.explain.action')(page, language);
    await page.locator('.verdict p').first().waitFor();
  }],
  ['look revoke', '#/look', async (page, language) => {
    await page.locator('textarea[name=token]').fill(subtoken);
    await ask('look.revoke')(page, language);
  }],
  ['all keys', '#/all-keys'],
  ['all keys none', '#/all-keys?search=nothing+has+this+name'],
  ['all keys page', '#/all-keys?after=0'],
  ['users', '#/users'],
  ['user', `#/users/${encodeURIComponent(HOSTILE)}`],
  ['user long', `#/users/${encodeURIComponent(LONG)}`],
  ['user make', '#/users', ask('user.make')],
  ...['permissions', 'disable', 'delete'].map((word) => [`user ${word}`, `#/users/${encodeURIComponent(HOSTILE)}`, ask(`user.${word}`)]),
  ['audit', '#/audit'],
  ['audit asked', '#/audit?action=user.&until=2000-01-01'],
  ['feed', '#/feed'],
  ['ring', '#/ring'],
  ['nowhere', '#/nowhere'],
];

const every = [false, true].flatMap((dark) => [1000, 320].flatMap((width) => ['en', 'ru'].map((language) => ({ dark, width, language }))));
const few = every.filter(({ dark, width, language }) => dark === (width === 1000) && dark === (language === 'en'));

async function choose(page, language) {
  await page.locator('select[name=language]').selectOption(language);
  await page.locator(`html[lang=${language}]`).waitFor({ state: 'attached' });
}

// A key of a text that has no text is shown as it is; actions of the audit log have names like them.
async function noMissing(page, name) {
  if (name.includes(' audit')) return;
  const seen = await page.locator('body').innerText();
  const missing = allTexts.filter((key) => key.includes('.') && new RegExp(`(^|\\s)${key.replaceAll('.', '\\.')}(\\s|$)`, 'm').test(seen));
  same(missing, [], `${name}: keys of texts that are shown`);
}

// What this file says nothing of would be worth nothing, if it could not say anything.
test('what is wrong is seen', async () => {
  const page = await tab(server);
  await page.goto('/');
  await page.locator('main input[name=login]').waitFor();
  same(await wrongIn(page), [], 'at first');
  await page.evaluate(() => {
    const wide = document.createElement('input');
    wide.style.minWidth = '3000px';
    document.querySelector('main').append(wide);
  });
  let why = '';
  await sound(page, 'an input without a label').catch((error) => { why = error.message; });
  check(why.includes('label'), `axe-core: ${why}`);
  await page.evaluate(() => document.querySelector('main').lastChild.setAttribute('aria-label', 'wide'));
  await sound(page, 'an input that is too wide').catch((error) => { why = error.message; });
  check(why.includes('sideways'), `too wide: ${why}`);
  await page.evaluate(() => {
    const image = document.createElement('img');
    image.src = 'http://127.0.0.1:9/elsewhere.png';
    image.setAttribute('onerror', 'alert(1)');
    document.body.append(image);
    document.body.append(Object.assign(document.createElement('script'), { src: 'data:text/javascript,alert(2)' }));
  }).catch(() => null); // trusted types throw
  await until(async () => {
    const wrong = (await wrongIn(page)).join('\n');
    why += wrong;
    return why.includes('img-src') && why.includes('require-trusted-types-for');
  }, 'the policy forbids an image from elsewhere, and a script whose address is text');
});

for (const { dark, width, language } of process.env.SUBTOKEN_EVERY ? every : few) {
  const combination = `${dark ? 'dark' : 'light'} ${width} ${language}`;
  test(combination, async () => {
    const page = await tab(server, { dark, width });
    await page.goto('/');
    await choose(page, language);
    await sound(page, `${combination} login`);
    await button(page, text('register.title', {}, language)).click();
    await sound(page, `${combination} register`);
    await page.keyboard.press('Escape');
    await gone(page);
    await signIn(page, { login: 'admin' });
    for (const [name, hash, open] of VIEWS) {
      await go(page, hash);
      if (open !== undefined) await open(page, language);
      await sound(page, `${combination} ${name}`);
      await noMissing(page, `${combination} ${name}`);
      same(await page.locator('img, main script, svg').count(), 0, `${name}: elements that a name made`);
      const kept = button(page, text('secret.done', {}, language));
      if (await kept.isVisible()) await kept.click();
      else await page.keyboard.press('Escape');
      await gone(page);
    }
  });
}

await main();
