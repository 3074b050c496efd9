#!/bin/sh
# The npm client gw2-api 2.1.0 joins a base URL that ends in a slash with endpoints that begin with
# one: it asks for /v2//account, never /v2/account. The character's name goes into the path behind
# it. A server or edge that refuses empty segments answers every call of this client with an
# error, and one that merges slashes has to do so before it compares the path with anything.
#
# Seen 2026-11-29 (node 20):
#   GET /v2//account
#   GET /v2//characters/Rytlock%20Brimstone
#   GET /v2//tokeninfo
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >npm.log
npm install --silent --no-audit --no-fund gw2-api@2.1.0 >>npm.log 2>&1
cat >look.cjs <<'JS'
const http = require('node:http');
const client = require('gw2-api');
const seen = [];
const server = http.createServer((request, response) => {
  seen.push(request.method + ' ' + request.url);
  response.setHeader('Content-Type', 'application/json');
  response.end('{}');
});
server.listen(0, '127.0.0.1', async () => {
  const api = new client.gw2();
  // The host alone is replaced; the rest is as the package has it.
  api.baseUrl = api.baseUrl.replace('https://api.guildwars2.com', 'http://127.0.0.1:' + server.address().port);
  api.setStorage(new client.memStore());
  api.setAPIKey('A-KEY');
  await api.getAccount();
  await api.getCharacters('Rytlock Brimstone');
  await api.getTokenInfo();
  console.log(seen.join('\n'));
  server.close();
});
JS
timeout 60 node look.cjs >seen
cat seen
cat >expected <<'TEXT'
GET /v2//account
GET /v2//characters/Rytlock%20Brimstone
GET /v2//tokeninfo
TEXT
diff -u expected seen
