// The long form of the list of all keys: a million of them (SUBTOKEN_KEYS), found, paged through and opened on the
// page. Not in each run of the tests: filling the database takes a minute.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { check, here, main, same, test, until } from './fixture.mjs';
import { enter, field, go, link, rows, text, world } from './world.mjs';

const MANY = Number(process.env.SUBTOKEN_KEYS ?? 1000000);
const FILL = 'import sys, key_rows; db = key_rows.connect(sys.argv[1]); key_rows.fill_bulk(db, int(sys.argv[2]), 0)';

test(`${MANY} keys: found, paged through, opened`, async () => {
  const { server, admin } = await world();
  const ended = new Promise((done) => { server.child.on('exit', done); });
  server.child.kill('SIGTERM');
  await ended;
  const filled = spawnSync('/usr/bin/python3', ['-c', FILL, server.data, String(MANY)],
    { env: { ...process.env, PYTHONPATH: join(dirname(here), 'bench') }, encoding: 'utf8' });
  check(filled.status === 0, filled.stderr);
  await server.start();
  const page = await enter(server, { key: admin });
  await go(page, '#/all-keys');
  await until(async () => await rows(page).count() === 50, 'the first page');
  const ids = () => page.locator('table.list tbody th code').allTextContents();
  const seen = new Set(await ids());
  for (let i = 2; i <= 6; i += 1) {
    await link(page, text('list.next')).click();
    await until(async () => {
      const now = await ids();
      return now.length === 50 && now.every((id) => !seen.has(id));
    }, `page ${i} has 50 other keys`);
    for (const id of await ids()) seen.add(id);
  }
  same(seen.size, 300, 'keys on six pages');
  // The last one that was made, by the start of its id, then by its name, for which one page may not be enough.
  const wanted = `key ${MANY - 1}`;
  const id = spawnSync('/usr/bin/python3', ['-c', `import key_rows; print(key_rows.key_of(${MANY - 1})[:36])`],
    { env: { ...process.env, PYTHONPATH: join(dirname(here), 'bench') }, encoding: 'utf8' }).stdout.trim();
  await go(page, `#/all-keys?search=${id}`);
  await until(async () => JSON.stringify(await page.locator('table.list tbody th a').allTextContents()) === JSON.stringify([wanted]), 'found by its id');
  await go(page, '#/all-keys');
  await field(page, text('allkeys.search')).fill(wanted);
  await field(page, text('allkeys.search')).press('Enter');
  let asked = 0;
  page.on('request', (request) => { asked += Number(request.url().includes('/v2/keys?')); });
  await until(async () => (await page.locator('table.list tbody th a').allTextContents()).includes(wanted), 'found by its name');
  console.log(`# found by its name with ${asked} requests`);
  await link(page, wanted).first().click();
  await page.getByRole('heading', { level: 1 }).filter({ hasText: wanted }).waitFor();
});

await main();
