#!/bin/sh
# The npm client gw2-api 2.1.0 never looks at the status of an answer: its promises are rejected
# only when the connection fails. A 401, a 403 and a 503 are given to the program as the account
# that it asked for, with {"text":"…"} where {"id":…} should be. So a program that uses it learns of
# a refusal only from the body, and an API that serves such programs has to keep its errors in one
# shape of JSON that no success has.
#
# Seen 2026-11-29 (node 20):
#   401 resolved {"text":"Invalid access token"}
#   403 resolved {"text":"requires scope inventories"}
#   503 resolved {"text":"try again later"}
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >npm.log
npm install --silent --no-audit --no-fund gw2-api@2.1.0 >>npm.log 2>&1
cat >look.cjs <<'JS'
const http = require('node:http');
const client = require('gw2-api');
const answers = [
  [401, '{"text":"Invalid access token"}'],
  [403, '{"text":"requires scope inventories"}'],
  [503, '{"text":"try again later"}'],
];
let turn = 0;
const server = http.createServer((request, response) => {
  const [status, body] = answers[turn];
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(body);
});
server.listen(0, '127.0.0.1', async () => {
  const api = new client.gw2();
  api.baseUrl = api.baseUrl.replace('https://api.guildwars2.com', 'http://127.0.0.1:' + server.address().port);
  api.setStorage(new client.memStore());
  api.setAPIKey('A-KEY');
  for (; turn < answers.length; turn++) {
    await api.getAccount().then(
      (data) => console.log(answers[turn][0], 'resolved', JSON.stringify(data)),
      (error) => console.log(answers[turn][0], 'rejected', error.message));
  }
  server.close();
});
JS
timeout 60 node look.cjs >seen
cat seen
cat >expected <<'TEXT'
401 resolved {"text":"Invalid access token"}
403 resolved {"text":"requires scope inventories"}
503 resolved {"text":"try again later"}
TEXT
diff -u expected seen
