// The middleware of the npm package: with Node's http, the real Express, Fastify and Hono, in
// workerd, and in Chromium, each against a real server. All of them get the same requests; then a
// key is deleted, the server goes away, and the revocation data becomes too old.
//
// usage: node middleware.mjs PROGRAM
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { bearer, holds, POLICY, undecided } from './cases.mjs';
import { atEnd, end, freePort, here, installPackages, packageDir, plan, request, same, scratch, Server, sleep, start, tap,
  until } from './fixture.mjs';

const MAX_AGE = 6; // seconds

installPackages();
const { Policy, Ring, Verifier } = await import('subtoken');
const { Revocations } = await import('subtoken/revocations');
const apis = await import('./apis.mjs');

const server = await Server.start();
const edgeKey = server.key('edge', 'revocations');
const parent = server.key('parent', 'account,inventories,history_api');
const deleted = server.key('deleted', 'account');
const key = server.key('whole', 'account,history_api', '--owner', 'Zoë & Co');
const tokens = {
  all: server.issue(parent, '--permissions', 'account,inventories,history_api'),
  account: server.issue(parent, '--permissions', 'account'),
  restricted: server.issue(parent, '--permissions', 'account', '--urls', '/v2/account,/v2/characters/*'),
  deleted: server.issue(deleted, '--permissions', 'account'),
};

// ---- the edges ----

async function inNode() {
  const ring = Ring.parse(server.ring);
  const revocations = new Revocations({ ring, from: server.address, key: edgeKey, maxAge: MAX_AGE, onEvent() {} });
  await revocations.start();
  atEnd(() => revocations.stop());
  const options = { verifier: new Verifier({ ring, revocations, policy: Policy.parse(POLICY) }), ask: server.address };
  const list = { http: apis.plainHttp, express: apis.withExpress, fastify: apis.withFastify, hono: apis.withHono };
  return Promise.all(Object.entries(list).map(async ([name, make]) => {
    const { port, stop } = await make(options);
    atEnd(stop);
    // @hono/node-server gives the target to a URL parser before anybody sees it.
    return { name, port, send: (sent) => request(port, sent), resolves: name === 'hono', own: name === 'fastify' ? /%zz/ : undefined };
  }));
}

const connects = (port) => new Promise((done) => {
  const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); done(true); });
  socket.on('error', () => done(false));
});

const workerSettings = (address) => ({ RING: server.ring, POLICY, KEY: edgeKey, SERVER: address, ASK: address,
  MAX_AGE: String(MAX_AGE) });

// Names as a bundler finds them by package.json.
function packageModules(condition) {
  const { exports } = JSON.parse(readFileSync(join(packageDir, 'package.json'), 'utf8'));
  return Object.entries(exports).filter(([, to]) => typeof to === 'object')
    .map(([name, to]) => [join('subtoken', name), (to[condition] ?? to.default).replace('./', '')]);
}

async function inWorkerd() {
  const dir = scratch();
  const port = await freePort();
  const text = (value) => JSON.stringify(value);
  const modules = ['(name = "worker.mjs", esModule = embed "worker.mjs")'];
  mkdirSync(join(dir, 'subtoken'));
  copyFileSync(join(here, 'worker.mjs'), join(dir, 'worker.mjs'));
  for (const file of readdirSync(packageDir).filter((name) => /^(?!index\.).*\.(js|wasm)$|^index\.workerd\.js$/.test(name))) {
    copyFileSync(join(packageDir, file), join(dir, 'subtoken', file));
    const kind = file.endsWith('.wasm') ? 'wasm' : 'esModule';
    modules.push(`(name = "subtoken/${file}", ${kind} = embed "subtoken/${file}")`);
  }
  for (const [name, file] of packageModules('workerd')) {
    if (!existsSync(join(dir, 'subtoken', file))) continue;
    const from = name === 'subtoken' ? './subtoken/' : './';
    modules.push(`(name = "${name}", esModule = ${text(`export * from "${from}${file}";`)})`);
  }
  const bindings = Object.entries(workerSettings(server.address)).map(([name, value]) => `(name = "${name}", text = ${text(value)})`);
  writeFileSync(join(dir, 'config.capnp'), `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker), (name = "internet", network = (allow = ["private"]))],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")]
);
const worker :Workerd.Worker = (
  modules = [
    ${modules.join(',\n    ')}
  ],
  bindings = [${bindings.join(', ')}],
  compatibilityDate = "2026-11-01"
);
`);
  const program = join(here, 'node_modules/@cloudflare/workerd-linux-64/bin/workerd');
  const child = start(program, ['serve', join(dir, 'config.capnp')]);
  const took = await until(() => connects(port).then((connected) => connected || child.exitCode !== null), 30);
  if (took === Infinity || child.exitCode !== null) {
    tap(false, 'workerd starts', child.text);
    return [];
  }
  // None of them may wait for what another one has begun, and was ended with.
  const first = await Promise.all(Array.from({ length: 20 },
    () => request(port, { target: '/v2/account', headers: bearer(tokens.all) })));
  same([...new Set(first.map(({ status }) => status))], [200], 'workerd: 20 requests at once find no data, and get it');
  return [{ name: 'workerd', send: (sent) => request(port, sent), rewrites: true }];
}

// A page that loads the package, asks for requests, and reports the responses.
const PAGE = `<!doctype html><meta charset="utf-8"><title>subtoken</title>
<script type="importmap">@IMPORTS@</script>
<script type="module">
const post = (path, value) => fetch(path, { method: 'POST', body: JSON.stringify(value) });
try {
  const { default: worker } = await import('/worker.mjs');
  const env = await (await fetch('/settings')).json();
  for (;;) {
    const sent = await (await fetch('/next')).json();
    const headers = new Headers();
    for (const [name, value] of Object.entries(sent.headers ?? {})) {
      for (const each of [value].flat()) headers.append(name, each);
    }
    let received;
    try {
      const response = await worker.fetch(new Request(location.origin + sent.target, { method: sent.method, headers, body: sent.body }), env);
      received = { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
    } catch (error) {
      received = { error: String(error) };
    }
    await post('/done', received);
  }
} catch (error) {
  await post('/failed', String(error.stack ?? error));
}
</script>`;

async function inChromium() {
  const queue = [];
  let waiting = null; // the response to /next
  let current = null;
  let failed = () => {};
  const imports = Object.fromEntries(packageModules('default').map(([name, path]) => [name, `/package/${path}`]));
  const files = { '/worker.mjs': join(here, 'worker.mjs') };
  for (const name of readdirSync(packageDir)) files[`/package/${name}`] = join(packageDir, name);
  const next = () => {
    if (waiting === null || current !== null || queue.length === 0) return;
    current = queue.shift();
    waiting.end(JSON.stringify(current.sent));
    waiting = null;
  };
  const answers = {
    '/': (request_, response) => response.setHeader('Content-Type', 'text/html').end(PAGE.replace('@IMPORTS@', JSON.stringify({ imports }))),
    '/settings': (request_, response) => response.end(JSON.stringify(workerSettings(`http://${request_.headers.host}`))),
    '/next': (request_, response) => { waiting = response; next(); },
    '/done': async (request_, response) => {
      const pieces = [];
      for await (const piece of request_) pieces.push(piece);
      current.done(JSON.parse(Buffer.concat(pieces).toString()));
      current = null;
      response.end('{}');
    },
    '/failed': async (request_, response) => {
      const pieces = [];
      for await (const piece of request_) pieces.push(piece);
      failed(Buffer.concat(pieces).toString());
      response.end('{}');
    },
  };
  // The page may ask its own origin alone: what the server answers is handed on.
  const handOn = (request_, response) => {
    const { host, ...headers } = request_.headers;
    http.request(`${server.address}${request_.url}`, { method: request_.method, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    }).on('error', () => response.destroy()).end();
  };
  const pages = http.createServer((request_, response) => {
    const path = request_.url.split('?', 1)[0];
    if (path.startsWith('/v2/')) return handOn(request_, response);
    if (answers[path] !== undefined) return answers[path](request_, response);
    if (files[path] === undefined) return response.writeHead(404).end();
    response.setHeader('Content-Type', path.endsWith('.wasm') ? 'application/wasm' : 'text/javascript');
    return response.end(readFileSync(files[path]));
  });
  await new Promise((done) => { pages.listen(0, '127.0.0.1', done); });
  atEnd(() => { pages.close(); pages.closeAllConnections(); });
  const child = start('chromium-headless-shell', ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
    `--user-data-dir=${scratch()}`, '--remote-debugging-port=0', `http://127.0.0.1:${pages.address().port}/`], { detached: true }); // it has children
  const broken = new Promise((done) => { failed = done; });
  child.on('exit', () => failed(child.text));
  const gone = broken.then((why) => ({ status: 0, headers: {}, body: why }));
  const send = (sent) => Promise.race([gone, new Promise((done) => {
    queue.push({ sent, done: (received) => done(received.error === undefined ? received : { status: 0, headers: {}, body: received.error }) });
    next();
  })]);
  return [{ name: 'chromium', send, browser: true }];
}

// ---- what they are held to ----

const edges = (await Promise.all([inNode(), inWorkerd(), inChromium()])).flat();
same(edges.map(({ name }) => name), ['http', 'express', 'fastify', 'hono', 'workerd', 'chromium'], 'six edges run');

await Promise.all(edges.map(({ name, send, ...how }) => holds(name, send, { tokens, key, owner: 'Zo%C3%AB%20&%20Co', ...how })));

// ---- a body, as its packets come ----

// All that is answered to what is sent in so many packets.
const packets = (port, ...parts) => new Promise((done) => {
  let answer = '';
  const socket = net.connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  socket.setTimeout(20000, () => { socket.destroy(); done(`${answer} and no end of it`); });
  socket.on('data', (data) => { answer += data; });
  socket.on('error', (error) => { answer += String(error); });
  socket.on('close', () => done(answer));
  socket.on('connect', async () => {
    for (const part of parts) {
      socket.write(part);
      await sleep(0.05);
    }
  });
});

// The stream must not have ended before the API listens.
for (const { name, port } of edges.filter((edge) => edge.port !== undefined)) {
  const head = (target, ...lines) => [`POST ${target} HTTP/1.1`, 'Host: a', 'Connection: close', `Authorization: Bearer ${tokens.all}`,
    'Content-Type: application/json', ...lines, '', ''].join('\r\n');
  const ping = head('/mcp/headers', 'Transfer-Encoding: chunked', 'MCP-Protocol-Version: 2026-07-28', 'Mcp-Method: ping');
  const call = '{"method":"call","params":["history","x",[]]}';
  const chunk = `${call.length.toString(16)}\r\n${call}\r\n`;
  const rpc = head('/rpc', 'Transfer-Encoding: chunked');
  const came = { 'an empty chunked body in one packet': [ping + '0\r\n\r\n'], 'its end in another': [ping, '0\r\n\r\n'],
    'its end in two': [ping, '0\r\n', '\r\n'], 'a chunked body in one packet': [`${rpc}${chunk}0\r\n\r\n`],
    'and its end in another': [rpc + chunk, '0\r\n\r\n'], 'and in three': [rpc, chunk.slice(0, 20), chunk.slice(20) + '0\r\n\r\n'],
    'one with its length in one packet': [head('/rpc', `Content-Length: ${call.length}`) + call] };
  const got = await Promise.all(Object.values(came).map((parts) => packets(port, ...parts)));
  Object.keys(came).forEach((how, i) => {
    const body = i < 3 ? '"body":""' : `"body":${JSON.stringify(call)}`;
    tap(got[i].startsWith('HTTP/1.1 200 ') && got[i].includes(body) && !got[i].includes('no end'), `${name}: ${how} passes`, got[i]);
  });
}

// ---- a whole key that is bound to an audience, at edges that have none ----

const bound = server.key('bound', 'account', '--audience', 'eu');
const forged = await Promise.all(edges.map(({ send }) => Promise.all([{}, { 'X-Subtoken-Audience': 'eu' }].map(async (more) =>
  (await send({ target: '/v2/account', headers: { ...bearer(bound), ...more } })).status))));
same(forged, edges.map(() => [401, 401]), 'which audience an edge has is not the caller\'s to say');

const account = (send, credential) => send({ target: '/v2/account', headers: bearer(credential) });
const statuses = (credential) => Promise.all(edges.map(async ({ send }) => (await account(send, credential)).status));
const all = (status) => edges.map(() => status);

same(await statuses(tokens.deleted), all(200), 'a token of another key passes everywhere');
server.delete(deleted);
const took = await Promise.all(edges.map(({ send }) => until(async () => (await account(send, tokens.deleted)).status === 401)));
tap(took.every((seconds) => seconds < 20), 'a deleted key ends its tokens everywhere within seconds', took);
same(await statuses(tokens.all), all(200), 'and those of others pass');

await server.stop();
same(await statuses(tokens.all), all(200), 'with the server away tokens pass');
await Promise.all(edges.map(async ({ name, send }) => undecided(`${name}: and a whole key is 503`, await account(send, key))));
const stale = await Promise.all(edges.map(({ send }) => until(async () => (await account(send, tokens.all)).status === 503)));
tap(stale.every((seconds) => seconds < MAX_AGE + 20), 'revocation data that is too old makes it 503 everywhere', stale);
await Promise.all(edges.map(async ({ name, send }) => undecided(`${name}: with Retry-After`, await account(send, tokens.all))));
same(await Promise.all(edges.map(async ({ send }) => (await send({ target: '/public/x' })).status)), all(200), 'public routes pass');
await server.serve();
const back = await Promise.all(edges.map(({ send }) => until(async () => (await account(send, tokens.all)).status === 200)));
tap(back.every((seconds) => seconds < 30), 'and each is well by itself when the server is back', back);
same(await statuses(tokens.deleted), all(401), 'what was revoked stays revoked');

await sleep(0);
plan();
end();
process.exit();
