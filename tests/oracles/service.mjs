// A real server for the oracles in JavaScript, and what may stand in front of it: TLS.
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const program = resolve(process.argv[2]);
export const scratch = process.env.SUBTOKEN_ORACLE ?? mkdtempSync(join(tmpdir(), 'subtoken-oracle-'));
const data = join(scratch, 'data');
const log = join(scratch, 'log');
let server;
process.on('exit', () => {
  server?.kill('SIGKILL');
  rmSync(scratch, { recursive: true, force: true });
});

export function run(words, input = '') {
  const made = spawnSync(program, [...words, '--data', data], { input, encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`${words.join(' ')}: exit ${made.status}: ${made.stderr}`);
  return made.stdout;
}

export function makeKey(permissions) {
  return JSON.parse(run(['key', 'create', '--name', 'oracle', '--permissions', permissions, '--json']));
}

export const written = () => readFileSync(log, 'utf8');

const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

// The address of a server with these settings.
export async function start(settings = {}) {
  const config = join(scratch, 'config.json');
  writeFileSync(config, JSON.stringify(settings));
  const stderr = openSync(log, 'a');
  server = spawn(program, ['serve', '--data', data, '--config', config, '--listen', '127.0.0.1:0'],
    { stdio: ['ignore', 'ignore', stderr] });
  closeSync(stderr);
  for (let i = 0; i < 1500 && server.exitCode === null; i += 1) {
    const found = /"listening","detail":"(http:\/\/[^"]*:\d+)"/.exec(written());
    if (found) return found[1];
    await pause(20);
  }
  throw new Error(`the server did not start: ${written()}`);
}

export async function stop() {
  const ended = new Promise((done) => { server.on('exit', (code, signal) => done(code ?? signal)); });
  server.kill('SIGTERM');
  return ended;
}

// Node reads the certificates that it trusts when it starts: the process begins once more with one
// for localhost. Returns its key and certificate.
export function trust() {
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(scratch, name));
  if (!existsSync(cert)) {
    const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt',
      'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext',
      'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert], { encoding: 'utf8' });
    if (made.status !== 0) throw new Error(`openssl: ${made.stderr}`);
    const again = spawnSync(process.execPath, process.argv.slice(1), { stdio: 'inherit',
      env: { ...process.env, NODE_EXTRA_CA_CERTS: cert, SUBTOKEN_ORACLE: scratch } });
    process.exit(again.status ?? 1);
  }
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

// https://localhost:PORT in front of what `upstream` answers, as nginx would stand there.
export async function tls(credentials, upstream) {
  const front = https.createServer(credentials, (request, response) => {
    const onward = http.request(upstream() + request.url,
      { method: request.method, headers: request.headers }, (answer) => {
        response.writeHead(answer.statusCode, answer.rawHeaders);
        answer.pipe(response);
      });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  await new Promise((done) => { front.listen(0, '127.0.0.1', done); });
  front.unref();
  return `https://localhost:${front.address().port}`;
}
