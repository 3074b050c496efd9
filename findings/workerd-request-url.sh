#!/bin/sh
# workerd, the runtime of Cloudflare Workers, gives request.url as the request line had it: dot
# segments stay. `new Request(url).url` and new URL(request.url) have them resolved, so that within one
# Worker two ways to read the path of one request differ. The Fetch standard makes a Request's url of a
# parsed URL, in which there are none.
#
# Seen 2026-11-29 (workerd 1.20261117.1):
#   /a/../b: request.url /a/../b, new URL(request.url) /b, new Request(request.url).url /b
#   /a/./b: request.url /a/./b, new URL(request.url) /a/b, new Request(request.url).url /a/b
#   /a/b: request.url /a/b, new URL(request.url) /a/b, new Request(request.url).url /a/b
set -eu
dir=$(mktemp -d)
trap 'kill "$(cat "$dir/pid" 2>/dev/null)" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >npm.log
npm install --silent --no-audit --no-fund @cloudflare/workerd-linux-64@1.20261117.1 >>npm.log 2>&1
cat >worker.mjs <<'JS'
const path = (url) => url.replace(/^[a-z]+:\/\/[^/]*/, '');
export default {
  fetch(request) {
    return new Response(`request.url ${path(request.url)}, new URL(request.url) ${new URL(request.url).pathname}, ` +
      `new Request(request.url).url ${path(new Request(request.url).url)}`);
  },
};
JS
cat >config.capnp <<'CAPNP'
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = [(name = "worker", esModule = embed "worker.mjs")],
    compatibilityDate = "2026-11-01",
  ))],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
CAPNP
cat >look.cjs <<'JS'
const { spawn } = require('node:child_process');
const { writeFileSync } = require('node:fs');
const http = require('node:http');
const child = spawn('node_modules/@cloudflare/workerd-linux-64/bin/workerd',
  ['serve', '--control-fd=3', 'config.capnp'], { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] });
writeFileSync('pid', String(child.pid));
const get = (port, path) => new Promise((resolve, reject) => {
  // As it stands, without a parser of URLs in between.
  http.get({ host: '127.0.0.1', port, path }, (answer) => {
    let text = '';
    answer.on('data', (data) => { text += data; });
    answer.on('end', () => resolve(text));
  }).on('error', reject);
});
child.stdio[3].once('data', async (data) => {
  const { port } = JSON.parse(String(data).split('\n')[0]);
  for (const path of ['/a/../b', '/a/./b', '/a/b']) console.log(`${path}: ${await get(port, path)}`);
  child.kill();
});
JS
timeout 60 node look.cjs >seen
cat seen
cat >expected <<'TEXT'
/a/../b: request.url /a/../b, new URL(request.url) /b, new Request(request.url).url /b
/a/./b: request.url /a/./b, new URL(request.url) /a/b, new Request(request.url).url /a/b
/a/b: request.url /a/b, new URL(request.url) /a/b, new Request(request.url).url /a/b
TEXT
diff -u expected seen
