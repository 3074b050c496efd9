// Revocations of the npm package against a real server: what it asks, what it believes, and what
// becomes of answers that were changed, held back, repeated, or come from elsewhere.
//
// usage: node revocations.mjs PROGRAM
import { spawnSync } from 'node:child_process';
import http from 'node:http';
import { end, freePort, here, installPackages, plan, same, Server, sleep, tap, until } from './fixture.mjs';

installPackages();
const { Ring, Verifier } = await import('subtoken');
const { Revocations } = await import('subtoken/revocations');

const server = await Server.start();
const edgeKey = server.key('edge', 'revocations');
const ring = Ring.parse(server.ring);
// Some that are listed already: where there are few, the whole is shorter than what has changed.
for (let i = 0; i < 20; i += 1) server.delete(server.key(`gone ${i}`, 'account'));
const feedURL = `${server.address}/v2/revocations`;

// A Revocations whose requests go through `change`, and what it says.
function made(options = {}) {
  const said = [];
  const asked = [];
  const { change, ...others } = options;
  const revocations = new Revocations({
    ring,
    from: server.address,
    key: edgeKey,
    onEvent: ({ event, text }) => said.push(`${event}: ${text}`),
    fetch: async (url, init) => {
      const question = { url: new URL(url), headers: init.headers, init };
      asked.push(question);
      const response = change === undefined ? undefined : await change(question);
      if (response !== undefined) return response;
      question.response = await fetch(url, init);
      return question.response;
    },
    ...others,
  });
  const verifier = new Verifier({ ring, revocations });
  return { revocations, verifier, said, asked };
}

const result = (verifier, token) => verifier.verify(token, { method: 'GET', target: '/v2/account' }).result;

// An answer that can be given again, or changed.
async function recorded(response) {
  const body = response.status === 200 ? new Uint8Array(await response.arrayBuffer()) : null;
  const headers = Object.fromEntries(response.headers);
  return { status: response.status, headers, body };
}
const replayed = ({ status, headers, body }) => new Response(body, { status, headers });
const askPlain = (url, init) => fetch(url, init).then(recorded);

async function rounds() {
  const key = server.key('rounds', 'account');
  const token = server.issue(key, '--permissions', 'account');
  const { revocations, verifier, asked, said } = made();
  same(result(verifier, token), 'feed_stale', 'without data nothing is decided');
  same([revocations.age, revocations.usable], [Infinity, false],
    'there is no data at first');
  same(await revocations.refresh(), true, 'the first round gets the snapshot');
  same([asked.length, asked[0].url.search, asked[0].headers['if-none-match']], [1, '', undefined],
    'the first request asks for the whole');
  same(result(verifier, token), 'ok', 'a good token is good');
  await revocations.refresh();
  same([asked[1].response.status, asked[1].url.searchParams.get('since') === revocations.status.sequence,
    asked[1].headers['if-none-match'] === asked[0].response.headers.get('etag')], [304, true, true],
  'the next one says what is here, and gets 304');
  server.delete(key);
  await until(async () => { await revocations.refresh(); return result(verifier, token) === 'revoked'; });
  same(result(verifier, token), 'revoked', 'a deleted key ends its tokens');
  const changes = asked.filter(({ response }) => response.headers.get('content-type') === 'application/vnd.subtoken.changes');
  same(changes.length, 1, 'what has changed came as changes');
  tap(said.length === 2 && said.every((line) => /^pulled: sequence=\d+ entries=\d+$/.test(line)),
    'and is told once for each snapshot', said);
  tap(asked.every(({ init }) => init.redirect === 'manual'), 'no redirect is followed');
}

async function changed() {
  const key = server.key('changed', 'account');
  const token = server.issue(key, '--permissions', 'account');
  let way = () => undefined;
  const { revocations, verifier, said } = made({ change: (question) => way(question) });
  const old = await askPlain(feedURL, { headers: { authorization: `Bearer ${edgeKey}` } });
  await revocations.refresh();
  server.delete(key);
  await until(async () => { await revocations.refresh(); return result(verifier, token) === 'revoked'; });
  const { sequence } = revocations.status;
  const now = () => askPlain(feedURL, { headers: { authorization: `Bearer ${edgeKey}` } });
  const last = async (name, answer, event) => {
    way = () => undefined;
    await revocations.refresh(); // the same error twice is told once
    way = () => replayed(answer);
    said.length = 0;
    await revocations.refresh();
    same([result(verifier, token), revocations.status.sequence, said.map((line) => line.split(':')[0])],
      ['revoked', sequence, [event]], name);
  };
  await last('an older snapshot with its heartbeat is not used', old, 'feed_rollback');
  for (const at of [20, 70, 140, old.body.length - 1]) {
    const fresh = await now();
    fresh.body[at] ^= 1;
    await last(`a snapshot whose byte ${at} was changed is not used`, fresh, 'feed_bad');
  }
  const cut = await now();
  cut.body = cut.body.slice(0, -1);
  await last('one that is cut short is not used', cut, 'feed_bad');
  const beat = await now();
  const letters = beat.headers['subtoken-heartbeat'];
  beat.headers['subtoken-heartbeat'] = `${letters.slice(0, 100)}${letters[100] === 'A' ? 'B' : 'A'}${letters.slice(101)}`;
  await last('a heartbeat that was changed is not used', beat, 'feed_bad');
  const none = await now();
  delete none.headers['subtoken-heartbeat'];
  await last('an answer without a heartbeat is not used', none, 'feed_bad');
  const mixed = await now();
  await last('a snapshot with the heartbeat of another is not used',
    { ...old, headers: { ...old.headers, 'subtoken-heartbeat': mixed.headers['subtoken-heartbeat'] } }, 'feed_rollback');
  await last('a page of a proxy is not used', { status: 200, headers: { 'content-type': 'text/html' },
    body: new TextEncoder().encode('<p>welcome') }, 'feed_bad');
  await last('409 is another history', { status: 409, headers: {}, body: new TextEncoder().encode('{"text":"since: no\\n"}') },
    'feed_rollback');
  same(said[0], 'feed_rollback: the server answers 409: since: no?', 'whose text is told, without controls');
  await last('401 is told as such', { status: 401, headers: {}, body: null }, 'pull_refused');
  await last('a redirect is not followed', { status: 302, headers: { location: 'http://127.0.0.1:1/' }, body: null },
    'pull_failed');
  way = () => undefined;
  said.length = 0;
  await revocations.refresh();
  tap(said.length === 1 && said[0].startsWith('pulled: '), 'when the server is right again, so is the edge', said);
  // Changes that do not apply: the whole is asked for.
  const asked = [];
  way = async (question) => {
    asked.push(question.url.search.replace(/\d{5,}/, 'N'));
    if (question.url.searchParams.has('whole')) return undefined;
    const answer = await now();
    return new Response(new Uint8Array(300), { status: 200,
      headers: { ...answer.headers, 'content-type': 'application/vnd.subtoken.changes' } });
  };
  await revocations.refresh();
  same([asked, revocations.usable], [['?since=N', '?since=N&whole=1'], true], 'changes that do not apply make it ask for the whole');
}

async function withheld() {
  const key = server.key('withheld', 'account');
  const token = server.issue(key, '--permissions', 'account');
  let held = null;
  const { revocations, verifier, said } = made({
    maxAge: 6,
    change: () => (held === null ? undefined : replayed(held)),
  });
  await revocations.refresh();
  held = await askPlain(feedURL, { headers: { authorization: `Bearer ${edgeKey}` } });
  await revocations.refresh();
  same(result(verifier, token), 'ok', 'an answer may come twice');
  const took = await until(async () => {
    await revocations.refresh();
    return result(verifier, token) === 'feed_stale';
  });
  tap(took < 20, 'but what is given again and again is too old after maxAge', took);
  same([revocations.usable, verifier.verify(token, { method: 'GET', target: '/v2/account' }).status], [false, 503],
    'then a request is answered 503');
  held = null;
  await revocations.refresh();
  same(result(verifier, token), 'ok', 'and it is well again with the next heartbeat');
  tap(said.every((line) => /^pulled|^pull_failed: the server has vouched for nothing newer/.test(line)),
    'none of which is an error of another kind', said);
}

// The first server gives the same again and again, as a relay that is stuck.
async function stuck() {
  let held = null;
  const { revocations, said } = made({
    from: [server.address, `${server.address}/v2/revocations`],
    every: 0.1,
    change: async ({ init }) => {
      if (said.some((line) => line.startsWith('pull_failed'))) return undefined;
      held ??= await askPlain(feedURL, init);
      return replayed(held);
    },
  });
  const took = await until(async () => {
    await revocations.refresh();
    return said.length >= 3;
  });
  same([took < 30, revocations.usable, revocations.age < 4], [true, true, true], 'a server that vouches for nothing newer is left');
  same(said.map((line) => line.split(':')[0]), ['pulled', 'pull_failed', 'pulled'], 'and each is told once');
}

async function clocks() {
  const real = Date.now;
  const { revocations } = made();
  try {
    Date.now = () => real() - 100000;
    await revocations.refresh();
    same(revocations.usable, false, 'a heartbeat from the future is not taken');
    Date.now = real;
    await revocations.refresh();
    same(revocations.usable, true, 'with the right time it is');
    Date.now = () => real() - 50000;
    await revocations.refresh();
    same(revocations.usable, true, 'within the leeway too');
    Date.now = () => real() + 1000000;
    same([revocations.usable, revocations.age > 900], [false, true], 'a clock that is ahead makes it too old');
  } finally {
    Date.now = real;
  }
}

async function several() {
  const dead = await freePort();
  const { revocations, asked, said } = made({ from: [`http://127.0.0.1:${dead}`, server.address] });
  await revocations.refresh();
  await revocations.refresh();
  same(asked.map(({ url }) => Number(url.port) === dead), [true, false, false],
    'the next address is asked when one fails, and is stayed with');
  tap(said[0].startsWith(`pull_failed: http://127.0.0.1:${dead}/v2/revocations: `), 'the event names it', said);
}

async function addresses() {
  const refused = (options) => {
    try {
      made(options);
      return null;
    } catch (error) {
      return error instanceof TypeError ? error.message : error;
    }
  };
  tap(/https/.test(refused({ from: 'http://keys.example' })), 'http is for this machine alone');
  tap(refused({ from: 'http://keys.example', allowHttp: true }) === null, 'unless it is told');
  tap(/user or a password/.test(refused({ from: 'https://a:b@keys.example' })), 'no password in an address');
  tap(refused({ from: 'https://keys.example' }) === null, 'https to anywhere');
  tap(/URL/.test(refused({ from: 'keys.example' })), 'an address is a URL');
  tap(/key/.test(refused({ key: 'a b' })) && /key/.test(refused({ key: undefined })), 'a key is one text');
  tap(/ring/.test(refused({ ring: undefined })) && /maxAge/.test(refused({ maxAge: 0 })), 'a ring and an age');
  const { revocations, asked } = made({ from: `${server.address}/`, key: async () => `${edgeKey}\n` });
  same([await revocations.refresh(), asked[0].url.pathname], [true, '/v2/revocations'],
    'a key may come of a function, and the path may be left out');
}

async function sizes() {
  const { revocations, said } = made({ maxSize: 256 });
  await revocations.refresh();
  tap(!revocations.usable && /longer than 256 bytes/.test(said[0]), 'no more than maxSize is read', said);
}

async function forever() {
  const key = server.key('forever', 'account');
  const token = server.issue(key, '--permissions', 'account');
  const { revocations, verifier, asked } = made();
  same(await Promise.all([revocations.start(), revocations.start()]), [true, true], 'start() waits for the first round, whoever calls it');
  await until(() => asked.length >= 2);
  same(asked[1].url.searchParams.get('wait'), '1', 'the next ones are held back by the server');
  server.delete(key);
  const took = await until(() => result(verifier, token) === 'revoked');
  tap(took < 15, 'a deleted key ends its tokens within seconds', took);
  const before = asked.length;
  await sleep(1.5);
  tap(asked.length - before <= 6, 'it does not ask without end', asked.length - before);
  revocations.stop();
  await sleep(0.1);
  const after = asked.length;
  await sleep(1.3);
  same(asked.length, after, 'stop() ends it');
}

async function beforeTheServer() {
  const port = await freePort();
  const { revocations, said } = made({ from: `http://127.0.0.1:${port}`, every: 0.2 });
  same(await revocations.start(), false, 'start() does not throw when the server is away');
  // In front of the server, as a load balancer that comes up later.
  const front = http.createServer((request, response) => {
    http.get(`${server.address}${request.url}`, { headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
  }).listen(port, '127.0.0.1');
  const took = await until(() => revocations.usable);
  tap(took < 20, 'and it is well by itself when the server is there', took);
  same(said.map((line) => line.split(':')[0]), ['pull_failed', 'pulled'], 'each is told once');
  revocations.stop();
  front.close();
  front.closeAllConnections();
}

async function lazily() {
  let fails = false;
  let gate = null;
  const { revocations, asked } = made({
    change: async () => {
      if (fails) throw new TypeError('fetch failed');
      if (gate !== null) await gate;
      return undefined;
    },
  });
  const waits = [];
  const first = revocations.ready((promise) => waits.push(promise));
  const second = revocations.ready((promise) => waits.push(promise));
  tap(first instanceof Promise && second instanceof Promise, 'without start(), a request waits for the first data');
  await Promise.all([first, second]);
  same([asked.length, waits.length, revocations.usable], [1, 2, true], 'two requests share one question');
  await until(() => revocations.age >= 1);
  let open;
  gate = new Promise((done) => { open = done; });
  waits.length = 0;
  const due = revocations.ready((promise) => waits.push(promise));
  await sleep(0.02);
  tap(due === undefined && asked.length === 2 && waits.length === 1,
    'data that is due is asked for while the request goes on', [asked.length, waits.length]);
  open();
  gate = null;
  await Promise.all(waits);
  same(waits.length, 1, 'which waitUntil() lets end');
  fails = true;
  const before = asked.length;
  await until(() => revocations.age >= 1);
  await revocations.ready();
  await revocations.ready();
  await revocations.ready();
  tap(asked.length - before <= 2, 'a server that is away is not asked by each request', asked.length - before);
}

function endsByItself() {
  const code = `
    import { Ring } from 'subtoken';
    import { Revocations } from 'subtoken/revocations';
    const revocations = new Revocations({ ring: Ring.parse(process.env.RING), from: process.env.FROM, key: process.env.KEY, async onEvent() { throw new Error('x'); } });
    console.log(await revocations.start());`;
  const began = performance.now();
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', code], { cwd: here, encoding: 'utf8', timeout: 60000,
    env: { ...process.env, RING: server.ring, FROM: server.address, KEY: edgeKey } });
  const took = (performance.now() - began) / 1000;
  tap(child.stdout === 'true\n' && child.status === 0, 'a program with nothing else to do ends',
    [child.stdout, child.stderr, child.status, took]);
}

await rounds();
await changed();
await Promise.all([withheld(), stuck(), several(), addresses(), sizes(), forever(), beforeTheServer(), lazily()]);
await clocks();
endsByItself();
plan();
end();
process.exit();
