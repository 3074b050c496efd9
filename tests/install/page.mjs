// What debian.py lets a person do on the page of the installed server, in Chromium: STEP=make logs in, makes a key and
// a subtoken and writes both to the file OUT; STEP=revoke revokes the subtoken of standard input. URL is the server.
import { readFileSync, writeFileSync } from 'node:fs';
import { main, tab, test, until } from '../page/fixture.mjs';
import { button, go, settled, signIn, text } from '../page/world.mjs';

const { STEP, OUT, URL: url } = process.env;
const dialogOf = (page) => page.getByRole('dialog');

async function enter() {
  const page = await tab({ url });
  await page.goto('/');
  await signIn(page, { login: 'alice', password: 'correct horse' });
  return page;
}

async function secretOf(page) {
  const secret = await dialogOf(page).locator('textarea[name=secret]').inputValue();
  await button(dialogOf(page), text('secret.done')).click();
  await settled(page);
  return secret;
}

const steps = {
  async make() {
    const page = await enter();
    await go(page, '#/keys/new');
    await page.locator('input[name=name]').fill('from the page');
    await page.getByRole('checkbox', { name: 'account' }).check();
    await button(page, text('mykeys.make')).click();
    const key = await secretOf(page);
    await go(page, '#/make');
    await page.locator('input[name=parent]').fill(key);
    await page.locator('input[name=parent]').press('Enter');
    await page.getByRole('checkbox', { name: 'account' }).check();
    await button(page, text('make.path.add')).click();
    await page.locator('input[name=url]').last().fill('/v2/account');
    await page.locator('.preview').filter({ hasText: '/v2/account' }).waitFor();
    await until(async () => !await button(page, text('make.action')).isDisabled(), 'it can be made');
    await button(page, text('make.action')).click();
    const subtoken = await secretOf(page);
    writeFileSync(OUT, JSON.stringify({ key, subtoken }), { mode: 0o600 });
  },

  async revoke() {
    const page = await enter();
    await go(page, '#/look');
    await page.locator('textarea[name=token]').fill(readFileSync(0, 'utf8').trim());
    await button(page, text('look.revoke')).click();
    await button(dialogOf(page), text('look.revoke')).click();
    await dialogOf(page).waitFor({ state: 'hidden' });
    writeFileSync(OUT, '');
  },
};

test(STEP, steps[STEP]);
await main();
