// What the tests of the page share: TAP, a real server with people and keys in it, Debian's Chromium, and what
// has to hold of every page whatever a test is about: it asks its own server alone, its policy (CSP) is never
// broken, no script of a stranger runs, nothing is thrown.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMissing } from './install.mjs';

export const here = dirname(fileURLToPath(import.meta.url));
export const program = resolve(process.argv[2] ?? join(here, '../../build/subtoken'));
const file = basename(process.argv[1], '.mjs');
const only = process.argv[3] ?? process.env.NAME ?? '';
// Seconds that only a failure takes.
const patience = Number(process.env.SUBTOKEN_PATIENCE ?? 60);
// SUBTOKEN_SCREENSHOTS=DIR: each view is also drawn into a file, for somebody to look at.
const pictures = process.env.SUBTOKEN_SCREENSHOTS ?? '';

if (Number(process.versions.node.split('.')[0]) < 20) {
  console.log(`ok 1 - ${file}: not run # SKIP Node 20 is needed, and this is ${process.version}`);
  process.exit(0);
}

// ---- the end of everything that was started ----

const ends = [];
export const atEnd = (callback) => ends.push(callback);
process.on('exit', () => {
  while (ends.length > 0) {
    try {
      ends.pop()();
    } catch {
      // The others end all the same.
    }
  }
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

export function scratch() {
  const dir = mkdtempSync(join(tmpdir(), 'subtoken-page-'));
  atEnd(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
}

// ---- packages from npm ----

// What is installed is used; npm is asked only for what is not, by one test while the others wait.
if (isMissing()) {
  const made = spawnSync('flock', [join(here, 'package.json'), process.execPath, join(here, 'install.mjs')], { encoding: 'utf8' });
  if (isMissing()) {
    console.log(`not ok 1 - ${file}: npm ci in tests/page: ${made.stderr || made.error}`);
    process.exit(1);
  }
}
const { chromium } = await import('playwright-core');
const axe = readFileSync(join(here, 'node_modules/axe-core/axe.min.js'), 'utf8');

// ---- TAP ----

let count = 0;
let failures = 0;
const wanted = [];

// Each test is a function; what it throws is why it failed.
export const test = (name, body) => wanted.push([name, body]);

export async function main() {
  for (const [name, body] of wanted) {
    if (!name.includes(only)) continue;
    let why = null;
    try {
      await body();
    } catch (error) {
      why = error;
      for (const [i, { page }] of open.entries()) await draw(page, `failed ${file} ${name} ${i}`).catch(() => null);
    }
    for (const each of await closeAll()) why ??= new Error(each);
    count += 1;
    if (why !== null) failures += 1;
    console.log(`${why === null ? 'ok' : 'not ok'} ${count} - ${file}: ${name}`);
    if (why !== null) console.log(String(why.stack ?? why).replace(/^/gm, '# '));
  }
  console.log(`1..${count}`);
  await browser?.close();
  process.exit(failures > 0 || count === 0 ? 1 : 0);
}

export function same(got, want, what) {
  const [one, two] = [got, want].map((each) => JSON.stringify(each));
  if (one !== two) throw new Error(`${what}: ${one}, expected ${two}`);
}

export function check(good, what) {
  if (!good) throw new Error(what);
}

// ---- time ----

const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

// As long as it takes, up to a limit that only a failure reaches.
export async function until(condition, what, seconds = patience) {
  for (const began = performance.now(); performance.now() - began < seconds * 1000; await pause(20)) {
    if (await condition()) return;
  }
  throw new Error(`${what}: not within ${seconds} s`);
}

// ---- the server ----

export class Server {
  constructor(settings = {}) {
    this.dir = scratch();
    this.data = join(this.dir, 'data');
    this.log = join(this.dir, 'log');
    this.config = join(this.dir, 'config.json');
    writeFileSync(this.config, JSON.stringify(settings));
  }

  run(words, input = '') {
    const made = spawnSync(program, [...words, '--data', this.data], { input, encoding: 'utf8' });
    if (made.status !== 0) throw new Error(`${words.join(' ')}: exit ${made.status}: ${made.stderr}`);
    return made.stdout;
  }

  makeKey(name, permissions, ...more) {
    return JSON.parse(this.run(['key', 'create', '--name', name, '--permissions', permissions, '--json', ...more]));
  }

  written() {
    return readFileSync(this.log, 'utf8');
  }

  async start() {
    const before = existsSync(this.log) ? this.written().length : 0; // it may have run already
    const child = spawn(program, ['serve', '--data', this.data, '--config', this.config, '--listen', '127.0.0.1:0'],
      { stdio: ['ignore', 'ignore', openSync(this.log, 'a')] });
    atEnd(() => child.kill('SIGKILL'));
    this.child = child;
    await until(() => {
      check(child.exitCode === null, `the server did not start: ${this.written()}`);
      this.url = /"listening","detail":"(http:\/\/[^"]*:\d+)"/.exec(this.written().slice(before))?.[1];
      return this.url !== undefined;
    }, 'the server listens');
    return this;
  }

  // The answer to a call that is made beside the page.
  async call(method, path, { key, body } = {}) {
    const headers = key === undefined ? {} : { Authorization: `Bearer ${key}` };
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const answer = await fetch(this.url + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? null : JSON.parse(text) };
  }

  async make(path, key, body) {
    const made = await this.call('POST', path, { key, body });
    check(made.status === 201, `POST ${path}: ${made.status} ${JSON.stringify(made.body)}`);
    return made.body;
  }
}

// ---- the browser ----

// The one without windows first: it takes a third of the processor's time.
const CHROMIUMS = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'];
let browser = null;
const open = []; // contexts with what went wrong in them

async function start() {
  const executablePath = process.env.SUBTOKEN_CHROMIUM ?? CHROMIUMS.find(existsSync);
  browser = await chromium.launch({ executablePath, timeout: patience * 1000, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] });
}

// A new tab of a browser that nobody has used. width: of the window.
export async function tab(server, { dark = false, width = 1000, height = 800, locale = 'en', clipboard = false } = {}) {
  if (browser === null) await start();
  const context = await browser.newContext({ baseURL: server.url, colorScheme: dark ? 'dark' : 'light', viewport: { width, height },
    locale, reducedMotion: 'reduce', permissions: clipboard ? ['clipboard-read', 'clipboard-write'] : [] });
  context.setDefaultTimeout(patience * 1000);
  const page = await context.newPage();
  const wrong = [];
  const asking = new Set();
  open.push({ context, page, wrong, asking });
  watch(context, page, server, wrong);
  page.on('request', (request) => asking.add(request));
  for (const end of ['requestfinished', 'requestfailed']) page.on(end, (request) => asking.delete(request));
  await page.addInitScript(() => {
    globalThis.brokenPolicy = [];
    document.addEventListener('securitypolicyviolation', (event) => {
      globalThis.brokenPolicy.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`);
    });
  });
  return page;
}

function watch(context, page, server, wrong) {
  context.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(`${server.url}/`)) wrong.push(`asked elsewhere: ${url}`);
  });
  page.on('dialog', (dialog) => {
    wrong.push(`a script of a stranger ran: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('pageerror', (error) => wrong.push(`thrown: ${error.stack}`));
  page.on('console', (message) => {
    // Chromium itself writes a line for each status of 400 and above.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) wrong.push(`console: ${message.text()}`);
  });
}

// What went wrong in a tab so far; it is forgotten by that.
export async function wrongIn(page) {
  const { wrong } = open.find((each) => each.page === page);
  const broken = await page.evaluate(() => (globalThis.brokenPolicy ?? []).splice(0)).catch((error) => [String(error)]);
  return [...wrong.splice(0), ...broken.map((each) => `CSP: ${each}`)];
}

// The same of all the tabs of a test, which end.
async function closeAll() {
  const all = [];
  for (const { page } of open) all.push(...await wrongIn(page));
  for (const { context } of open.splice(0)) await context.close();
  return all;
}

// ---- when a page has done what it was told to ----

// The view is all there, and nothing that was asked is still to be answered: what a button began has ended.
export async function quiet(page) {
  const { asking } = open.find((each) => each.page === page);
  await until(async () => {
    if (asking.size > 0 || await page.locator('main .view:not([aria-busy]) h1').count() !== 1) return false;
    await page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => setTimeout(done)); }));
    return asking.size === 0;
  }, 'everything is answered and drawn');
}

// No dialog is left. One that is closed is not seen any more, but goes in a task of its own, and what follows it comes then.
export async function gone(page) {
  await until(async () => await page.locator('dialog').count() === 0, 'the dialog is gone');
  await quiet(page);
}

// ---- what holds of each view ----

// axe-core finds nothing, and nothing needs scrolling sideways. Draws it where that is asked for.
export async function sound(page, name) {
  await quiet(page);
  if (!await page.evaluate(() => 'axe' in globalThis)) await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] });
    return violations.map(({ id, help, nodes }) => `${id} (${help}): ${nodes.slice(0, 3).map((node) => `${node.html} ${node.any.concat(node.all, node.none).map((each) => each.message).join('; ')}`).join(' | ')}`);
  });
  await draw(page, name);
  same(found, [], `axe-core in ${name}`);
  const wide = await page.evaluate(() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth);
  same(wide, 0, `${name}: pixels to scroll sideways`);
}

export async function draw(page, name) {
  if (pictures === '') return;
  mkdirSync(pictures, { recursive: true });
  await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
}
