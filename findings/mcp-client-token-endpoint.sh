#!/bin/sh
# RFC 8414 section 2 lets an authorization server leave authorization_endpoint out where no grant type
# uses it, as one for client_credentials alone does. The MCP clients @modelcontextprotocol/client 2.4.0 and
# @modelcontextprotocol/sdk 1.32.2 refuse such metadata, with an error of their JSON schema, so that their own
# provider for client_credentials cannot log in; any URL there, which nobody asks, is enough. They also send
# `resource` (RFC 8707) with each request for a token. So our metadata name an endpoint, and the token endpoint
# takes a resource.
#
# Seen 2026-11-29 (node 20):
#   client without: ZodError at authorization_endpoint
#   client with: ok
#   sdk without: ZodError at authorization_endpoint
#   sdk with: ok
#   POST /oauth/token grant_type=client_credentials&resource=https%3A%2F%2Fmcp.example%2Fmcp
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >npm.log
npm install --silent --no-audit --no-fund @modelcontextprotocol/client@2.4.0 @modelcontextprotocol/sdk@1.32.2 >>npm.log 2>&1
cat >look.mjs <<'JS'
import { auth, ClientCredentialsProvider, discoverAuthorizationServerMetadata as client } from '@modelcontextprotocol/client';
import { discoverAuthorizationServerMetadata as sdk } from '@modelcontextprotocol/sdk/client/auth.js';

const issuer = 'https://keys.example';
const without = { issuer, token_endpoint: `${issuer}/oauth/token`, response_types_supported: [],
  grant_types_supported: ['client_credentials'], token_endpoint_auth_methods_supported: ['client_secret_basic'] };
const metadata = { without, with: { ...without, authorization_endpoint: `${issuer}/nowhere` } };
for (const [name, discover] of Object.entries({ client, sdk })) {
  for (const [what, document] of Object.entries(metadata)) {
    try {
      await discover(issuer, { fetchFn: async () => Response.json(document) });
      console.log(`${name} ${what}: ok`);
    } catch (error) {
      console.log(`${name} ${what}: ${error.constructor.name} at ${error.issues.map((each) => each.path).join()}`);
    }
  }
}
const provider = new ClientCredentialsProvider({ clientId: 'id', clientSecret: 'secret', expectedIssuer: issuer });
await auth(provider, {
  serverUrl: 'https://mcp.example/mcp',
  fetchFn: async (url, init) => {
    const { pathname } = new URL(url);
    if (pathname.includes('protected-resource')) {
      return Response.json({ resource: 'https://mcp.example/mcp', authorization_servers: [issuer] });
    }
    if (pathname.includes('authorization-server')) return Response.json(metadata.with);
    console.log(init.method, pathname, String(init.body));
    return Response.json({ access_token: 'token', token_type: 'Bearer' });
  },
});
JS
timeout 60 node look.mjs >seen
cat seen
cat >expected <<'TEXT'
client without: ZodError at authorization_endpoint
client with: ok
sdk without: ZodError at authorization_endpoint
sdk with: ok
POST /oauth/token grant_type=client_credentials&resource=https%3A%2F%2Fmcp.example%2Fmcp
TEXT
diff -u expected seen
