#!/bin/sh
# A 401 may offer several ways to authenticate, in one WWW-Authenticate or in several (RFC 9110
# section 11.6.1); fetch joins them by ", ". The MCP client (@modelcontextprotocol/client 2.4.0) looks
# at the first alone: behind a Basic it finds neither the scope nor `resource_metadata` of the Bearer
# (RFC 9728 section 5.1). Nor does it read parameters whose names are not in lower case, or that have
# a blank before the `=`. oauth4webapi 3.8.8 reads all of them. So a server that offers Basic as well
# puts Bearer first.
#
# Seen 2026-11-30 (node 20): client 2.4.0, oauth4webapi 3.8.8
#   Bearer, Basic: docs, metadata; docs, metadata
#   Basic, Bearer: nothing; docs, metadata
#   Basic and Bearer in two headers: nothing; docs, metadata
#   Scope=, Resource_metadata=: nothing; docs, metadata
#   scope =, resource_metadata =: nothing; docs, metadata
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >npm.log
npm install --silent --no-audit --no-fund @modelcontextprotocol/client@2.4.0 oauth4webapi@3.8.8 >>npm.log 2>&1
cat >look.mjs <<'JS'
import { extractWWWAuthenticateParams } from '@modelcontextprotocol/client';
import * as oauth from 'oauth4webapi';
const metadata = 'https://mcp.example/.well-known/oauth-protected-resource/mcp';
const basic = 'Basic realm="api", charset="UTF-8"';
const bearer = `Bearer realm="api", scope="docs", resource_metadata="${metadata}"`;
const cases = {
  'Bearer, Basic': [`${bearer}, ${basic}`],
  'Basic, Bearer': [`${basic}, ${bearer}`],
  'Basic and Bearer in two headers': [basic, bearer],
  'Scope=, Resource_metadata=': [bearer.replace('scope', 'Scope').replace('resource', 'Resource')],
  'scope =, resource_metadata =': [bearer.replace('scope=', 'scope = ').replace('metadata=', 'metadata = ')],
};
const say = (scope, address) =>
  [scope, address && String(address) === metadata && 'metadata'].filter(Boolean).join(', ') || 'nothing';
for (const [name, values] of Object.entries(cases)) {
  const headers = new Headers();
  for (const value of values) headers.append('WWW-Authenticate', value);
  const answer = () => new Response('{}', { status: 401, headers });
  const read = extractWWWAuthenticateParams(answer());
  const error = await oauth.protectedResourceRequest('token', 'GET', new URL('https://mcp.example/mcp'),
    undefined, undefined, { [oauth.customFetch]: async () => answer() }).catch(error => error);
  const challenge = error.cause.find(each => each.scheme === 'bearer')?.parameters ?? {};
  console.log(`${name}: ${say(read.scope, read.resourceMetadataUrl)}; ${say(challenge.scope, challenge.resource_metadata)}`);
}
JS
timeout 60 node look.mjs >seen
cat seen
cat >expected <<'TEXT'
Bearer, Basic: docs, metadata; docs, metadata
Basic, Bearer: nothing; docs, metadata
Basic and Bearer in two headers: nothing; docs, metadata
Scope=, Resource_metadata=: nothing; docs, metadata
scope =, resource_metadata =: nothing; docs, metadata
TEXT
diff -u expected seen
