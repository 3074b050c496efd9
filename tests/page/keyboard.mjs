// The page with the keyboard alone: each thing that can be pressed is reached by Tab, is seen to have the focus, and
// works by Enter, Space or the arrows; a dialog keeps the focus and gives it back.
import { check, gone, main, quiet, same, tab, test, until } from './fixture.mjs';
import { HOSTILE, PASSWORD, go, settled, text, world } from './world.mjs';

const { server, admin } = await world();

// What has the focus: its name as it is read out, and whether that is seen.
const focused = (page) => page.evaluate(() => {
  const node = document.activeElement;
  if (node === null || node === document.body) return null;
  const style = getComputedStyle(node);
  const box = node.getBoundingClientRect();
  const label = node.labels?.[0]?.textContent ?? node.getAttribute('aria-label') ?? '';
  return { tag: node.localName, name: (node.name ?? ''), text: (node.textContent ?? '').trim(), label: label.trim(),
    ring: style.outlineStyle !== 'none' && Number.parseFloat(style.outlineWidth) >= 2,
    seen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth,
    inDialog: node.closest('dialog') !== null };
});

// Tab until something has the focus that fits; everything on the way is seen to have it.
async function tabTo(page, fits, what) {
  for (let i = 0; i < 150; i += 1) {
    await page.keyboard.press('Tab');
    const now = await focused(page);
    if (now === null) continue;
    check(now.ring, `the focus is not seen: ${JSON.stringify(now)}`);
    check(now.seen, `out of sight with the focus: ${JSON.stringify(now)}`);
    if (fits(now)) return now;
  }
  throw new Error(`Tab does not reach ${what}`);
}
const toText = (page, words) => tabTo(page, (now) => now.text === words && ['a', 'button', 'summary'].includes(now.tag), words);
const toInput = (page, name) => tabTo(page, (now) => now.name === name, name);

async function enter(page) {
  await page.goto('/');
  await page.locator('main input[name=login]').waitFor();
  await toInput(page, 'login');
  await page.keyboard.type('admin');
  await toInput(page, 'password');
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press('Enter');
  await page.locator('nav a[href="#/users"]').waitFor();
  await settled(page);
}

test('a user is made: from the login to the heading of the new one', async () => {
  const page = await tab(server);
  await enter(page);
  await until(async () => (await focused(page))?.tag === 'h1', 'the focus is on the heading of the view');
  await page.keyboard.press('Shift+Tab'); // the navigation lies before it
  await toText(page, text('users.title'));
  await page.keyboard.press('Enter');
  await page.locator('table.list').waitFor();
  await quiet(page);
  await toText(page, text('user.make'));
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await toInput(page, 'login');
  await page.keyboard.type('keyboard');
  await toInput(page, 'password');
  await page.keyboard.type(PASSWORD);
  await tabTo(page, (now) => now.label === 'docs', 'docs');
  await page.keyboard.press('Space');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1 }).filter({ hasText: 'keyboard' }).waitFor();
  await until(async () => (await focused(page))?.tag === 'h1', 'the focus is on the heading of the user');
  same((await server.call('GET', '/v1/user/keyboard', { key: admin })).body.permissions, ['docs'], 'what was made');
});

test('a dialog keeps the focus, ends by Escape, and gives it back', async () => {
  const page = await tab(server);
  await enter(page);
  await go(page, '#/users/admin');
  await toText(page, text('user.delete'));
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog');
  await dialog.waitFor();
  for (let i = 0; i < 8; i += 1) {
    await page.keyboard.press('Tab');
    const now = await focused(page);
    check(now === null || now.inDialog, `Tab leaves the dialog: ${JSON.stringify(now)}`); // null: the browser's own bar
  }
  await page.keyboard.press('Escape');
  await gone(page);
  same((await focused(page))?.text, text('user.delete'), 'what opened it has the focus');
});

test('a subtoken is made, looked into and revoked', async () => {
  const key = await server.make('/v2/keys', admin, { name: HOSTILE, permissions: ['docs', 'account'], expires: '90d' });
  const page = await tab(server, { clipboard: true });
  await page.goto('/');
  await page.locator('main input[name=key]').waitFor();
  await toInput(page, 'key');
  await page.keyboard.insertText(key.key);
  await page.keyboard.press('Enter');
  await page.locator('nav a[href="#/make"]').waitFor();
  await settled(page);
  await page.keyboard.press('Shift+Tab');
  await toText(page, text('make.title'));
  await page.keyboard.press('Enter');
  await page.locator('main input[name=permissions]').first().waitFor();
  await quiet(page);
  await tabTo(page, (now) => now.label === 'docs', 'docs');
  await page.keyboard.press('Space');
  await toText(page, text('make.path.add'));
  await page.keyboard.press('Enter');
  same((await focused(page)).name, 'url', 'the new path has the focus');
  await page.keyboard.type('/v2/tokeninfo');
  await page.locator('.preview').filter({ hasText: '/v2/tokeninfo' }).filter({ hasText: 'docs' }).waitFor();
  await toInput(page, 'life');
  await page.keyboard.press('ArrowRight');
  await until(async () => page.getByRole('button', { name: text('make.action'), exact: true }).isEnabled(), 'it can be made');
  await toText(page, text('make.action'));
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  const subtoken = await page.locator('dialog textarea[name=secret]').inputValue();
  await tabTo(page, (now) => now.text === text('copy'), 'the button that copies');
  await page.keyboard.press('Space');
  await page.getByRole('dialog').getByRole('status').filter({ hasText: text('copy.done') }).waitFor();
  await toText(page, text('secret.done'));
  await page.keyboard.press('Enter');
  await gone(page);

  await toText(page, text('look.title'));
  await page.keyboard.press('Enter');
  await page.locator('main textarea[name=token]').waitFor();
  await quiet(page);
  await toInput(page, 'token');
  await page.keyboard.press('Control+V');
  await page.locator('.token').filter({ hasText: '/v2/tokeninfo' }).waitFor();
  await toText(page, text('look.revoke'));
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await toText(page, text('look.revoke'));
  await page.keyboard.press('Enter');
  await gone(page);
  same((await server.call('GET', '/v2/tokeninfo', { key: subtoken })).status, 401, 'it is refused');
});

test('the way past the navigation', async () => {
  const page = await tab(server);
  await enter(page);
  await page.reload();
  await page.locator('nav a[href="#/users"]').waitFor();
  await settled(page);
  await toText(page, text('frame.skip'));
  await page.keyboard.press('Enter');
  check(await page.evaluate(() => document.activeElement.id === 'main'), 'the focus is on the content');
});

await main();
