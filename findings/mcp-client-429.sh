#!/bin/sh
# An MCP client that asks which revision a server speaks (@modelcontextprotocol/client 2.4.0, mode `auto`)
# takes 429 for the answer of a server that does not know the question, and connects again with the
# protocol of 2025; pinned to 2026-07-28 it says that the server does not offer that, and neither the
# status nor the body. 503 is an error that says so. So the limits of our example for nginx are 503.
#
# Seen 2026-11-29 (node 20):
#   auto 429: server/discover, initialize: CLIENT_HTTP_NOT_IMPLEMENTED 429
#   pin 429: server/discover: ERA_NEGOTIATION_FAILED undefined
#   auto 503: server/discover: ERA_NEGOTIATION_FAILED 503
#   pin 503: server/discover: ERA_NEGOTIATION_FAILED 503
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >npm.log
npm install --silent --no-audit --no-fund @modelcontextprotocol/client@2.4.0 >>npm.log 2>&1
cat >look.mjs <<'JS'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

for (const status of [429, 503]) {
  for (const [name, mode] of Object.entries({ auto: 'auto', pin: { pin: '2026-07-28' } })) {
    const asked = [];
    const fetch = async (url, init) => {
      asked.push(JSON.parse(init.body).method);
      return Response.json({ text: 'too many requests' }, { status, headers: { 'Retry-After': '1' } });
    };
    const client = new Client({ name: 'look', version: '1' }, { versionNegotiation: { mode } });
    try {
      await client.connect(new StreamableHTTPClientTransport(new URL('http://mcp.example/mcp'), { fetch }));
    } catch (error) {
      console.log(`${name} ${status}: ${asked.join(', ')}: ${error.code} ${error.status}`);
    }
  }
}
JS
timeout 60 node look.mjs >seen
cat seen
cat >expected <<'TEXT'
auto 429: server/discover, initialize: CLIENT_HTTP_NOT_IMPLEMENTED 429
pin 429: server/discover: ERA_NEGOTIATION_FAILED undefined
auto 503: server/discover: ERA_NEGOTIATION_FAILED 503
pin 503: server/discover: ERA_NEGOTIATION_FAILED 503
TEXT
diff -u expected seen
