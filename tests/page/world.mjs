// A server with people, keys, edges and a history, every name in it a hostile one; and what the tests do on the
// page in many places: log in, go to a view, read a list.
import { join } from 'node:path';
import { Server, check, here, same, tab } from './fixture.mjs';

const { texts: own } = await import(join(here, '../../src/page/texts.js'));
const { adminTexts } = await import(join(here, '../../src/page/admin_texts.js'));

// A text of the page, as t() of the page makes it.
export function text(key, values = {}, language = 'en') {
  const all = { ...own[language], ...adminTexts[language] };
  const found = values.n === undefined ? all[key] : all[`${key}.${new Intl.PluralRules(language).select(values.n)}`];
  check(found !== undefined, `no text ${key} in ${language}`);
  return found.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export const allTexts = Object.keys({ ...own.en, ...adminTexts.en });

// As a name of a key, an owner, a user; every character of it is allowed there (those that turn text around are not: what ends it is Hebrew).
export const HOSTILE = '"><img src=x onerror=alert(1)>\'</title><script>alert(2)</script>{{7*7}}${8*8}&lt;b&gt;/..%2f?#שלום';
export const HOSTILE_PERMISSION = '<svg/onload=alert(3)>';
export const LONG = 'W'.repeat(256);
export const PASSWORD = 'correct horse battery staple';
export const ALL = `keys,users,audit,introspect,revocations,metrics,services,account,docs,${HOSTILE_PERMISSION}`;

// admin: a whole key with every permission; the user `admin` has them, too.
export async function world(settings = {}) {
  const server = new Server({ permission_texts: { docs: `Documents ${HOSTILE}`, ...settings.permission_texts }, ...settings });
  const admin = server.makeKey('the administrator', ALL, '--expires', 'never').key;
  await server.start();
  await server.make('/v1/user', admin, { login: 'admin', password: PASSWORD, permissions: ALL.split(',') });
  return { server, admin };
}

export async function sessionOf(server, login, password = PASSWORD) {
  const { status, body } = await server.call('POST', '/v1/auth/login', { body: { login, password } });
  same(status, 200, `${login} logs in`);
  return body.access_token;
}

export const button = (where, name) => where.getByRole('button', { name, exact: true });
export const link = (where, name) => where.getByRole('link', { name, exact: true });
export const field = (where, label) => where.getByLabel(label, { exact: true });

// A new tab, in which somebody has logged in. who: {login, password} or {key}.
export async function enter(server, who, options = {}) {
  const page = await tab(server, options);
  await page.goto('/');
  await signIn(page, who);
  return page;
}

export async function signIn(page, who) {
  if (who.key !== undefined) {
    await page.locator('main input[name=key]').fill(who.key);
    await page.locator('main input[name=key]').press('Enter');
  } else {
    await page.locator('main input[name=login]').fill(who.login);
    await page.locator('main input[name=password]').fill(who.password ?? PASSWORD);
    await page.locator('main input[name=password]').press('Enter');
  }
  await page.locator('header .who').waitFor();
  await settled(page);
}

// To a view by its address in the page; waits until it is all there: whatever is asked has been answered.
export async function go(page, hash) {
  if (await page.evaluate(() => location.hash) === hash) await go(page, '#/nowhere');
  // The frame hears of the change before this does, and draws an empty view at once.
  await page.evaluate((to) => new Promise((done) => {
    addEventListener('hashchange', () => done(), { once: true });
    location.hash = to;
  }), hash);
  await settled(page);
}

export const settled = (page) => page.locator('main .view:not([aria-busy]) h1').waitFor();

export const rows = (page) => page.locator('table.list tbody tr');
export const cells = async (page, column) => page.locator(`table.list tbody [data-label="${column}"]`).allTextContents();
