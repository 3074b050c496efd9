// The library in WebAssembly, in Node: every vector and the command line's verdicts, what is kept in
// its memory and what is wiped, and what hostile arguments and a trap do.
//
// usage: node library.mjs PROGRAM
import { spawnSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { end, here, packageDir, plan, program, same, scratch, tap } from './fixture.mjs';
import { changesOf, heartbeatOf, snapshotOf } from './feed_format.mjs';

// The instance that the package makes is seen here, and some of its calls can be made to fail.
let memory;
let failing = null;
const RealInstance = WebAssembly.Instance;
WebAssembly.Instance = function Instance(module) {
  const { exports } = new RealInstance(module);
  memory = exports.memory;
  const seen = { ...exports };
  seen.verify = (...words) => (failing !== null ? failing() : exports.verify(...words));
  return { exports: seen };
};
Object.setPrototypeOf(WebAssembly.Instance, RealInstance);

const S = await import(join(packageDir, 'index.node.js'));
const { Feed, Policy, Ring, SubtokenError, Verifier } = S;
setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc');

const encode = (data) => Buffer.from(data).toString('base64url');
const HEADER = '{"alg":"HS256","typ":"JWT"}';

function sign(payload, secret, header = HEADER) {
  const text = `${encode(header)}.${encode(typeof payload === 'string' ? payload : JSON.stringify(payload))}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

// The error that is thrown, or null.
function thrown(f) {
  try {
    f();
    return null;
  } catch (error) {
    return error;
  }
}

let seed = 13;
function below(n) {
  seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
  return (seed >>> 8) % n;
}

const NOW = 1700000000;
const SECRET = Buffer.from('00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f', 'hex');
const RING = `:${encode(SECRET)}\n`;
const CLAIMS = { sub: 'parent', iat: NOW - 100, exp: NOW + 1000, permissions: ['account', 'wallet'] };
const GOOD = sign(CLAIMS, SECRET);
const request = { method: 'GET', target: '/v2/account', needs: ['account'], now: NOW };

function verifierOf(more = {}) {
  return new Verifier({ ring: more.ring ?? Ring.parse(RING), withoutRevocations: true, ...more });
}

// ---- the vectors ----

const vectors = (name) => JSON.parse(readFileSync(join(here, '../vectors', name), 'utf8'));
const tokens = vectors('tokens.json');
const { env } = tokens;
const VECTOR_RING = [...Object.entries(env.keys), ['', env.keys[env.default_kid]]]
  .map(([kid, key]) => `${kid}:${encode(Buffer.from(key, 'hex'))}\n`).join('');

// As the characters of a string, each a byte: what no UTF-8 is, is no token in this form either.
const tokenOf = (row) => (row.generate ? row.generate.text.repeat(row.generate.count)
  : row.token_b64 ? Buffer.from(row.token_b64, 'base64').toString('latin1') : row.token);

function subOf(token) {
  try {
    return S.inspect(token).claims.sub;
  } catch {
    return null;
  }
}

// Where the store is asked, a sub that it does not know is refused: here all such are listed.
function vectorFeed(ring) {
  const subs = new Set(tokens.cases.map((row) => subOf(tokenOf(row)))
    .filter((sub) => sub !== null && env.parents[sub] !== 'active'));
  const key = Buffer.from(env.keys.k1, 'hex');
  const snapshot = snapshotOf({ subs: [...subs], sequence: 1n, made: env.now, kid: 'k1', key });
  const feed = new Feed(ring);
  tap(feed.take(heartbeatOf({ snapshot, sequence: 1n, time: env.now, kid: 'k1', key }), snapshot, false, env.now, 0)
    === 'ok', 'a snapshot that this test has written is accepted', subs.size);
  return feed;
}

function vectorWrong(ring, feed, cache) {
  const wrong = [];
  for (const row of tokens.cases) {
    // The data is of one time: a token that is asked about at another needs none.
    const revocations = row.now === undefined ? { revocations: feed } : { withoutRevocations: true };
    const verifier = new Verifier({ ring, ...revocations, leeway: env.skew, maxLife: env.max_ttl,
      iss: row.need_issuer, aud: row.need_audience, cache });
    const needs = row.need_permission === null ? [] : [row.need_permission ?? env.default_need_permission];
    for (let i = 0; i < 2; i += 1) {
      const verdict = verifier.verify(tokenOf(row), { method: 'GET', target: row.request ?? env.default_request, needs,
        now: row.now ?? env.now, monotonic: 0 });
      const named = [row.reason, ...row.reasons ?? [], row.id === 'claims/urls-star-mid' ? 'url' : ''];
      if (verdict.ok !== (row.expect === 'accept') || !named.includes(verdict.result)) {
        wrong.push([row.id, verdict.result, row.reason]);
      }
      if (verdict.ok !== (verdict.claims !== null)) wrong.push([row.id, verdict]);
    }
    verifier.free();
  }
  return wrong;
}

const vectorRing = Ring.parse(VECTOR_RING);
const feed = vectorFeed(vectorRing);
for (const cache of [0, 65536]) {
  same(vectorWrong(vectorRing, feed, cache), [], `all ${tokens.cases.length} tokens, ${cache} bytes of cache`);
}

function urlWrong(row) {
  const fault = (f, ...words) => thrown(() => f(...words))?.fault ?? 'none';
  if (row.verdict === 'badlist') {
    const bad = row.entries.length < 1 || row.entries.length > 64 ? 'count'
      : row.entries.map((entry) => fault(S.urlCanonical, entry)).find((name) => name !== 'none');
    return bad === row.reason ? null : bad;
  }
  const results = (row.entries ?? ['/*']).map((entry) => S.urlAllows(entry, 'GET', row.target));
  const result = results.find((name) => name !== 'url') ?? 'url';
  const want = { allow: 'ok', deny: 'url', reject: 'bad_target' }[row.verdict];
  const wanted = row.entries === null && row.verdict === 'allow' ? result : want; // a star does not cover /
  return result === wanted && fault(S.targetPath, row.target) === (row.reason ?? 'none') ? null : result;
}
const urls = vectors('url-match.json').cases;
same(urls.map((row) => [row.id, urlWrong(row)]).filter(([, wrong]) => wrong !== null), [], `all ${urls.length} targets`);

const answers = vectors('jws-hs256-known-answers.json').cases.filter((row) => row.key_b64url);
same(answers.map((row) => thrown(() => Ring.parse(`:${row.key_b64url}\n`))?.code), answers.map(() => 'weak_secret'),
  'secrets that are printed in standards are refused');

// ---- every mutation of a token, with a cache that has it ----

function* mutations(base) {
  for (let i = 0; i < base.length; i += 1) {
    const [head, tail] = [base.slice(0, i), base.slice(i + 1)];
    for (let c = 0; c < 256; c += 1) {
      const other = String.fromCharCode(c);
      if (other !== base[i]) yield head + other + tail;
      yield head + other + base.slice(i);
    }
    yield head + tail;
    yield head;
  }
}
{
  const verifier = new Verifier({ ring: vectorRing, withoutRevocations: true });
  const { base } = tokens.mutation;
  const asked = { ...request, target: env.default_request, now: env.now };
  let [made, accepted, lost] = [0, 0, 0];
  for (const mutant of mutations(base)) {
    if (made % 64 === 0 && !verifier.verify(base, asked).ok) lost += 1;
    made += 1;
    if (verifier.verify(mutant, asked).ok) accepted += 1;
  }
  same([accepted, lost], [0, 0], `none of ${made} mutations of a cached token is accepted`);
}

// ---- the faster loops, and plain C ----

{
  const fast = Ring.parse(RING);
  const plain = Ring.parse(RING);
  same([fast.instructions(), plain.instructions(0)], [3, 0], 'the faster loops are used, but where a test says so');
  const both = [fast, plain].map((ring) => new Verifier({ ring, withoutRevocations: true, cache: 0 }));
  const alphabet = 'abcXYZ019_-/.*%2F :;"\\é€😀\u0000\u001f\u007f';
  const anyText = (most) => Array.from({ length: below(most) }, () => [...alphabet][below([...alphabet].length)]).join('');
  const text = (most) => Array.from({ length: below(most) }, () => 'abcXYZ019_-'[below(11)]).join('');
  const wrong = [];
  let good = 0;
  for (let i = 0; i < 6000; i += 1) {
    const claims = { ...CLAIMS, sub: `s${text(120)}`, permissions: [text(64) || 'a', `a${text(30)}b`] };
    if (below(2) === 0) claims.urls = Array.from({ length: 1 + below(5) }, () => `/${text(20)}/${below(9) === 0 ? anyText(40) : text(40) || 'x'}`);
    if (below(20) === 0) claims.permissions.push(anyText(30));
    if (below(20) === 0) claims.x = anyText(60);
    let token = sign(claims, SECRET);
    if (below(4) === 0) token = token.slice(0, below(token.length)) + anyText(3) + token.slice(below(token.length));
    const asked = { ...request, needs: [], target: below(3) === 0 ? `/${anyText(60)}` : `/${text(20)}/${text(40) || 'x'}` };
    const [one, two] = both.map((verifier) => JSON.stringify(verifier.verify(token, asked)));
    if (one !== two) wrong.push([token, asked.target, one, two]);
    good += one.startsWith('{"ok":true') ? 1 : 0;
  }
  same(wrong.slice(0, 3), [], `6,000 random tokens and targets give the same as plain C, ${good} of them are good`);
  tap(good > 1000 && good < 5500, 'and they are of both kinds', good);
  const lengths = [];
  for (let i = 0; i < 300; i += 1) {
    const token = sign({ ...CLAIMS, x: 'y'.repeat(i) }, SECRET);
    if (both.some((verifier) => !verifier.verify(token, request).ok)) lengths.push(i);
  }
  same(lengths, [], 'SHA-256 of every length of a block');
}

// ---- the command line's verdicts ----

{
  const dir = scratch();
  writeFileSync(join(dir, 'secrets'), VECTOR_RING, { mode: 0o600 });
  const lines = [];
  for (const row of tokens.cases) {
    if (row.token_b64 || row.generate || row.need_issuer || row.need_audience) continue;
    lines.push({ token: row.token, method: 'GET', url: row.request ?? env.default_request,
      require: ['account'], at: row.now ?? env.now });
  }
  for (const { target } of urls) {
    if (!/^[\x20-\x7e]*$/.test(target)) continue;
    for (const method of ['GET', 'POST', 'get', '']) {
      lines.push({ token: env.golden, method: method || undefined, url: target, require: [], at: env.now });
    }
  }
  for (let i = 0; i < 1000; i += 1) {
    const from = below(env.golden.length);
    lines.push({ token: env.golden.slice(0, from) + env.golden.slice(from + below(3)), method: 'GET',
      url: ['/v2/account', '/v2/characters/My%20Cool%20Character', '/v2//account', '/v2/bank'][below(4)],
      require: [['account'], ['inventories', 'account'], ['wallet'], []][below(4)],
      at: env.now + [0, -1060, -1061, 3659, 3660, 10 ** 9][below(6)] });
  }
  const made = spawnSync(program, ['verify', '--jsonl', '--secrets', join(dir, 'secrets'), '--no-revocations'],
    { input: lines.map((line) => JSON.stringify(line)).join('\n'), encoding: 'utf8', maxBuffer: 1 << 26 });
  const theirs = made.stdout.trim().split('\n').map((line) => JSON.parse(line));
  const verifier = new Verifier({ ring: vectorRing, withoutRevocations: true });
  const wrong = [];
  for (const [i, line] of lines.entries()) {
    const { ok, result, status } = verifier.verify(line.token,
      { method: line.method, target: line.url, needs: line.require, now: line.at });
    const want = theirs[i];
    if (want === undefined || ok !== want.ok || (!ok && (result !== want.reason || status !== want.status))) {
      wrong.push([line, result, want]);
    }
  }
  same([theirs.length, wrong.slice(0, 3)], [lines.length, []], `${lines.length} verdicts are those of the command line`);
}

// ---- claims ----

{
  const verifier = verifierOf();
  const full = { sub: 'p_1-x', iat: NOW, exp: NOW + 60, nbf: NOW - 1, iss: 'https://example.com/é😀',
    permissions: ['account', 'a.b:c/d'], urls: ['/v2/account', 'GET:/v2/items/*'] };
  const signed = sign(full, SECRET);
  const first = verifier.verify(signed, request);
  same(first.claims, { sub: 'p_1-x', tid: signed.split('.')[2].slice(0, 16), via: [], aud: [], iss: full.iss, iat: NOW, exp: NOW + 60, nbf: NOW - 1, permissions: full.permissions,
    urls: full.urls }, 'claims, with text that is not ASCII');
  const kept = verifier.verify(GOOD, request);
  const other = verifier.verify(sign({ ...CLAIMS, sub: 'other' }, SECRET), request);
  S.inspect(sign({ ...CLAIMS, sub: 'inspected' }, SECRET));
  same([kept.claims.sub, other.claims.sub, kept.claims.sub], ['parent', 'other', 'parent'],
    'claims that are read late are those of their own token');
  same([kept.claims.urls, kept.claims.nbf, kept.claims.iss], [null, null, null], 'and what is not there is null');
  same(JSON.parse(JSON.stringify(verifier.verify(GOOD, { ...request, needs: ['bank'] }))),
    { ok: false, result: 'perm', status: 403, challenge: 'Bearer error="insufficient_scope"', claims: null },
    'a refusal has no claims');
  same(verifier.explain(GOOD, { ...request, needs: ['bank'] }), 'it needs bank, the token has [account, wallet]', 'why');
  same(S.explain(verifier, GOOD, { ...request, now: NOW + 3000 }).startsWith('exp '), true, 'and of an expired one');
  same(S.inspect(GOOD).header, HEADER, 'a token is inspected');
  same(thrown(() => S.inspect('x.y'))?.code, 'malformed', 'or is none');
}

// ---- the id of a token, what it was made from, and audiences ----

{
  const derive = (secret, audience) => {
    const prk = createHmac('sha256', Buffer.alloc(32)).update(secret).digest();
    return createHmac('sha256', prk).update(`subtoken aud 1:${audience}\x01`).digest();
  };
  const via = ['AAAAAAAAAAAAAAAA', 'abcdefghijklm_-0'];
  const bound = sign({ ...CLAIMS, aud: 'eu', via }, derive(SECRET, 'eu'), '{"alg":"HS256","typ":"JWT","kid":".eu"}');
  const named = sign({ ...CLAIMS, aud: ['eu', 'https://é.example'] }, SECRET);
  const result = (verifier, token) => verifier.verify(token, request).result;
  const [plain, eu, us] = [verifierOf(), verifierOf({ aud: 'eu' }), verifierOf({ aud: 'us' })];
  same([result(plain, bound), result(eu, bound), result(us, bound)], ['aud', 'ok', 'aud'], 'a token for an audience is for it alone');
  same([result(plain, named), result(eu, named), result(us, named), result(eu, GOOD)], ['ok', 'ok', 'aud', 'aud'],
    'and one that names audiences, too');
  const { claims } = eu.verify(bound, request);
  same([claims.tid, claims.via, claims.aud], [bound.split('.')[2].slice(0, 16), via, ['eu']], 'its id, what it was made from, and the audience');
  same(eu.verify(named, request).claims.aud, ['eu', 'https://é.example'], 'every audience');
  same(S.inspect(bound).claims.tid, claims.tid, 'inspected');
  const ring = Ring.parse(`.eu:${derive(SECRET, 'eu').toString('base64url')}\n`);
  const edge = verifierOf({ ring });
  same([ring.audience, Ring.parse(`:${SECRET.toString('base64url')}\n`).audience], ['eu', null], 'the audience of a ring');
  same([result(edge, bound), result(edge, GOOD), result(edge, named)], ['ok', 'kid', 'kid'], 'derived secrets take no other tokens');
  same(thrown(() => Ring.parse(`.eu:${derive(SECRET, 'eu').toString('base64url')}\n:${SECRET.toString('base64url')}\n`))?.code,
    'ring_mixed', 'and do not stand beside plain ones');
}

// ---- policy ----

{
  const policy = Policy.parse('{"default":"deny","preflight":true,"routes":[{"path":"/a","needs":["account"]},' +
    '{"path":"/b","methods":["POST"],"needs":["bank"]},{"path":"/c","public":true},{"path":"/r","json_rpc":true}]}');
  const verifier = verifierOf({ policy });
  const asked = (token, method, target, more) => {
    const { ok, result, status, challenge, claims } = verifier.verify(token, { method, target, now: NOW, ...more });
    return [ok, result, status, challenge, claims?.sub ?? null].join(' ');
  };
  same([asked(GOOD, 'GET', '/a'), asked(null, 'GET', '/a'), asked('', 'GET', '/a'), asked(GOOD, 'POST', '/b'), asked(null, 'GET', '/c'),
    asked(GOOD, 'GET', '/d'), asked(GOOD, 'GET', '/a/../b'), asked(GOOD, 'POST', '/r'), asked(GOOD, 'GET', '/a', { needs: ['x'] }),
    asked(null, 'OPTIONS', '/a', { preflight: true }), asked(GOOD.slice(1), 'GET', '/a')],
  ['true ok 200  parent', 'false malformed 401 Bearer ', 'false malformed 401 Bearer ',
    'false perm 403 Bearer error="insufficient_scope" ', 'true ok 200  ', 'false url 403 Bearer error="insufficient_scope" ',
    'false bad_target 400  ', 'false url 403 Bearer error="insufficient_scope" ', 'false perm 403 Bearer error="insufficient_scope" ',
    'true ok 200  ', 'false malformed 401 Bearer error="invalid_token" '], 'a policy decides');
  const error = thrown(() => Policy.parse('{"default":"deny",\n"routes":[]}'));
  same([error instanceof SubtokenError, error.code, error.line, error.column > 0], [true, 'malformed', 2, true],
    'an error in a policy has its place');
  const free = Policy.parse('{"default":"token"}');
  const kept = verifierOf({ policy: free });
  free.free();
  same(kept.verify(GOOD, { ...request, needs: [] }).ok, true, 'a policy lives as long as who uses it');
  same(thrown(() => verifierOf({ policy: free }))?.code, 'freed', 'but is given to nobody else');
}

// ---- the ring ----

// How often these bytes lie in the memory of the instance.
function found(data) {
  const all = Buffer.from(memory.buffer);
  let count = 0;
  for (let i = all.indexOf(data); i >= 0; i = all.indexOf(data, i + 1)) count += 1;
  return count;
}

{
  const secrets = Array.from({ length: 3 }, () => randomBytes(32));
  const text = secrets.map((secret, i) => `${i === 0 ? '' : `k${i}`}:${encode(secret)}\n`).join('');
  const ring = Ring.parse(text);
  const errors = [thrown(() => Ring.parse(`${text}bad line\n`)), thrown(() => Ring.parse('')), thrown(() => Ring.parse(7)),
    thrown(() => Ring.parse(`k:${'A'.repeat(70000)}`)), thrown(() => new Ring()), thrown(() => ring.replace(`:${'A'.repeat(43)}`))];
  same(errors.map((error) => [error.name, error.code, error.line ?? null]), [['SubtokenError', 'malformed', 4],
    ['SubtokenError', 'no_secret', 0], ['TypeError', 'invalid_argument', null], ['SubtokenError', 'too_large', null],
    ['TypeError', 'invalid_argument', null], ['SubtokenError', 'weak_secret', 1]], 'what is no ring, and where');
  tap(secrets.every((secret) => errors.every((error) => !String(error.stack).includes(encode(secret)))), 'errors say nothing secret');
  same(secrets.map((secret) => [found(encode(secret)), found(secret)]), secrets.map(() => [0, 0]),
    'the text of a ring is wiped when it was read');
  const bytes = new Uint8Array(Buffer.from(text));
  const same1 = Ring.parse(bytes);
  const [one, two] = [0, 1].map((i) => sign(CLAIMS, secrets[i], i === 0 ? HEADER : `{"alg":"HS256","typ":"JWT","kid":"k${i}"}`));
  const verifier = new Verifier({ ring, withoutRevocations: true });
  const verdicts = () => [one, two, one, two].map((token) => verifier.verify(token, request).result);
  same([verdicts(), new Verifier({ ring: same1, withoutRevocations: true, cache: 0 }).verify(one, request).ok], [['ok', 'ok', 'ok', 'ok'], true],
    'tokens of each secret, and a ring of bytes');
  const signature = Buffer.from(one.slice(-40));
  tap(found(signature) > 0, 'the cache has the token');
  ring.replace(`:${encode(secrets[1])}\n`);
  same(verdicts(), ['mac', 'kid', 'mac', 'kid'], 'a ring that has changed empties the cache');
  ring.replace(text);
  same(verdicts(), ['ok', 'ok', 'ok', 'ok'], 'and back');
  ring.free();
  ring.free();
  same(verdicts(), ['kid', 'kid', 'kid', 'kid'], 'without its secrets nothing is good');
  same(thrown(() => new Verifier({ ring, withoutRevocations: true }))?.code, 'freed', 'and nobody else gets it');
  verifier.free();
  verifier.free();
  same([thrown(() => verifier.verify(one, request))?.code, thrown(() => verifier.decide({}))?.code, found(signature)],
    ['freed', 'freed', 0], 'a verifier that was freed leaves no token');
  const used = Ring.parse(text);
  const others = [0, 1].map(() => new Verifier({ ring: used, withoutRevocations: true }));
  const before = others.map((each) => each.verify(one, request).ok);
  used[Symbol.dispose]();
  same([before, others.map((each) => each.verify(one, request).result)], [[true, true], ['kid', 'kid']], 'one that `using` has disposed of has no secret');
  for (const each of others) each[Symbol.dispose]();
  same([thrown(() => others[0].verify(one, request))?.code, found(signature)], ['freed', 0], 'and a verifier leaves no token');
}

// ---- revocation data ----

{
  const key = SECRET;
  const ring = Ring.parse(RING);
  const own = new Feed(ring, { maxAge: 300 });
  const snapshot = (sequence, subs) => snapshotOf({ subs, sequence, made: NOW, kid: '', key });
  const beat = (bytes, sequence, time) => heartbeatOf({ snapshot: bytes, sequence, time, kid: '', key });
  const verifier = new Verifier({ ring, revocations: own });
  const result = (now = NOW, monotonic = 0) => verifier.verify(GOOD, { ...request, now, monotonic }).result;
  same([result(), own.sequence, own.age(NOW, 0), own.check(NOW, 0)], ['feed_stale', '0', Infinity, 'absent'], 'no data decides nothing');
  const [first, second] = [snapshot(5n, ['x', 'y']), snapshot(9007199254740993n, ['y', 'parent'])];
  const bad = Buffer.from(first);
  bad[first.length - 1] ^= 1;
  same([own.take(beat(first, 5n, NOW), bad, false, NOW, 0), own.take(beat(first, 5n, NOW), null, false, NOW, 0),
    own.take('x', first, false, NOW, 0), own.take(beat(first, 6n, NOW), first, false, NOW, 0),
    own.take(beat(first, 5n, NOW + 61), first, false, NOW, 0), own.take(beat(first, 5n, NOW), first.subarray(9), false, NOW, 0)],
  ['mac', 'absent', 'length', 'pair', 'future', 'magic'], 'what is not to be believed');
  same([own.take(beat(first, 5n, NOW), first, false, NOW, 0), result(), result(NOW, 300), result(NOW, 301), result(NOW + 301), own.count],
    ['ok', 'ok', 'ok', 'feed_stale', 'feed_stale', 2], 'a snapshot, and its age');
  const changes = changesOf({ since: 5n, from: ['x', 'y'], to: ['y', 'parent'], snapshot: second });
  same([own.take(beat(second, 9007199254740993n, NOW + 1), changes, true, NOW + 1, 1), own.sequence, result(NOW + 1, 1), own.time],
    ['ok', '9007199254740993', 'revoked', NOW + 1], 'changes of it; the cached token is revoked');
  same([own.take(beat(first, 5n, NOW + 2), first, false, NOW + 2, 2), own.take(beat(second, 9007199254740993n, NOW), null, false, NOW + 2, 2),
    own.take(beat(second, 9007199254740993n, NOW + 2), null, false, NOW + 2, 2)], ['rollback', 'replay', 'ok'], 'and only forwards');
  const size = memory.buffer.byteLength;
  const many = snapshot(9007199254740994n, Array.from({ length: 150000 }, (_, i) => `sub${i}`));
  same([await own.takeInSteps(beat(many, 9007199254740994n, NOW + 3), many, false, NOW + 3, 3), own.count, result(NOW + 3, 3)],
    ['ok', 150000, 'ok'], '150,000 in steps');
  tap(memory.buffer.byteLength > size, 'for which the memory has grown', [size, memory.buffer.byteLength]);
  const grown = memory.buffer.byteLength;
  for (let i = 4; i < 12; i += 1) own.take(beat(many, 9007199254740994n, NOW + i), many, false, NOW + i, i);
  tap(memory.buffer.byteLength < grown + 4 * many.length, 'once', [grown, memory.buffer.byteLength]);
  own.free();
  same(result(NOW + 12, 12), 'ok', 'it lives as long as a verifier uses it');
}

// ---- many, and for long ----

const settle = () => new Promise((done) => { setTimeout(done, 20); });
{
  const size = memory.buffer.byteLength;
  const ring = Ring.parse(RING);
  for (let i = 0; i < 2000; i += 1) verifierOf({ ring }).free();
  tap(memory.buffer.byteLength < size + 4 * 1048576, '2,000 verifiers one after the other', [size, memory.buffer.byteLength]);
  for (let i = 0; i < 40; i += 1) {
    for (let k = 0; k < 20; k += 1) verifierOf().verify(GOOD, request);
    gc();
    await settle();
  }
  tap(memory.buffer.byteLength < size + 100 * 1048576, '800 that are left to the garbage collector',
    [size, memory.buffer.byteLength]);
  const verifiers = Array.from({ length: 40 }, () => verifierOf({ cache: 65536 }));
  same(verifiers.filter((verifier) => !verifier.verify(GOOD, request).ok).length, 0, '40 at a time');
}
{
  const verifier = verifierOf();
  const varied = Array.from({ length: 500 }, (_, i) => sign({ ...CLAIMS, sub: `s${i}` }, SECRET));
  const round = () => {
    for (let i = 0; i < 100000; i += 1) {
      const verdict = verifier.verify(varied[i % 500], request);
      if (!verdict.ok || verdict.claims.permissions.length !== 2) throw new Error(verdict.result);
      if (i % 3 === 0 && verifier.verify(`${varied[i % 500]}x`, request).ok) throw new Error('accepted');
    }
    gc();
    return [memory.buffer.byteLength, process.memoryUsage().heapUsed];
  };
  const [before, after] = [round(), round()];
  tap(before[0] === after[0] && after[1] < before[1] + 2 * 1048576, '100,000 verifications leave nothing behind', [before, after]);
}

// ---- what no caller should send ----

{
  const policy = Policy.parse('{"default":"token","routes":[{"path":"/r","json_rpc":true}]}');
  const verifiers = [verifierOf(), verifierOf({ policy }), verifierOf({ cache: 0 })];
  const long = 'A'.repeat(3000000);
  const strings = ['', '.', '..', '...', long, `${long}.${long}.${long}`, '\ud800', `${GOOD}\udfff`, `\ud83d${GOOD}`, '😀'.repeat(5000),
    'é'.repeat(8192), '\0', GOOD.replace('.', '\u212e'), `${GOOD}\0`, `${'😀'.repeat(4096)}.a.b`, GOOD.replaceAll('A', '\u0141'), ' '.repeat(8193),
    '%', '/%', '/\ud800', `/${long}`, `/a?${long}`, '/%00', '*', 'http://x/', '/a#b', '/a;b', '//', '/./'];
  const passed = [];
  for (const verifier of verifiers) {
    for (const text of strings) {
      const verdicts = [verifier.verify(text, request), verifier.verify(GOOD, { ...request, method: text, needs: [text, text] }),
        verifier.verify(GOOD, { ...request, needs: new Array(200).fill(0).map((_, i) => `${text.slice(0, 70)}${i}`) })];
      const decided = [verifier.decide({ method: text, target: '/v2/account', authorization: text, now: NOW }, { mayAsk: true }),
        verifier.decide({ method: 'GET', target: '/v2/account', authorization: Array(40).fill(`Bearer ${text}`), now: NOW }),
        verifier.decide({ method: 'GET', target: text, authorization: ['', text], xApiKey: [text, text], now: NOW })];
      if (verdicts.some((verdict) => verdict.ok) || decided.some((reply) => reply.step === 'allow')) passed.push(text.slice(0, 50));
      verifier.explain(text, { ...request, target: text, method: text });
      S.stripQuery(text);
      S.isIdentityHeader(text);
      for (const f of [S.inspect, S.targetPath, S.urlCanonical]) {
        const error = thrown(() => f(text));
        if (error !== null && !(error instanceof SubtokenError)) passed.push([f.name, String(error)]);
      }
      S.urlAllows(text, text, text);
      S.urlCovers(text, text);
    }
  }
  same(passed, [], `${strings.length} strings are refused wherever they stand`);
  const others = [undefined, null, 7, {}, [], true, Symbol('x'), 1n, () => 1, new String(GOOD), Buffer.from(GOOD)];
  const [verifier] = verifiers;
  const own = new Feed(Ring.parse(RING));
  const fed = new Verifier({ ring: Ring.parse(RING), revocations: own });
  const odd = [];
  for (const value of others) {
    for (const f of [() => verifier.verify(value, request), () => verifier.verify(GOOD, { ...request, target: value }),
      () => verifier.verify(GOOD, { ...request, needs: [value] }), () => verifier.verify(GOOD, { ...request, needs: value }),
      () => verifier.verify(GOOD, { ...request, method: value }), () => verifier.verify(GOOD, { ...request, now: value }),
      () => verifier.decide({ method: 'GET', target: '/x', authorization: [value] }),
      () => verifier.decide({ method: 'GET', target: '/x', xApiKey: value }), () => S.inspect(value), () => Ring.parse(value),
      () => Policy.parse(value), () => S.targetPath(value), () => S.urlAllows(value, value, value), () => S.stripQuery(value),
      () => new Verifier(value), () => new Verifier({ ring: value, withoutRevocations: true }), () => new Feed(value),
      () => fed.verify(GOOD, { ...request, monotonic: value }), () => fed.explain(GOOD, { ...request, monotonic: value }),
      () => fed.decide({ method: 'GET', target: '/x', monotonic: value }), () => own.take('x', null, false, value, 0),
      () => own.take('x', null, false, 0, value), () => own.age(value, 0), () => own.check(0, value)]) {
      const error = thrown(f);
      if (error !== null && !(error instanceof TypeError) && !(error instanceof SubtokenError)) odd.push([String(value), String(error)]);
    }
    if (value !== undefined && value !== null && verifier.verify('x', request).ok) odd.push(value);
  }
  same(odd, [], 'what is no string is a TypeError');
  same([verifier.verify(GOOD, request).ok, fed.verify(GOOD, request).result], [true, 'feed_stale'], 'after which all is as it was');
  same([-1, NaN, Infinity, -Infinity, 1e300, 2 ** 53].map((now) => verifier.verify(GOOD, { ...request, now }).ok),
    [false, false, false, false, false, false], 'a time that is none');
  same([thrown(() => new Verifier({ ring: Ring.parse(RING) })) instanceof TypeError,
    thrown(() => verifierOf({ leeway: 3601 })) instanceof RangeError, thrown(() => verifierOf({ cache: -1 })) instanceof RangeError,
    thrown(() => verifierOf({ iss: '\ud800' })) instanceof TypeError, thrown(() => verifierOf({ aud: 7 })) instanceof TypeError,
    verifierOf({ maxLife: -1 }).verify(GOOD, request).ok], [true, true, true, true, true, false], 'options that are none');
  const many = Array.from({ length: 70 }, (_, i) => `p${i}`);
  same(verifier.verify(sign({ ...CLAIMS, permissions: many.slice(0, 64) }, SECRET), { ...request, needs: many }).result, 'perm', '70 needs');
  same(verifier.verify(sign({ ...CLAIMS, permissions: many.slice(0, 64) }, SECRET), { ...request, needs: many.slice(0, 64) }).result, 'ok', '64 needs');
  const decided = (headers, forms) => verifier.decide({ method: 'GET', target: '/v2/account', now: NOW, ...headers }, { forms }).name;
  const fifty = Array.from({ length: 50 }, (_, i) => `x.y.z${i}`);
  const large = Array.from({ length: 30 }, (_, i) => `Bearer ${'x'.repeat(8000)}.y.z${i}`);
  same([decided({ authorization: fifty.map((text) => `Bearer ${text}`) }), decided({ xApiKey: fifty }), decided({ authorization: large }),
    decided({ authorization: fifty, xApiKey: GOOD }, ['x-api-key']), decided({ authorization: `Bearer ${GOOD}`, xApiKey: fifty }, ['bearer']),
    decided({ authorization: large, xApiKey: [GOOD, ` ${GOOD}`] }, ['x-api-key']), decided({ authorization: [`Bearer ${GOOD}`], xApiKey: GOOD })],
  ['auth_ambiguous', 'auth_ambiguous', 'auth_ambiguous', 'ok', 'ok', 'ok', 'ok'], 'more headers than anybody sends');
  const needs = ['account'];
  const first = verifier.verify(GOOD, { ...request, needs }).result;
  needs[0] = 'bank';
  same([first, verifier.verify(GOOD, { ...request, needs }).result], ['ok', 'perm'], 'needs that change in their array');
}

// ---- JavaScript's stack, and a trap ----

{
  const verifier = verifierOf();
  verifier.verify(GOOD, request);
  let [most, wrong] = [0, 0];
  const deep = (n) => {
    most = Math.max(most, n);
    if (!verifier.verify(n % 2 === 0 ? GOOD : sign({ ...CLAIMS, sub: `s${n % 50}` }, SECRET), request).ok) wrong += 1;
    deep(n + 1);
  };
  const errors = Array.from({ length: 8 }, () => thrown(() => deep(0))?.name);
  same([errors, wrong, most > 100, verifier.verify(GOOD, request).ok, verifier.verify(GOOD.slice(0, -4), request).result],
    [Array(8).fill('RangeError'), 0, true, true, 'malformed'], 'a stack that is exhausted changes no verdict');
}
{
  // The decision by a body is about the request that lies in the memory: nothing else may have taken its place.
  const policy = Policy.parse('{"default":"deny","routes":[{"path":"/strict","mcp":{"tools/call x":["admin"]}},{"path":"/lax","mcp":{"tools/list":["docs"]}}]}');
  const verifier = verifierOf({ policy });
  const call = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}');
  const asked = { method: 'POST', target: '/strict', authorization: `Bearer ${GOOD}`, hasBody: true, now: NOW };
  const after = (between) => {
    if (verifier.decide(asked, { readsBodies: true }).step !== 'body') return 'no body';
    between();
    try {
      return verifier.decideBody(call).status;
    } catch (error) {
      return error.code;
    }
  };
  const between = [() => {}, () => S.isIdentityHeader('x-subtoken-sub'), () => S.urlCanonical('/lax'), () => S.stripQuery('/lax'),
    () => S.stripQuery('/lax?a'), () => S.targetPath('/lax'), () => S.urlAllows('/lax', 'PURGE', '/lax'), () => S.urlCovers('/lax', '/lax'),
    () => verifierOf({ aud: '/lax' }), () => verifier.verify(GOOD, { ...request, target: '/lax' }), () => S.inspect(GOOD),
    () => verifier.metadata({ ...asked, target: '/lax' }, {}), () => verifier.decide({ ...asked, target: '/lax' }, { readsBodies: true }).step];
  same(between.map(after), [403, 403, 403, 403, ...Array(8).fill('invalid_argument'), 200], 'a body decides about the request before it, or not at all');
}
{
  const npm = spawnSync('npm', ['pack', '--dry-run', '--json'], { cwd: packageDir, encoding: 'utf8' });
  const [{ name, version, files }] = JSON.parse(npm.stdout);
  const header = readFileSync(join(here, '../../include/subtoken/common.h'), 'utf8');
  same([name, header.includes(`SUBTOKEN_VERSION "${version}"`), S.version() === version], ['subtoken', true, true], 'npm packs it, in the version of the library');
  const names = new Set(files.map(({ path }) => path));
  const { exports } = JSON.parse(readFileSync(join(packageDir, 'package.json'), 'utf8'));
  const targets = Object.values(exports).flatMap((to) => (typeof to === 'string' ? [to] : Object.values(to))).map((path) => path.slice(2));
  same(targets.filter((path) => !names.has(path)), [], 'all that it exports is in it');
  const inline = spawnSync(process.execPath, ['--input-type=module', '-e', `
    const { Ring, Verifier } = await import(${JSON.stringify(join(packageDir, 'index.inline.js'))});
    const verifier = new Verifier({ ring: Ring.parse(${JSON.stringify(RING)}), withoutRevocations: true });
    console.log(verifier.verify(${JSON.stringify(GOOD)}, ${JSON.stringify(request)}).result);`], { encoding: 'utf8' });
  same([inline.stdout, inline.stderr], ['ok\n', ''], 'and with the bytes inside');
}
{
  const verifier = verifierOf();
  const trap = new RealInstance(new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1,
    116, 0, 0, 10, 5, 1, 3, 0, 0, 11))).exports.t;
  failing = trap;
  const first = thrown(() => verifier.verify(GOOD, request));
  failing = null;
  same([first.code, ...[() => verifier.verify(GOOD, request), () => verifier.decide({ method: 'GET', target: '/' }), () => Ring.parse(RING),
    () => S.inspect(GOOD), () => S.refuse('url')].map((f) => thrown(f)?.code), verifier.free()],
  [...Array(6).fill('stopped'), undefined], 'after a trap every call says that the instance has stopped');
}
plan();
end();
