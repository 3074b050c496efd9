// jose (from npm) and subtoken, each reading what the other wrote.
//
// usage: node jose.mjs PROGRAM
import { spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { library, plan, tap } from './support.mjs';

const program = resolve(process.argv[2]);
const permissionsKnown = ['account', 'guilds', 'inventories', 'progression', 'a.b:c/d', '~!*'];
const urlsKnown = ['/v2/account', '/v2/characters/My%20Cool%20Character', '/v2/characters/*',
  'GET:/v2/a+b', '/v2/Zo%C3%AB', 'POST:/v2/mail/*'];

const jose = await library('jose');
const now = () => Math.floor(Date.now() / 1000);
const base64url = (data) => Buffer.from(data).toString('base64url');

function run(words, input = '') {
  const made = spawnSync(program, words, { input, encoding: 'utf8', maxBuffer: 1 << 24 });
  if (made.status !== 0) throw new Error(`${words.join(' ')}: exit ${made.status}: ${made.stderr}`);
  return made.stdout;
}

// The same numbers in each run.
let state = 20261122;
function below(limit) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * limit);
}
function sample(list, size) {
  const rest = [...list];
  return Array.from({ length: size }, () => rest.splice(below(rest.length), 1)[0]);
}

const scratch = mkdtempSync(join(tmpdir(), 'subtoken-jose-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
const data = join(scratch, 'data');
const secrets = join(data, 'secrets');

function ring() {
  return Object.fromEntries(readFileSync(secrets, 'utf8').trim().split('\n').map((line) => {
    const [kid, secret] = line.split(':');
    return [kid, Buffer.from(secret, 'base64url')];
  }));
}

// The claims, or null. Held to what our verifier holds tokens to.
async function joseReads(token, secret) {
  try {
    const read = await jose.jwtVerify(token, secret, {
      algorithms: ['HS256'],
      clockTolerance: 60,
      maxTokenAge: '365d',
      requiredClaims: ['sub', 'iat', 'exp'],
    });
    if (read.protectedHeader.typ !== undefined && read.protectedHeader.typ !== 'JWT') return null;
    return read.payload;
  } catch (error) {
    if (error instanceof jose.errors.JOSEError || error instanceof TypeError) return null;
    throw error;
  }
}

function subtokenReads(lines) {
  const out = run(['verify', '--secrets', secrets, '--no-revocations', '--jsonl'],
    lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const answers = out.trim().split('\n').map((line) => JSON.parse(line));
  if (answers.length !== lines.length) throw new Error('lines are missing');
  return answers;
}

async function oursToThem(key) {
  const wrong = [];
  for (let i = 0; i < 40; i += 1) {
    const permissions = sample(permissionsKnown, below(7));
    const urls = sample(urlsKnown, below(4));
    const exp = now() + 100 + below(300 * 86400);
    const words = ['issue', '--data', data, '--permissions', permissions.join(','), '--expire',
      new Date(exp * 1000).toISOString()];
    if (urls.length > 0) words.push('--urls', urls.join(','));
    const token = run(words, `${key}\n`).trim();
    const claims = await joseReads(token, ring()[jose.decodeProtectedHeader(token).kid ?? '']);
    const want = { sub: claims?.sub, iat: claims?.iat, exp, permissions };
    if (urls.length > 0) want.urls = urls;
    // As text, so that the order counts.
    if (JSON.stringify(claims) !== JSON.stringify(want) || Math.abs(claims.iat - now()) > 5) {
      wrong.push([words, token, claims]);
    }
  }
  return wrong;
}

function randomClaims() {
  const claims = {
    permissions: sample(permissionsKnown, below(7)),
    exp: now() + 30 + below(10 ** 6),
    iat: now() - below(1000),
    sub: Array.from({ length: 1 + below(128) }, () => 'abcXYZ019_-'[below(11)]).join(''),
  };
  if (below(5) < 2) claims.urls = sample(urlsKnown, 1 + below(6));
  if (below(5) === 0) claims.nbf = claims.iat;
  if (below(5) === 0) claims.iss = 'https://example.com/é';
  if (below(5) === 0) claims['x-😀'] = { any: [1.5, null, true, '\\"\n\u2028'] };
  return claims;
}

const sign = (claims, secret, header = {}) => new jose.SignJWT(claims)
  .setProtectedHeader({ alg: 'HS256', typ: 'JWT', ...header }).sign(secret);

async function theirsToUs(secret) {
  const lines = [];
  const all = [];
  for (let i = 0; i < 400; i += 1) {
    const claims = randomClaims();
    const line = { token: await sign(claims, secret), require: claims.permissions };
    if (claims.urls) {
      const [path, method] = claims.urls[0].split(':').reverse();
      line.method = method ?? 'GET';
      line.url = `${path.replace('*', 'x/y')}?q=1`;
    }
    lines.push(line);
    all.push(claims);
  }
  const answers = subtokenReads(lines);
  const wrong = [];
  for (const [i, answer] of answers.entries()) {
    const read = await joseReads(lines[i].token, secret);
    if (answer.ok !== true || JSON.stringify(read) !== JSON.stringify(all[i])) {
      wrong.push([all[i], answer]);
    }
  }
  return wrong;
}

// Parts that jose would not write.
function signed(header, payload, secret, hash = 'sha256') {
  const text = `${base64url(header)}.${base64url(payload)}`;
  return `${text}.${createHmac(hash, secret).update(text).digest('base64url')}`;
}

async function wrongTokens(secret) {
  const good = { sub: 's', iat: now(), exp: now() + 600, permissions: ['account'] };
  const text = JSON.stringify(good);
  const header = '{"alg":"HS256","typ":"JWT"}';
  const token = await sign(good, secret);
  const [head, body, mac] = token.split('.');
  const made = (changes) => sign({ ...good, ...changes }, secret);
  const other = base64url(JSON.stringify({ ...good, permissions: ['account', 'admin'] }));
  const list = [
    ['alg none, no signature', new jose.UnsecuredJWT(good).encode()],
    ['alg none, the old signature', `${base64url('{"alg":"none"}')}.${body}.${mac}`],
    ['alg None', signed('{"alg":"None"}', text, secret)],
    ['no alg', signed('{}', text, secret)],
    ['alg null', signed('{"alg":null}', text, secret)],
    ['alg hs256', signed('{"alg":"hs256"}', text, secret)],
    ['alg of another kind', signed('{"alg":"RS256"}', text, secret)],
    ['HS384', await sign(good, secret, { alg: 'HS384' })],
    ['HS512', await sign(good, Buffer.concat([secret, secret]), { alg: 'HS512' })],
    ['HS256 with the MAC of SHA-512', signed(header, text, secret, 'sha512')],
    ['typ of another kind', await sign(good, secret, { typ: 'at+jwt' })],
    ['crit', signed('{"alg":"HS256","crit":["exp"],"exp":1}', text, secret)],
    ['crit, empty', signed('{"alg":"HS256","crit":[]}', text, secret)],
    ['b64', signed('{"alg":"HS256","b64":false,"crit":["b64"]}', text, secret)],
    ['another secret', await sign(good, Buffer.from(secret).reverse())],
    ['expired', await made({ iat: now() - 1000, exp: now() - 61 })],
    ['iat ahead', await made({ iat: now() + 90 })],
    ['nbf ahead', await made({ nbf: now() + 90 })],
    ['older than the greatest life', await made({ iat: now() - 366 * 86400, exp: now() + 600 })],
    ['no exp', await made({ exp: undefined })],
    ['no iat', await made({ iat: undefined })],
    ['no sub', await made({ sub: undefined })],
    ['exp is text', signed(header, JSON.stringify({ ...good, exp: 'soon' }), secret)],
    ['exp is null', signed(header, JSON.stringify({ ...good, exp: null }), secret)],
    ['iat is text', signed(header, JSON.stringify({ ...good, iat: 'now' }), secret)],
    ['nbf is text', signed(header, JSON.stringify({ ...good, nbf: 'now' }), secret)],
    ['claims are a list', signed(header, '[]', secret)],
    ['claims are text', signed(header, '"x"', secret)],
    ['claims are no JSON', signed(header, text.slice(0, -1), secret)],
    ['header is no JSON', signed(header.slice(0, -1), text, secret)],
    ['header is a list', signed('[]', text, secret)],
    ['payload exchanged', `${head}.${other}.${mac}`],
    ['payload left out', `${head}..${mac}`],
    ['signature left out', `${head}.${body}.`],
    ['two parts', `${head}.${body}`],
    ['four parts', `${token}.${mac}`],
    ['nothing', ''],
    ['only dots', '..'],
    ['signature cut', token.slice(0, -4)],
    ['signature longer', `${token}AAAA`],
  ];
  for (let at = 0; at < token.length - 1; at += 7) {
    if (token[at] === '.') continue;
    list.push([`character ${at} exchanged`,
      token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1)]);
  }
  return list;
}

async function refusedByBoth(secret) {
  const wrong = await wrongTokens(secret);
  const answers = subtokenReads(wrong.map(([, token]) => ({ token })));
  const bad = [];
  for (const [i, [name, token]] of wrong.entries()) {
    const ours = answers[i].ok === false && [400, 401].includes(answers[i].status);
    if (!ours || await joseReads(token, secret) !== null) bad.push([name, answers[i]]);
  }
  return [wrong.length, bad];
}

const { key } = JSON.parse(run(['key', 'create', '--data', data, '--name', 'oracle',
  '--permissions', permissionsKnown.join(','), '--json']));
let wrong = await oursToThem(key);
tap(wrong.length === 0, '40 tokens of ours are read with the claims asked for', wrong.slice(0, 2));
const secret = ring()[''];
wrong = await theirsToUs(secret);
tap(wrong.length === 0, '400 tokens of theirs are accepted', wrong.slice(0, 2));
const [tried, passed] = await refusedByBoth(secret);
tap(passed.length === 0, `${tried} wrong tokens are refused by both`, passed);
run(['secret', 'rotate', '--data', data]);
const kid = Object.keys(ring()).find((name) => name !== '');
wrong = await oursToThem(key);
tap(wrong.length === 0, 'and after a rotation, under its kid', wrong.slice(0, 2));
const token = run(['issue', '--data', data, '--permissions', 'account'], key).trim();
tap(jose.decodeProtectedHeader(token).kid === kid, 'which the header names', token);
const [theirs, stolen] = subtokenReads([
  { token: await sign({ ...randomClaims(), urls: undefined }, ring()[kid], { kid }) },
  { token: await sign({ ...randomClaims(), urls: undefined }, secret, { kid }) }]);
tap(theirs.ok === true, 'theirs with a kid is accepted', theirs);
tap(stolen.reason === 'mac', 'but not one of another secret under that kid', stolen);
plan();
