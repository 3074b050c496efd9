// OAuth clients from npm, each used as its own page says, against a server behind TLS:
// simple-oauth2, oauth4webapi and openid-client. What they log in with, refresh, exchange, ask about
// and revoke (RFC 6749, 7009, 7662, 8414, 8693).
//
// usage: node oauth_clients.mjs PROGRAM
import { makeKey, run, start, stop, tls, trust, written } from './service.mjs';
import { library, plan, same, tap, thrown } from './support.mjs';

const [simple, oauth, openid] = [await library('simple-oauth2'), await library('oauth4webapi'),
  await library('openid-client')];
const credentials = trust(); // from here on the process knows the certificate

let upstream = '';
const issuer = await tls(credentials, () => upstream);
const key = makeKey('account,wallet');
const asker = makeKey('introspect');
run(['user', 'create', 'alice', '--permissions', 'account,wallet'], 'correct horse\n');
upstream = await start({ issuer, behind_tls: true, access_life: 300, refresh_retry: 0 });

const TYPE = 'urn:ietf:params:oauth:token-type:';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const secrets = [key.key, asker.key, 'correct horse'];
const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

async function logIn() {
  const answer = await fetch(`${issuer}/v1/auth/login`, { method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ login: 'alice', password: 'correct horse' }) });
  return answer.json();
}

// What the API says of a token: its permissions, or the status.
async function permissionsOf(token) {
  secrets.push(token);
  const answer = await fetch(`${issuer}/v2/tokeninfo`, { headers: { Authorization: `Bearer ${token}` } });
  return answer.ok ? (await answer.json()).permissions : answer.status;
}

// ---- simple-oauth2: its paths are the server's without any setting

for (const authorizationMethod of ['header', 'body']) {
  const config = { client: { id: key.id, secret: key.key }, auth: { tokenHost: issuer },
    options: { authorizationMethod } };
  const client = new simple.ClientCredentials(config);
  const token = await client.getToken({ scope: 'account' });
  const held = await permissionsOf(token.token.access_token);
  tap(same(held, ['account']) && !token.expired() && token.expired(300),
    `simple-oauth2, ${authorizationMethod}: client credentials`, token.token);
  await token.revoke('access_token');
  tap(await permissionsOf(token.token.access_token) === 401,
    `simple-oauth2, ${authorizationMethod}: a token revoked`);
  const wrong = new simple.ClientCredentials({ ...config, client: { id: key.id, secret: asker.key } });
  const error = await thrown(wrong.getToken({}));
  tap(error?.data?.payload?.error === 'invalid_client' &&
    error.output.statusCode === (authorizationMethod === 'header' ? 401 : 400),
  `simple-oauth2, ${authorizationMethod}: a wrong secret`, error?.data?.payload);

  // A login that was kept, as its page keeps it.
  const logins = new simple.ResourceOwnerPassword(config);
  let session = logins.createToken({ ...await logIn(), expires_in: -1 });
  const before = session.token.refresh_token;
  if (session.expired()) session = await session.refresh({ scope: 'account' });
  tap(session.token.refresh_token !== before &&
    same(await permissionsOf(session.token.access_token), ['account']),
  `simple-oauth2, ${authorizationMethod}: a session refreshed`, session.token);
  session = await session.refresh();
  tap(same(await permissionsOf(session.token.access_token), ['account', 'wallet']),
    `simple-oauth2, ${authorizationMethod}: and again, with all that it has`, session.token);
  await session.revokeAll();
  const over = await thrown(session.refresh());
  tap(await permissionsOf(session.token.access_token) === 401 &&
    over?.data?.payload?.error === 'invalid_grant',
  `simple-oauth2, ${authorizationMethod}: a session revoked`, over?.data?.payload);
}

// ---- oauth4webapi: what it knows of the server, it reads there

const issuerUrl = new URL(issuer);
const as = await oauth.processDiscoveryResponse(issuerUrl,
  await oauth.discoveryRequest(issuerUrl, { algorithm: 'oauth2' }));
tap(as.token_endpoint === `${issuer}/oauth/token` &&
  as.revocation_endpoint === `${issuer}/oauth/revoke` &&
  as.introspection_endpoint === `${issuer}/oauth/introspect` &&
  same(as.grant_types_supported, ['client_credentials', 'refresh_token', EXCHANGE]) &&
  same(as.response_types_supported, []), 'oauth4webapi: the metadata', as);

const client = { client_id: key.id };
const askingClient = { client_id: asker.id };
for (const name of ['ClientSecretBasic', 'ClientSecretPost']) {
  const authentication = oauth[name](key.key);
  const granted = await oauth.processClientCredentialsResponse(as, client,
    await oauth.clientCredentialsGrantRequest(as, client, authentication, { scope: 'wallet' }));
  tap(granted.token_type === 'bearer' && granted.scope === 'wallet' && granted.expires_in <= 300 && granted.expires_in > 290 &&
    same(await permissionsOf(granted.access_token), ['wallet']),
  `oauth4webapi, ${name}: client credentials`, granted);

  const asking = oauth[name](asker.key);
  const ask = async (token) => oauth.processIntrospectionResponse(as, askingClient,
    await oauth.introspectionRequest(as, askingClient, asking, token));
  const told = await ask(granted.access_token);
  const { iat, exp } = claims(granted.access_token);
  tap(same(told, { active: true, scope: 'wallet', sub: key.sub, iat, exp, token_type: 'Bearer',
    client_id: key.id }), `oauth4webapi, ${name}: a token asked about`, told);
  await oauth.processRevocationResponse(
    await oauth.revocationRequest(as, client, authentication, granted.access_token));
  tap(same(await ask(granted.access_token), { active: false }) &&
    await permissionsOf(granted.access_token) === 401, `oauth4webapi, ${name}: and revoked`);
  const denied = await thrown((async () => oauth.processIntrospectionResponse(as, client,
    await oauth.introspectionRequest(as, client, authentication, granted.access_token)))());
  tap(denied !== null && denied.cause?.[0]?.parameters?.error === 'insufficient_scope',
    `oauth4webapi, ${name}: who may not ask`, String(denied?.cause));

  const login = await logIn();
  const again = await oauth.processRefreshTokenResponse(as, client,
    await oauth.refreshTokenGrantRequest(as, client, authentication, login.refresh_token));
  tap(again.scope === 'account wallet' && again.refresh_token !== login.refresh_token &&
    (await ask(again.access_token)).username === 'alice',
  `oauth4webapi, ${name}: a session refreshed`, again);
  const reused = await thrown((async () => oauth.processRefreshTokenResponse(as, client,
    await oauth.refreshTokenGrantRequest(as, client, authentication, login.refresh_token)))());
  tap(reused?.error === 'invalid_grant' && await permissionsOf(again.access_token) === 401,
    `oauth4webapi, ${name}: a refresh token used twice ends the session`, String(reused));
}

const wrong = await thrown((async () => oauth.processClientCredentialsResponse(as, client,
  await oauth.clientCredentialsGrantRequest(as, client, oauth.ClientSecretBasic('x'), {})))());
tap(wrong?.status === 401 && wrong.cause?.[0]?.scheme === 'basic' &&
  wrong.cause[0].parameters.realm === 'subtoken', 'oauth4webapi: the challenge for a wrong secret',
String(wrong?.cause));

const exchanged = async (parameters) => oauth.processGenericTokenEndpointResponse(as, client,
  await oauth.genericTokenEndpointRequest(as, client, oauth.None(), EXCHANGE,
    { subject_token: key.key, subject_token_type: `${TYPE}access_token`, ...parameters }));
const forEu = await exchanged({ audience: 'eu', scope: 'account' });
tap(claims(forEu.access_token).aud === 'eu' && forEu.scope === 'account',
  'oauth4webapi: an exchange for an audience', forEu);
const other = await thrown(exchanged({ audience: 'us', subject_token: forEu.access_token }));
tap(other?.error === 'invalid_target', 'oauth4webapi: which nothing made of it can leave', String(other));

// ---- openid-client

const config = await openid.discovery(issuerUrl, key.id, key.key, openid.ClientSecretBasic(key.key),
  { algorithm: 'oauth2' });
const askingConfig = await openid.discovery(issuerUrl, asker.id, asker.key, undefined,
  { algorithm: 'oauth2' }); // in the body, as it does by itself
const tokens = await openid.clientCredentialsGrant(config, { scope: 'account' });
const info = await openid.fetchProtectedResource(config, tokens.access_token,
  new URL(`${issuer}/v2/tokeninfo`), 'GET');
tap(tokens.scope === 'account' && tokens.expiresIn() > 290 &&
  same((await info.json()).permissions, ['account']), 'openid-client: client credentials', tokens);
const known = await openid.tokenIntrospection(askingConfig, tokens.access_token);
tap(known.active && known.client_id === key.id && known.scope === 'account',
  'openid-client: a token asked about', known);
await openid.tokenRevocation(config, tokens.access_token);
tap((await openid.tokenIntrospection(askingConfig, tokens.access_token)).active === false,
  'openid-client: and revoked');
const login = await logIn();
const refreshed = await openid.refreshTokenGrant(config, login.refresh_token);
tap(same(await permissionsOf(refreshed.access_token), ['account', 'wallet']),
  'openid-client: a session refreshed', refreshed);
await openid.tokenRevocation(config, refreshed.refresh_token, { token_type_hint: 'refresh_token' });
tap(await permissionsOf(refreshed.access_token) === 401, 'openid-client: a session revoked');
const forUs = await openid.genericGrantRequest(config, EXCHANGE,
  { subject_token: key.key, subject_token_type: `${TYPE}access_token`, audience: 'us' });
tap(claims(forUs.access_token).aud === 'us' && forUs.issued_token_type === `${TYPE}access_token`,
  'openid-client: an exchange for an audience', forUs);
const tooMuch = await thrown(openid.clientCredentialsGrant(config, { scope: 'guilds' }));
tap(tooMuch?.error === 'invalid_scope' && tooMuch.status === 400, 'openid-client: more than the key has',
  String(tooMuch));

const ended = await stop();
tap(ended === 0 && !secrets.some((secret) => written().includes(secret)), 'the log has no secret', ended);
plan();
