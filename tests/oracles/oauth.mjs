// oauth4webapi (from npm), a strict OAuth client, against a server: token exchange by RFC 8693,
// what it makes of our refusals, and of our challenges.
//
// usage: node oauth.mjs PROGRAM
import { makeKey, run, start, stop, written } from './service.mjs';
import { library, plan, same, tap, thrown } from './support.mjs';

const oauth = await library('oauth4webapi');

const TYPE = 'urn:ietf:params:oauth:token-type:';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const insecure = { [oauth.allowInsecureRequests]: true }; // loopback has no TLS

const alice = 'alice';
const key = makeKey('account,wallet,a.b:c/d');
run(['user', 'create', alice, '--permissions', 'account'], 'correct horse\n');
const url = await start();
const as = { issuer: url, token_endpoint: `${url}/oauth/token` };
const client = { client_id: alice };

async function exchange(parameters, authentication = oauth.None(), grant = EXCHANGE) {
  const asked = { subject_token: key.key, subject_token_type: `${TYPE}access_token`, ...parameters };
  const response = await oauth.genericTokenEndpointRequest(as, client, authentication, grant, asked,
    insecure);
  return [response, await oauth.processGenericTokenEndpointResponse(as, client, response)];
}

const resource = (token, path) =>
  oauth.protectedResourceRequest(token, 'GET', new URL(url + path), undefined, undefined, insecure);

async function permissionsOf(token) {
  return (await (await resource(token, '/v2/tokeninfo')).json()).permissions;
}

// ---- what is granted

const [response, narrow] = await exchange({
  scope: 'wallet a.b:c/d', requested_token_type: `${TYPE}jwt` });
tap(narrow.token_type === 'bearer' && narrow.issued_token_type === `${TYPE}jwt` &&
  narrow.scope === 'wallet a.b:c/d' && narrow.expires_in === 900 &&
  narrow.refresh_token === undefined, 'a key for a narrower access token', narrow);
tap(response.headers.get('cache-control') === 'no-store' &&
  response.headers.get('pragma') === 'no-cache', 'which no cache keeps',
  [...response.headers]);
tap(same(await permissionsOf(narrow.access_token), ['wallet', 'a.b:c/d']),
  'and which is good for what was asked');
const [, less] = await exchange({ subject_token: narrow.access_token, scope: 'wallet',
  subject_token_type: `${TYPE}jwt` });
tap(less.scope === 'wallet' && less.issued_token_type === `${TYPE}access_token` &&
  less.expires_in <= 900 && same(await permissionsOf(less.access_token), ['wallet']),
  'exchanged again for less', less);

// A client's own credentials are nobody's here: neither a user's, nor a reason to refuse.
for (const name of ['ClientSecretBasic', 'ClientSecretPost']) {
  const [, all] = await exchange({}, oauth[name]('no password of hers'));
  tap(all.scope === 'account wallet a.b:c/d', `${name} changes nothing`, all);
}

// ---- what is refused

const dead = makeKey('account');
const [, orphan] = await exchange({ subject_token: dead.key });
run(['key', 'delete', dead.id]);
const refusals = [
  ['invalid_scope', 'more than the key has', { scope: 'wallet guilds' }],
  ['invalid_scope', 'a scope of no form', { scope: 'wallet  account' }],
  ['invalid_target', 'an audience of another form', { audience: 'https://api.example' }],
  ['invalid_target', 'a resource', { resource: 'https://api.example/' }],
  ['invalid_request', 'a key that was deleted', { subject_token: dead.key }],
  ['invalid_request', 'a token of such a key', { subject_token: orphan.access_token }],
  ['invalid_request', 'what never was one', { subject_token: `${narrow.access_token}x` }],
  ['invalid_request', 'a key that says it is a JWT', { subject_token_type: `${TYPE}jwt` }],
  ['invalid_request', 'an actor', { actor_token: key.key, actor_token_type: `${TYPE}jwt` }],
  ['invalid_request', 'a SAML assertion', { requested_token_type: `${TYPE}saml2` }],
  ['invalid_client', 'client_credentials without any', {}, 'client_credentials'],
  ['unsupported_grant_type', 'a password', { username: alice, password: 'correct horse' }, 'password'],
];
for (const [error, name, parameters, grant] of refusals) {
  const got = await thrown(exchange(parameters, oauth.None(), grant));
  tap(got instanceof oauth.ResponseBodyError && got.error === error && got.status === 400 &&
    got.error_description.length > 0 && !got.error_description.includes(key.key.slice(0, 36)),
  `${error}: ${name}`, String(got?.cause ?? got));
}

// ---- what the resource says of it (RFC 6750)

const challenge = async (token, path) => {
  const got = await thrown(resource(token, path));
  return got instanceof oauth.WWWAuthenticateChallengeError && got.cause.length === 1 &&
    [got.status, got.cause[0].scheme, got.cause[0].parameters.error];
};
const revoked = await challenge(orphan.access_token, '/v2/tokeninfo');
tap(same(revoked, [401, 'bearer', 'invalid_token']), 'a challenge for one that has ended',
  revoked);
const lacking = await challenge(narrow.access_token, '/v2/revocations');
tap(same(lacking, [403, 'bearer', 'insufficient_scope']), 'and for one that lacks a scope',
  lacking);

const ended = await stop();
tap(ended === 0 && !written().includes('login_failed'), 'nobody tried to log in', ended);
tap(![key.key, dead.key, narrow.access_token, 'no password of hers', 'correct horse']
  .some((secret) => written().includes(secret)), 'the log has no secret');
plan();
