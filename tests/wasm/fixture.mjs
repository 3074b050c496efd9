// What the tests of the npm package share: TAP, the packages from npm, a real server with its keys,
// and the cases that every edge is held to.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const here = dirname(fileURLToPath(import.meta.url));
export const program = resolve(process.argv[2] ?? join(here, '../../build/subtoken'));
export const packageDir = join(dirname(program), 'wasm/package');
const file = basename(process.argv[1], '.mjs');

// The package is for Node 20; Debian 12 has an older one.
if (Number(process.versions.node.split('.')[0]) < 20) {
  console.log(`ok 1 - ${file}: not run # SKIP Node 20 is needed, and this is ${process.version}`);
  process.exit(0);
}

// ---- TAP ----

let count = 0;
let failures = 0;

export function tap(good, name, why) {
  count += 1;
  if (!good) failures += 1;
  console.log(`${good ? 'ok' : 'not ok'} ${count} - ${file}: ${name}`);
  if (!good && why !== undefined) console.log(`# ${JSON.stringify(why)?.slice(0, 2000)}`);
}

export function same(got, want, name) {
  const good = JSON.stringify(got) === JSON.stringify(want);
  tap(good, name, { got, want });
  return good;
}

export function plan() {
  console.log(`1..${count}`);
  process.exitCode = failures > 0 ? 1 : 0;
}

// ---- the end of everything that was started ----

const ends = [];
export const atEnd = (callback) => ends.push(callback);
export function end() {
  while (ends.length > 0) {
    try {
      ends.pop()();
    } catch {
      // The others end all the same.
    }
  }
}
process.on('exit', end);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

export function scratch() {
  const dir = mkdtempSync(join(tmpdir(), 'subtoken-wasm-'));
  atEnd(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
}

// What a child prints on stderr, for a failure's sake.
export function start(command, words, options = {}) {
  const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  child.text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (data) => { child.text = (child.text + data).slice(-20000); });
  }
  child.on('error', (error) => { child.text += String(error); });
  atEnd(() => (options?.detached ? process.kill(-child.pid, 'SIGKILL') : child.kill('SIGKILL'))); // the whole group
  return child;
}

// ---- packages from npm ----

// What is installed is used; npm is asked only for what is not, by one test while the others wait. Our own
// package is a link.
export function installPackages() {
  if (isMissing()) {
    const made = spawnSync('flock', [join(here, 'package.json'), process.execPath, join(here, 'install.mjs')], { encoding: 'utf8' });
    if (made.status !== 0) {
      console.log(`not ok 1 - ${file}: npm ci in tests/wasm: ${made.stderr || made.error}`);
      process.exit(1);
    }
  }
  linkPackage();
}

export function isMissing() {
  const wanted = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8')).dependencies;
  // npm writes .package-lock.json when all else is there.
  return !existsSync(join(here, 'node_modules', '.package-lock.json')) || Object.entries(wanted).some(([name, version]) => {
    const path = join(here, 'node_modules', name, 'package.json');
    return !existsSync(path) || JSON.parse(readFileSync(path, 'utf8')).version !== version;
  });
}

function linkPackage() {
  const link = join(here, 'node_modules/subtoken');
  try {
    if (readlinkSync(link) === packageDir) return;
    unlinkSync(link);
  } catch {
    // There was none.
  }
  try {
    symlinkSync(packageDir, link, 'dir');
  } catch (error) {
    if (error.code !== 'EEXIST') throw error; // another test was first
  }
}

// ---- time ----

export const sleep = (seconds) => new Promise((done) => { setTimeout(done, seconds * 1000); });

// As long as it takes, up to a limit that only a failure reaches. Gives the seconds that it took.
export async function until(condition, seconds = 60) {
  const began = performance.now();
  for (;;) {
    if (await condition()) return (performance.now() - began) / 1000;
    if (performance.now() - began > seconds * 1000) return Infinity;
    await sleep(0.05);
  }
}

// ---- the server ----

export function run(words, input = '') {
  const made = spawnSync(program, words, { input, encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`${words.join(' ')}: exit ${made.status}: ${made.stderr}`);
  return made.stdout;
}

export function freePort() {
  return new Promise((done) => {
    const server = net.createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

// A path as it is, headers in their order, and nothing added but Host. Values of a header that is
// sent twice are an array.
export function request(port, { method = 'GET', target = '/', headers = {}, body } = {}) {
  return new Promise((done, failed) => {
    const sent = http.request({ host: '127.0.0.1', port, method, path: target, headers, agent: false, timeout: 60000 },
      (response) => {
        const pieces = [];
        response.on('data', (piece) => pieces.push(piece));
        response.on('end', () => done({ status: response.statusCode, headers: response.headers,
          body: Buffer.concat(pieces).toString() }));
        response.on('error', failed);
      });
    sent.on('error', failed);
    sent.on('timeout', () => sent.destroy(new Error('no answer within 60 s')));
    sent.end(body);
  });
}

export class Server {
  static async start() {
    const server = new Server();
    server.data = join(scratch(), 'var');
    server.port = await freePort();
    server.address = `http://127.0.0.1:${server.port}`;
    await server.serve();
    return server;
  }

  async serve() {
    this.child = start(program, ['serve', '--data', this.data, '--listen', `127.0.0.1:${this.port}`]);
    const ready = await until(() => request(this.port, { target: '/readyz' })
      .then((response) => response.status === 200, () => false), 60);
    if (ready === Infinity) throw new Error(`the server does not start: ${this.child.text}`);
  }

  stop() {
    return new Promise((done) => {
      this.child.once('exit', done);
      this.child.kill('SIGTERM');
    });
  }

  get ring() {
    return readFileSync(join(this.data, 'secrets'), 'utf8');
  }

  key(name, permissions, ...words) {
    const { key } = JSON.parse(run(['key', 'create', '--data', this.data, '--name', name, '--permissions', permissions,
      '--json', ...words]));
    return key;
  }

  issue(key, ...words) {
    return run(['issue', '--data', this.data, ...words], key).trim();
  }

  delete(key) {
    run(['key', 'delete', '--data', this.data, key.slice(0, 36)]);
  }
}
