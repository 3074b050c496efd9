// The examples of src/edge/wasm/README.md that are whole programs, each run against a real server.
// Those say in their first line how their file is called.
//
// usage: node readme.mjs PROGRAM
import { spawnSync } from 'node:child_process';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bearer, POLICY } from './cases.mjs';
import { end, freePort, here, installPackages, plan, request, same, scratch, Server, start, tap, until } from './fixture.mjs';

installPackages();
const readme = readFileSync(join(here, '../../src/edge/wasm/README.md'), 'utf8');
const blocks = new Map([...readme.matchAll(/^```js\n\/\/ (\S+\.mjs)\n([^]*?)^```$/gm)].map(([, name, text]) => [name, text]));
for (const name of ['verify', 'edge', 'http', 'express', 'fastify', 'hono', 'worker']) {
  tap(blocks.has(`${name}.mjs`), `${name}.mjs is there`);
}

const server = await Server.start();
const key = server.key('reader', 'account');
const token = server.issue(key, '--permissions', 'account');
const edgeKey = server.key('edge', 'revocations');

// A folder as the reader has it, with this server and a free port.
function folder(port) {
  const dir = scratch();
  for (const [name, text] of blocks) {
    writeFileSync(join(dir, name), text.replaceAll('https://keys.example', server.address).replace(/\b3000\b/, port));
  }
  writeFileSync(join(dir, 'secrets'), server.ring);
  writeFileSync(join(dir, 'policy.json'), POLICY);
  writeFileSync(join(dir, 'edge.key'), `${edgeKey}\n`);
  symlinkSync(join(here, 'node_modules'), join(dir, 'node_modules'), 'dir');
  return dir;
}

async function answers(name, send) {
  const good = await send(bearer(token));
  tap(good.status === 200 && /^hello, [\w-]{43}\n$/.test(good.body), `${name}: a token passes`, good);
  same((await send(bearer(key))).status, 200, `${name}: so does a whole key`);
  same((await send({})).status, 401, `${name}: nobody is 401`);
}

{
  const dir = folder(0);
  writeFileSync(join(dir, 'token'), `${token}\n`);
  const made = spawnSync(process.execPath, ['verify.mjs'], { cwd: dir, encoding: 'utf8' });
  tap(/^[\w-]{43} \[ 'account' \]\n$/.test(made.stdout), 'verify: says whose the token is', made);
}

await Promise.all(['http', 'express', 'fastify', 'hono'].map(async (name) => {
  const port = await freePort();
  const child = start(process.execPath, [`${name}.mjs`], { cwd: folder(port) });
  const send = (headers) => request(port, { target: '/v2/account', headers });
  const up = await until(() => send({}).then(() => true, () => child.exitCode !== null), 30);
  if (up === Infinity || child.exitCode !== null) tap(false, `${name}: starts`, child.text);
  else await answers(name, send);
}));

const env = { SECRETS: server.ring, SERVER: server.address, EDGE_KEY: edgeKey, POLICY };
const { default: worker } = await import(pathToFileURL(join(folder(0), 'worker.mjs')));
await answers('worker', async (headers) => {
  const response = await worker.fetch(new Request('http://api.example/v2/account', { headers }), env, { waitUntil() {} });
  return { status: response.status, body: await response.text() };
});
plan();
end();
process.exit();
