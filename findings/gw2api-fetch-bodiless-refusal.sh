#!/bin/sh
# @gw2api/fetch 0.4.2 tells its own Gw2ApiError, which carries the response, from everything else;
# programs read the status off it. It looks at Content-Type before it looks at the status, and an
# answer without one, as a proxy or load balancer gives for a bare 401, 429 or 503, becomes a
# TypeError with no response in it: the program cannot tell "wait and try again" from a bug. With a
# body of JSON the same status is a Gw2ApiError.
#
# Seen 2026-11-29 (node 20):
#   503 bare: TypeError, no status
#   503 with JSON: Gw2ApiError, status 503
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >npm.log
npm install --silent --no-audit --no-fund @gw2api/fetch@0.4.2 >>npm.log 2>&1
cat >look.mjs <<'JS'
import http from 'node:http';
import { fetchGw2Api } from '@gw2api/fetch';
let body = '';
const server = http.createServer((request, response) => {
  response.writeHead(503, body ? { 'Content-Type': 'application/json; charset=utf-8' } : {});
  response.end(body);
});
server.listen(0, '127.0.0.1', async () => {
  const here = 'http://127.0.0.1:' + server.address().port;
  const look = (name) => fetchGw2Api('/v2/account', {
    accessToken: 'A-KEY',
    onRequest: (request) => new Request(request.url.replace('https://api.guildwars2.com', here)),
  }).catch((error) => console.log(name, error.name, error.response ? error.response.status : 'no status'));
  await look('bare:');
  body = '{"text":"try again later"}';
  await look('with JSON:');
  server.closeAllConnections();
  server.close();
});
JS
timeout 60 node look.mjs >seen
cat seen
cat >expected <<'TEXT'
bare: TypeError no status
with JSON: Gw2ApiError 503
TEXT
diff -u expected seen
