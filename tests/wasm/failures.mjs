// What goes wrong around the middleware, and what it asks of the server: nothing of it lets a
// request pass. The server is one that answers as a test wants.
//
// usage: node failures.mjs PROGRAM
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { bearer, POLICY } from './cases.mjs';
import { echo, headersOf } from './apis.mjs';
import { atEnd, end, installPackages, plan, request, run, same, scratch, sleep, tap, until } from './fixture.mjs';

installPackages();
const { Feed, Policy, Ring, Verifier } = await import('subtoken');
const { authorizer, protect } = await import('subtoken/node');
const workers = await import('subtoken/workers');
const { default: express } = await import('express');
const { subtoken: forExpress } = await import('subtoken/express');
const { default: fastify } = await import('fastify');
const { subtoken: forFastify } = await import('subtoken/fastify');

const data = join(scratch(), 'var');
const { key } = JSON.parse(run(['key', 'create', '--data', data, '--name', 'k', '--permissions', 'account,history_api', '--json']));
const token = run(['issue', '--data', data, '--permissions', 'account,history_api'], key).trim();
const ring = Ring.parse(readFileSync(join(data, 'secrets'), 'utf8'));
const policy = Policy.parse(POLICY);
const verifier = new Verifier({ ring, policy, withoutRevocations: true });

const listen = (server) => new Promise((done) => {
  atEnd(() => { server.close(); server.closeAllConnections?.(); });
  server.listen(0, '127.0.0.1', () => done(server.address().port));
});

let reached = 0; // requests that got to an API
const api = (request_, response) => {
  reached += 1;
  const { method, url, subtoken } = request_;
  const pieces = [];
  request_.on('data', (piece) => pieces.push(piece));
  request_.on('end', () => response.end(echo({ method, url, headers: headersOf(request_), subtoken,
    body: Buffer.concat(pieces).toString() })));
};

// ---- the server that is asked ----

let answer = () => '';
let asked = '';
const authorize = net.createServer((socket) => {
  socket.on('error', () => {});
  socket.on('data', async (text) => {
    asked = text.toString('latin1');
    const nonce = /x-subtoken-nonce: (\S+)/i.exec(asked)[1];
    const reply = await answer(nonce);
    if (reply !== null) socket.end(reply);
  });
});
const ask = { url: `http://127.0.0.1:${await listen(authorize)}`, timeout: 20 };
const hasty = { ...ask, timeout: 0.5 };
const known = (nonce, more = '') => `HTTP/1.1 200 OK\r\nX-Subtoken-Nonce: ${nonce}\r\nX-Subtoken-Sub: abc\r\n`
  + `X-Subtoken-Key: the-key\r\nX-Subtoken-Owner: \r\nX-Subtoken-Permissions: account\r\nX-Subtoken-Expires: \r\n${more}`
  + 'Content-Length: 0\r\nConnection: close\r\n\r\n';

const decisions = [];
const onDecision = ({ status, name, error }) => decisions.push([status, name, error?.message]);
const port = await listen(http.createServer(protect({ verifier, ask, onDecision }, api)));
const hastyPort = await listen(http.createServer(protect({ verifier, ask: hasty, onDecision }, api)));
const account = (headers, target = '/v2/account', to = port) => request(to, { target, headers });

async function theQuestion() {
  answer = (nonce) => known(nonce);
  const response = await account({ ...bearer(key), Cookie: 'a=1', 'X-Forwarded-For': '192.0.2.1', 'X-Original-URI': '/v2/else',
    'X-Subtoken-Nonce': 'mine', 'X-Subtoken-Audience': 'mine', Forwarded: 'for=x', 'X-Forwarded-Uri': '/else',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tracestate: 'a=1' }, '/v2/account?b=2&access_token=');
  same([response.status, JSON.parse(response.body).subtoken.key], [200, 'the-key'], 'an identity that the server tells passes');
  const [line, ...headers] = asked.split('\r\n').filter((each) => each !== '');
  const sent = Object.fromEntries(headers.map((each) => each.split(/: (.*)/).slice(0, 2)).map(([name, value]) => [name.toLowerCase(), value]));
  same(line, 'HEAD /v2/authorize HTTP/1.1', 'the question is HEAD /v2/authorize');
  for (const name of ['host', 'connection', 'accept', 'accept-language', 'accept-encoding', 'sec-fetch-mode', 'user-agent']) delete sent[name];
  const { 'x-subtoken-nonce': nonce, ...others } = sent;
  same(others, { 'x-subtoken-audience': '', 'x-original-method': 'GET', 'x-original-uri': '/v2/account?b=2', authorization: `Bearer ${key}`,
    'x-forwarded-for': '192.0.2.1, 127.0.0.1',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }, 'with the credential, the request and the address, and nothing else of the caller');
  tap(/^[0-9a-f]{32}$/.test(nonce), 'and a nonce of its own', nonce);
  const first = nonce;
  await account(bearer(key));
  tap(!asked.includes(first), 'which is another one each time');
  answer = (each) => known(each, '').replace('X-Subtoken-Sub: abc', 'X-Subtoken-Sub: ');
  await account({});
  tap(!/authorization|x-forwarded-for|x-api-key/i.test(asked), 'without a credential nothing of the caller is sent');
}

async function theAnswers() {
  const before = reached;
  const cases = {
    'of a cache': () => known('0'.repeat(32)),
    'without a nonce': (nonce) => known(nonce).replace(/X-Subtoken-Nonce.*\r\n/, ''),
    'with two nonces': (nonce) => known(nonce, `X-Subtoken-Nonce: ${nonce}\r\n`),
    'with two subs': (nonce) => known(nonce, 'X-Subtoken-Sub: abc\r\n'),
    'with permissions twice': (nonce) => known(nonce, 'X-Subtoken-Permissions: admin\r\n'),
    'with a sub that is none': (nonce) => known(nonce).replace('abc', 'a b'),
    'without a sub': (nonce) => known(nonce).replace('Sub: abc', 'Sub: '),
    'that is a redirect': (nonce) => known(nonce, 'Location: /v2/healthz\r\n').replace('200 OK', '302 Found'),
    'that is an error': (nonce) => known(nonce).replace('200 OK', '500 Oops'),
    'that is no HTTP': () => 'hello\r\n\r\n',
    'that never comes': () => null,
    'that comes too late': (nonce) => sleep(0.8).then(() => known(nonce)),
    'that breaks off': (nonce) => known(nonce).slice(0, 60),
  };
  for (const [name, reply] of Object.entries(cases)) {
    answer = reply;
    const began = performance.now();
    const late = /never|late/.test(name);
    const response = await account(bearer(key), '/v2/account', late ? hastyPort : port);
    tap(response.status === 503 && response.headers['retry-after'] === '5' && performance.now() - began < 15000,
      `an answer ${name} is 503`, [response.status, response.body]);
  }
  same(reached, before, 'and none of them got to the API');
  answer = (nonce) => known(nonce, 'Retry-After: 17\r\n').replace('200 OK', '429 Too Many Requests');
  let response = await account({ Authorization: 'Basic dXNlcjpwYXNz' });
  same([response.status, response.headers['retry-after'], response.body],
    [429, '17', '{"text":"too many wrong passwords; try again later"}'], 'too many wrong passwords are told');
  answer = (nonce) => known(nonce).replace('200 OK', '401 Unauthorized');
  response = await account(bearer(key));
  same([response.status, response.body], [401, '{"text":"Invalid access token"}'], 'a credential that the server does not know is 401');
  answer = (nonce) => known(nonce).replace('Expires: ', `Expires: ${Math.floor(Date.now() / 1000) - 1}`);
  same((await account(bearer(key))).status, 401, 'an identity that has ended is 401');
}

async function inTheLibrary() {
  const broken = new Verifier({ ring, policy, withoutRevocations: true });
  const there = await listen(http.createServer(protect({ verifier: broken, onDecision }, api)));
  same((await request(there, { target: '/v2/account', headers: bearer(token) })).status, 200, 'a verifier decides');
  broken.free();
  decisions.length = 0;
  const before = reached;
  const response = await request(there, { target: '/public/x', headers: bearer(token) });
  same([response.status, response.body, response.headers['retry-after'], response.headers['cache-control'], reached],
    [503, '{"text":"this cannot be decided now; try again later"}', '5', 'no-store', before], 'one that was freed is 503, for public routes too');
  tap(decisions[0][0] === 503 && /freed/.test(decisions[0][2]), 'and onDecision is told why', decisions);
  const rude = await listen(http.createServer(protect({ verifier, onDecision() { throw new Error('x'); } }, api)));
  same((await request(rude, { target: '/v2/account', headers: bearer(token) })).status, 200, 'what onDecision throws changes nothing');
  same((await request(rude, { target: '/v2/account' })).status, 401, 'in either way');
  const later = await listen(http.createServer(protect({ verifier, async onDecision() { throw new Error('x'); } }, api)));
  same((await request(later, { target: '/v2/account' })).status, 401, 'nor does what it throws later'); // it would end this process
}

async function withExpress() {
  const make = async (set, before) => {
    const app = express();
    for (const setting of set) app.enable(setting);
    if (before !== undefined) app.use(before);
    app.use(forExpress({ verifier, onDecision }));
    app.use(api);
    return listen(http.createServer(app));
  };
  const strict = ['case sensitive routing', 'strict routing'];
  decisions.length = 0;
  for (const set of [[], [strict[0]], [strict[1]]]) {
    const there = await make(set);
    same((await request(there, { target: '/v2/account', headers: bearer(token) })).status, 503,
      `Express with ${set.join() || 'its own routing'} is 503`);
  }
  tap(decisions.every(([, , message]) => /app\.enable/.test(message)), 'and is told what to set', decisions);
  const parsed = await make(strict, express.json());
  const call = { method: 'POST', target: '/rpc', headers: { ...bearer(token), 'Content-Type': 'application/json' },
    body: '{"method":"call","params":["history","x",[]]}' };
  same((await request(parsed, call)).status, 503, 'a body that was parsed before cannot be decided about');
  same((await request(await make(strict), call)).status, 200, 'one that was not can');
  const mounted = express();
  for (const setting of strict) mounted.enable(setting);
  mounted.use('/v2', forExpress({ verifier }));
  mounted.use('/v2', (request_, response) => response.send(`${request_.url} ${request_.originalUrl}`));
  const there = await listen(http.createServer(mounted));
  const response = await request(there, { target: `/v2/account?a=1&access_token=${token}` });
  same([response.status, response.body], [200, '/account?a=1 /v2/account?a=1'], 'where it is mounted it decides about the whole path');
  const lax = express();
  lax.use(mounted);
  same((await request(await listen(http.createServer(lax)), { target: '/v2/account', headers: bearer(token) })).status, 503,
    'an app that is mounted in one with its own routing is 503');
}

// What passes a request on takes off what Connection names.
async function namedByConnection() {
  const there = await listen(http.createServer(protect({ verifier }, (request_, response) => {
    response.end(JSON.stringify([request_.rawHeaders, request_.headers]));
  })));
  for (const Connection of ['close, X-Subtoken-Sub', 'x-subtoken-permissions', 'a;X_SUBTOKEN_SUB']) {
    const { status, body } = await request(there, { target: '/v2/account', headers: { ...bearer(token), Connection } });
    const [raw, headers] = JSON.parse(body);
    tap(status === 200 && headers['x-subtoken-sub'].length === 43 && headers.connection === undefined
      && !raw.some((each) => /^connection$/i.test(each)), `Connection: ${Connection} is not passed on`, body);
  }
}

async function withFastify() {
  for (const option of [{ caseSensitive: false }, { ignoreTrailingSlash: true }, { ignoreDuplicateSlashes: true }]) {
    const app = fastify({ routerOptions: option });
    const error = await app.register(forFastify, { verifier }).then(() => null, (each) => each);
    tap(error !== null && error.message.includes(Object.keys(option)[0]), `Fastify with ${Object.keys(option)} is refused`, String(error));
    await app.close();
  }
  const app = fastify();
  await app.register(forFastify, { verifier });
  app.post('/rpc', (request_) => request_.body.method);
  const call = { method: 'POST', url: '/rpc', headers: bearer(token), payload: { method: 'call', params: ['history', 'x', []] } };
  const response = await Promise.race([app.inject(call), sleep(20)]);
  same([response?.statusCode, response?.body], [200, 'call'], 'a body is read of a request that inject() makes');
  await app.close();
}

// As functions in a cloud are called, by what hands their requests on to Express: nobody has read `rawHeaders`.
async function withoutRawHeaders() {
  class Called extends http.IncomingMessage {
    constructor(url, headers) {
      super(new net.Socket());
      Object.assign(this, { complete: true, method: 'GET', url, headers });
    }

    _read() { this.push(null); }
  }
  const handle = protect({ verifier }, ({ headers, rawHeaders, subtoken }, response) => response.end(JSON.stringify([subtoken.sub, headers, rawHeaders])));
  const ask_ = (url, headers) => new Promise((done) => {
    const called = new Called(url, { host: 'h', 'x-subtoken-sub': 'root', x_subtoken_key: 'root', ...headers });
    const response = new http.ServerResponse(called);
    response.end = (body) => done([response.statusCode, body]);
    handle(called, response);
  });
  const [[status, body], [other, text]] = [await ask_('/public/x', {}), await ask_('/v2/account', { authorization: `Bearer ${token}` })];
  same([status, body.includes('root'), other, text.includes('root'), JSON.parse(text)[0].length], [200, false, 200, false, 43],
    'headers that came in no other way are looked at, and taken off');
}

async function inWorkers() {
  let ready = false;
  const quiet = console.error;
  console.error = () => {};
  const fetch = workers.protect(() => {
    if (!ready) throw new Error('no secret');
    return { verifier };
  }, () => { reached += 1; return new Response('it passed'); });
  const send = () => fetch(new Request('http://h/v2/account', { headers: bearer(token) }), {}, {});
  const before = reached;
  const first = await send();
  same([first.status, reached], [503, before], 'settings that throw are 503');
  console.error = quiet;
  ready = true;
  same((await send()).status, 200, 'until they do not');
  const seen = workers.protect({ verifier }, ({ url }) => new Response(url));
  for (const [url, passed] of [['http://h/v2/account#x', 'http://h/v2/account#x'], ['http://h/v2/account?x=#', 'http://h/v2/account?x=#'],
    [`http://h/v2/account?access_token=${token}&b=/c#x`, 'http://h/v2/account?b=/c'],
    [`http://h:81/v2/account?access_token=${token}`, 'http://h:81/v2/account']]) {
    const headers = url.includes('access') ? {} : bearer(token);
    same(await (await seen(new Request(url, { headers }), {}, {})).text(), passed, `${url.replace(token, 'T')} is passed on as ${passed}`);
  }
  for (const url of ['http://h', 'http://h?/v2/account', 'http://h/?x=/v2/account']) {
    same((await seen(new Request(url), {}, {})).status, 401, `${url} is not`);
  }
  // As workerd gives it: what was on the request line.
  for (const path of ['/v2/account/../any', '/v2/%2e%2e/v2/any', '/v2\\any', '*', '?/v2/any', '/v2/any\u00e9']) {
    const raw = { method: 'GET', url: `http://h${path}`, headers: new Headers(bearer(token)), body: null };
    const { status } = await seen(raw, {}, {});
    same(status, 400, `a URL that is read in two ways is 400: ${path}`);
  }
  console.error = () => {};
  const used = new Request('http://h/v2/account', { method: 'POST', headers: bearer(token), body: 'x' });
  await used.text();
  const late = await fetch(used, {}, {});
  console.error = quiet;
  same([late.status, (await late.json()).text], [503, 'this cannot be decided now; try again later'], 'a request that cannot be passed on is 503');
  const feed = new Verifier({ ring, policy, revocations: new Feed(ring) });
  same((await workers.protect({ verifier: feed }, () => new Response(''))(new Request('http://h/public/x'), {}, {})).status, 200,
    'a verifier may have a Feed of its own');
}

async function upgrades() {
  const decide = authorizer({ verifier });
  const server = http.createServer(protect({ verifier }, api));
  server.on('upgrade', async (request_, socket) => {
    const { allowed, status, subtoken } = await decide(request_);
    socket.end(allowed ? `HTTP/1.1 101 Switching Protocols\r\nX-Sub: ${subtoken.sub.length}\r\n\r\n` : `HTTP/1.1 ${status} No\r\n\r\n`);
  });
  const there = await listen(server);
  const upgrade = (headers) => new Promise((done) => {
    const socket = net.connect(there, '127.0.0.1', () => socket.write(`GET /v2/account HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n${headers}\r\n`));
    let text = '';
    socket.on('data', (piece) => { text += piece; });
    socket.on('close', () => done(text.split('\r\n').slice(0, 2).join(' ')));
  });
  same([await upgrade(''), await upgrade(`Authorization: Bearer ${token}\r\n`)],
    ['HTTP/1.1 401 No ', 'HTTP/1.1 101 Switching Protocols X-Sub: 43'], 'authorizer() decides about an upgrade');
}

async function overHttp2() {
  const server = http2.createServer(protect({ verifier }, (request_, response) => {
    const pieces = [];
    request_.on('data', (piece) => pieces.push(piece));
    request_.on('end', () => response.end(JSON.stringify({ url: request_.url, headers: request_.headers, raw: request_.rawHeaders,
      body: Buffer.concat(pieces).toString() })));
  }));
  const there = await listen(server);
  const session = http2.connect(`http://127.0.0.1:${there}`);
  const send = (headers, body) => new Promise((done, failed) => {
    const stream = session.request(headers);
    let text = '';
    let status;
    stream.on('response', (got) => { status = got[':status']; });
    stream.on('data', (piece) => { text += piece; });
    stream.on('end', () => done([status, text]));
    stream.on('error', failed);
    stream.end(body);
  });
  const [status, text] = await send({ ':path': `/v2/account?access_token=${token}&a=1`, 'x-subtoken-sub': 'evil' });
  const seen = JSON.parse(text);
  same([status, seen.url, text.includes('evil'), text.includes(token.slice(-20)), seen.headers['x-subtoken-permissions']],
    [200, '/v2/account?a=1', false, false, 'account,history_api'], 'HTTP/2: the same, and no credential is left in :path');
  same((await send({ ':path': '/v2/account' }))[0], 401, 'HTTP/2: 401 without a credential');
  const body = '{"method":"call","params":["history","x",[]]}';
  const [rpc, rpcText] = await send({ ':path': '/rpc', ':method': 'POST', authorization: `Bearer ${token}` }, body);
  same([rpc, rpc === 200 && JSON.parse(rpcText).body], [200, body], 'HTTP/2: a JSON-RPC body is read and passed on');
  session.close();
  server.close();
}

// A trailer that a caller makes up is no identity either.
async function trailers() {
  const seen = ({ trailers: joined, trailersDistinct, rawTrailers }) => JSON.stringify({ joined, trailersDistinct, rawTrailers });
  const handler = protect({ verifier }, (request_, response) => {
    const pieces = [];
    request_.on('data', (piece) => pieces.push(piece));
    request_.on('end', () => response.end(`${seen(request_)} ${Buffer.concat(pieces)}`));
  });
  const call = '{"method":"call","params":["history","x",[]]}';
  const first = await listen(http.createServer(handler));
  const http2Server = http2.createServer(handler);
  const session = http2.connect(`http://127.0.0.1:${await listen(http2Server)}`);
  const one = (target, apart) => new Promise((done) => {
    const socket = net.connect(first, '127.0.0.1', async () => {
      socket.write(`POST ${target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer ${token}\r\n`
        + `Transfer-Encoding: chunked\r\n\r\n${call.length.toString(16)}\r\n${call}\r\n`);
      if (apart) await sleep(0.05);
      socket.write('0\r\nX-A: b\r\nX-Subtoken-Sub: evil\r\nx_subtoken_owner: evil\r\n\r\n');
    });
    let text = '';
    socket.on('data', (piece) => { text += piece; });
    socket.on('close', () => done(text));
  });
  const two = (target) => new Promise((done, failed) => {
    const stream = session.request({ ':path': target, ':method': 'POST', authorization: `Bearer ${token}` }, { waitForTrailers: true });
    let text = '';
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-a': 'b', 'x-subtoken-sub': 'evil' }));
    stream.on('data', (piece) => { text += piece; });
    stream.on('end', () => done(text));
    stream.on('error', failed);
    stream.end(call);
  });
  for (const target of ['/v2/account', '/rpc']) {
    for (const [how, text] of [['in one packet', await one(target, false)], ['later', await one(target, true)], ['of HTTP/2', await two(target)]]) {
      tap(text.includes(call) && /"joined":\{"x-a":"b"\}/.test(text) && !text.includes('evil'), `${target}: no identity in trailers ${how}`, text);
    }
  }
  session.close();
  http2Server.close();
}

async function others() {
  const there = await listen(http.createServer(protect({ verifier, forms: ['bearer'] }, api)));
  const target = `/v2/account?access_token=${token}`;
  same((await request(there, { target })).status, 401, 'forms: a form that is not named is not read');
  const response = await request(there, { target, headers: bearer(token) });
  same([response.status, JSON.parse(response.body).url], [200, target], 'and is passed on');
  const needs = await listen(http.createServer(protect({ verifier, needs: ['guilds'] }, api)));
  same((await request(needs, { target: '/v2/account', headers: bearer(token) })).body, '{"text":"requires scope guilds"}',
    'needs: what every request needs');
  const unread = await listen(http.createServer(protect({ verifier, readsBodies: false }, api)));
  same((await request(unread, { method: 'POST', target: '/rpc', headers: bearer(token), body: '{}' })).status, 403,
    'readsBodies: false makes a JSON-RPC route 403');
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(`POST /rpc HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${token}\r\nContent-Length: 100\r\n\r\n{"method"`);
  await sleep(0.1);
  const before = reached;
  decisions.length = 0;
  socket.destroy();
  await until(() => decisions.length > 0, 5);
  same([decisions[0]?.[0], reached], [503, before], 'a client that leaves in its body does not get to the API');
  for (const [name, options] of [['no verifier', {}], ['an address that is none', { verifier, ask: 'keys' }],
    ['http to another machine', { verifier, ask: 'http://keys.example' }], ['a time of zero', { verifier, ask: { ...ask, timeout: 0 } }]]) {
    let error = null;
    try {
      protect(options, api);
    } catch (each) {
      error = each;
    }
    tap(error instanceof TypeError, `${name} is refused at once`, String(error));
  }
}

await theQuestion();
await theAnswers();
await inTheLibrary();
await withExpress();
await withFastify();
await withoutRawHeaders();
await inWorkers();
await namedByConnection();
await upgrades();
await overHttp2();
await trailers();
await others();
plan();
end();
process.exit();
