#!/bin/sh
# openapi-fetch 0.17.0, given the form of an OAuth token request as URLSearchParams, as `fetch` takes it, sends
# the JSON object {}: every parameter is lost, and nothing is said. With the media type named, as the API's
# description names it for that call, it sends the form; so do plain objects then. Lists in a query are
# repeated, whatever `explode` says in the description: its types are known to the compiler alone.
#
# Seen 2026-11-30 (node 20):
#   URLSearchParams: application/json: {}
#   URLSearchParams, named: application/x-www-form-urlencoded: grant_type=client_credentials
#   object, named: application/x-www-form-urlencoded: grant_type=client_credentials
#   list: ?permissions=a&permissions=b
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >npm.log
npm install --silent --no-audit --no-fund openapi-fetch@0.17.0 >>npm.log 2>&1
cat >look.mjs <<'JS'
import createClient from 'openapi-fetch';

const fetch = async (request) => {
  const type = request.headers.get('Content-Type');
  console.log(type === null ? `list: ${new URL(request.url).search}` : `${name}: ${type}: ${await request.text()}`);
  return Response.json({});
};
const client = createClient({ baseUrl: 'http://issuer.example', fetch });
const grant = { grant_type: 'client_credentials' };
const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
let name = 'URLSearchParams';
await client.POST('/oauth/token', { body: new URLSearchParams(grant) });
name = 'URLSearchParams, named';
await client.POST('/oauth/token', { body: new URLSearchParams(grant), headers });
name = 'object, named';
await client.POST('/oauth/token', { body: grant, headers });
await client.GET('/v2/createsubtoken', { params: { query: { permissions: ['a', 'b'] } } });
JS
timeout 60 node look.mjs >seen
cat seen
cat >expected <<'TEXT'
URLSearchParams: application/json: {}
URLSearchParams, named: application/x-www-form-urlencoded: grant_type=client_credentials
object, named: application/x-www-form-urlencoded: grant_type=client_credentials
list: ?permissions=a&permissions=b
TEXT
diff -u expected seen
