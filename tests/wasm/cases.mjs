// The requests that every edge is held to, and what each must answer. An edge is a function
// send({ method, target, headers, body }) -> { status, headers, body }.
import { same, tap } from './fixture.mjs';

export const POLICY = JSON.stringify({
  default: 'deny',
  preflight: true,
  routes: [
    { path: '/v2/account', methods: ['GET', 'POST', 'PUT'], needs: ['account'] },
    { path: '/v2/account/bank', methods: ['GET'], needs: ['account', 'inventories'] },
    { path: '/v2/characters/*', needs: ['account'] },
    { path: '/v2/any' },
    { path: '/public/*', public: true },
    { path: '/rpc', methods: ['POST'], json_rpc: true },
    { path: '/mcp', needs: ['account'], mcp: { 'tools/call search': ['history_api'], 'tools/call *': ['admin'] },
      resource: 'https://api.example/mcp' },
    { path: '/mcp/headers', needs: ['account'], mcp: { 'tools/call *': ['admin'] }, mcp_headers: '2026-07-28' },
  ],
});

const TYPE = 'application/json; charset=utf-8';
const INVALID = '{"text":"Invalid access token"}';
const AMBIGUOUS = '{"text":"the request target can be read in more than one way"}';
const UNDECIDED = '{"text":"this cannot be decided now; try again later"}';
const NOBODY = { sub: '', tid: '', key: '', owner: '', permissions: [], expires: null };
export const bearer = (token) => ({ Authorization: `Bearer ${token}` });

// What a caller may not say, in the spellings that some API reads as X-Subtoken-Sub.
const SPOOFED = { 'X-Subtoken-Sub': 'evil', 'x_subtoken_owner': 'evil', 'X-Subtoken_Permissions': 'admin',
  'X-SUBTOKEN-KEY': 'evil', 'X-Subtoken-Expires': '9', 'X.Subtoken.Sub': 'evil', 'X-Subtoken-Admin': '1' };

function refused(response, status, body, challenge, more = {}) {
  const { headers } = response;
  return same({
    status: response.status,
    body: response.body,
    type: headers['content-type'],
    challenge: headers['www-authenticate'],
    cache: headers['cache-control'],
    origin: headers['access-control-allow-origin'],
    expose: headers['access-control-expose-headers'],
    sniff: headers['x-content-type-options'],
    retry: headers['retry-after'],
  }, { status, body, type: TYPE, challenge, cache: 'no-store', origin: '*',
    expose: 'WWW-Authenticate, Retry-After', sniff: 'nosniff', retry: more.retry }, more.name);
}

const CHALLENGE = { 400: 'Bearer error="invalid_request"', 401: 'Bearer error="invalid_token"',
  403: 'Bearer error="insufficient_scope"' };

function told(response) {
  try {
    return JSON.parse(response.body);
  } catch {
    return { subtoken: {}, headers: {} };
  }
}

const identityHeaders = (headers) => Object.fromEntries(Object.entries(headers)
  .filter(([name]) => /^x.subtoken/i.test(name)).sort());

// `browser`: what makes the requests is Chromium: its URL parser has read the target, and some
// headers are its own to send. `resolves`: so has what is in front of the middleware. `own`: targets that
// the framework answers with a 400 of its own. `rewrites`: a target that is changed is parsed as a URL.
export async function holds(name, send, { tokens, key, owner, browser = false, resolves = browser, own, rewrites = resolves }) {
  const says = (text) => `${name}: ${text}`;
  let response = await send({ target: '/v2/account' });
  refused(response, 401, INVALID, 'Bearer', { name: says('no credential is 401') });

  response = await send({ target: '/v2/account?a=1', headers: { ...bearer(tokens.all), ...SPOOFED, Accept: 'x/y' } });
  let seen = told(response);
  const { sub } = seen.subtoken;
  tap(response.status === 200 && /^[A-Za-z0-9_-]{43}$/.test(sub), says('a good token passes'), response);
  same(identityHeaders(seen.headers), { 'x-subtoken-expires': `${seen.subtoken.expires}`,
    'x-subtoken-permissions': 'account,inventories,history_api', 'x-subtoken-sub': sub },
  says('and the API sees who it is, and nothing that the caller said of it'));
  same([seen.method, seen.url, seen.headers.accept, seen.subtoken.permissions, seen.subtoken.key],
    ['GET', '/v2/account?a=1', 'x/y', ['account', 'inventories', 'history_api'], ''], says('the rest is as it came'));
  tap(Math.abs(seen.subtoken.expires - Date.now() / 1000 - 30 * 86400) < 3600, says('expires is in seconds'));

  response = await send({ target: '/public/page', headers: { ...SPOOFED, Authorization: 'Bearer nonsense' } });
  seen = told(response);
  same([response.status, identityHeaders(seen.headers), seen.subtoken], [200, {}, NOBODY],
    says('a public route knows nobody'));

  response = await send({ target: '/v2/account/bank', headers: bearer(tokens.account) });
  refused(response, 403, '{"text":"requires scope inventories"}', CHALLENGE[403], { name: says('a permission that is missing is named') });
  response = await send({ method: 'DELETE', target: '/v2/account', headers: bearer(tokens.all) });
  refused(response, 403, '{"text":"the route policy does not allow this request"}', CHALLENGE[403], { name: says('a method that is not listed is 403') });
  response = await send({ target: '/v2/other', headers: bearer(tokens.all) });
  refused(response, 403, '{"text":"the route policy does not allow this request"}', CHALLENGE[403], { name: says('so is a path') });
  response = await send({ target: '/v2/other' });
  refused(response, 401, INVALID, 'Bearer', { name: says('but 401 without a credential') });
  response = await send({ target: '/v2/account', headers: bearer(`${tokens.all.slice(0, -10)}${tokens.all.at(-10) === 'A' ? 'B' : 'A'}${tokens.all.slice(-9)}`) });
  refused(response, 401, INVALID, CHALLENGE[401], { name: says('a token with another signature is 401') });
  response = await send({ target: '/v2/any', headers: bearer(tokens.restricted) });
  refused(response, 403, '{"text":"this subtoken does not list this url"}', CHALLENGE[403], { name: says('a restricted token is held to its urls') });
  response = await send({ target: '/v2/characters/x', headers: bearer(tokens.restricted) });
  same(response.status, 200, says('and passes at these'));

  response = await send({ target: '/v2/characters/../account/bank', headers: bearer(tokens.account) });
  if (resolves) {
    refused(response, 403, '{"text":"requires scope inventories"}', CHALLENGE[403], { name: says('dot segments are resolved before all else') });
  } else {
    refused(response, 400, AMBIGUOUS, undefined, { name: says('a target with dot segments is 400') });
  }
  for (const target of ['/v2/characters/%2e%2E/any', '/v2/characters/..%2fany', '/v2/characters//any', '/v2/characters/a;b',
    '/v2/characters\\any', '/public/%00', '/v2/characters/%zz', '//public/x']) {
    if ((resolves && /2E|\\/.test(target)) || own?.test(target)) continue;
    refused(await send({ target, headers: bearer(tokens.all) }), 400, AMBIGUOUS, undefined,
      { name: says(`so is ${target}`) });
  }

  response = await send({ target: `/v2/account?x=%2F&access%5Ftoken=${tokens.all}&y='2'`,
    headers: { Referer: 'https://a.example/?access_token=x&z=1' } });
  seen = told(response);
  same([response.status, seen.url, seen.headers?.referer],
    [200, rewrites ? '/v2/account?x=%2F&y=%272%27' : '/v2/account?x=%2F&y=\'2\'', browser ? undefined : 'https://a.example/?z=1'],
    says('access_token= is read, and not passed on'));
  response = await send({ target: `/v2/account?access_token=${tokens.account}`, headers: bearer(tokens.all) });
  refused(response, 400, '{"text":"more than one credential"}', CHALLENGE[400], { name: says('two credentials are 400') });
  response = await send({ target: '/v2/account', headers: { Authorization: [`Bearer ${tokens.all}`, `Bearer ${tokens.all}`] } });
  refused(response, 400, '{"text":"more than one credential"}', CHALLENGE[400], { name: says('so are two Authorization headers') });
  response = await send({ target: '/v2/account', headers: { 'X-API-Key': tokens.all } });
  same(response.status, 200, says('X-API-Key carries a token, too'));

  response = await send({ target: '/v2/account', headers: { ...bearer(key), ...SPOOFED } });
  seen = told(response);
  same([response.status, seen.subtoken.key, seen.subtoken.owner, seen.subtoken.permissions, seen.headers['x-subtoken-key'],
    seen.headers['x-subtoken-owner']],
  [200, key.slice(0, 36), owner, ['account', 'history_api'], key.slice(0, 36), owner], says('the server is asked about a whole key'));
  same(identityHeaders(seen.headers)['x-subtoken-sub'], seen.subtoken.sub, says('whose sub the API gets'));
  response = await send({ target: `/v2/account?access_token=${key}&q=1` });
  same([response.status, told(response).url], [200, '/v2/account?q=1'], says('also one in the query'));
  response = await send({ target: '/v2/account/bank', headers: { 'X-API-Key': key } });
  refused(response, 403, '{"text":"requires scope inventories"}', CHALLENGE[403], { name: says('what it may do is decided here') });
  response = await send({ target: '/v2/account', headers: bearer(`${key.slice(0, -1)}${key.endsWith('0') ? '1' : '0'}`) });
  refused(response, 401, INVALID, CHALLENGE[401], { name: says('an unknown key is 401') });

  if (!browser) {
    response = await send({ method: 'OPTIONS', target: '/v2/account', headers: { Origin: 'https://a.example',
      'Access-Control-Request-Method': 'GET' } });
    same([response.status, told(response).method], [200, 'OPTIONS'], says('a preflight gets to the API'));
  }
  response = await send({ method: 'HEAD', target: '/v2/account' });
  same([response.status, response.body, response.headers['www-authenticate']], [401, '', 'Bearer'], says('HEAD has no body'));

  const json = { 'Content-Type': 'application/json', ...bearer(tokens.all) };
  const call = '{"method":"call","params":["history","get_account_history",[]]}';
  response = await send({ method: 'POST', target: '/rpc', headers: json, body: call });
  same([response.status, told(response).body], [200, call], says('a JSON-RPC call passes with its body'));
  response = await send({ method: 'POST', target: '/rpc', headers: json, body: '{"method":"call","params":["network","x",[]]}' });
  refused(response, 403, '{"text":"requires scope network_api"}', CHALLENGE[403], { name: says('one without its permission is 403') });
  response = await send({ method: 'POST', target: '/rpc', headers: json, body: '{"method":"a","method":"b"}' });
  refused(response, 400, '{"text":"the body is no JSON-RPC request that can be read in one way only"}', undefined, { name: says('one that can be read in two ways is 400') });
  response = await send({ method: 'POST', target: '/rpc', headers: { ...json, ...bearer(key) }, body: call });
  same([response.status, told(response).body], [200, call], says('the same with a whole key'));
  const long = `{"method":"call","params":["history","${'x'.repeat(200000)}",[]]}`;
  response = await send({ method: 'POST', target: '/rpc', headers: json, body: long });
  same([response.status, told(response).body === long], [200, true], says('a long body comes whole'));
  response = await send({ method: 'POST', target: '/rpc', headers: { ...json, ...(browser ? {} : { 'Transfer-Encoding': 'chunked' }) },
    body: `{"method":"${'x'.repeat(300000)}"}` });
  refused(response, 413, '{"text":"the body is longer than 262144 bytes"}', undefined, { name: says('one that is too long is 413') });
  response = await send({ method: 'POST', target: '/rpc', headers: { ...json, 'Content-Encoding': 'gzip' }, body: call });
  refused(response, 415, '{"text":"the body must be sent as it is, in UTF-8"}', undefined, { name: says('an encoded one is 415') });
  response = await send({ method: 'POST', target: '/rpc', headers: { ...json, 'Content-Type': 'application/json; charset=utf-7' }, body: call });
  refused(response, 415, '{"text":"the body must be sent as it is, in UTF-8"}', undefined, { name: says('one in another charset is 415') });
  response = await send({ method: 'POST', target: '/rpc', headers: { ...json, 'Content-Type': 'application/json; charset="UTF-8"' }, body: call });
  same(response.status, 200, says('one that names UTF-8 passes'));
  const tool = (called, id = 1) => JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: called, arguments: { q: 'é' } } });
  response = await send({ method: 'POST', target: '/mcp', headers: { ...json, 'Mcp-Method': 'tools/call', 'Mcp-Name': 'search' }, body: tool('search') });
  same([response.status, told(response).body], [200, tool('search')], says('a call of MCP passes with its body'));
  response = await send({ method: 'POST', target: '/mcp', headers: json, body: `[${tool('search')},${tool('drop', 2)}]` });
  refused(response, 403, '{"text":"requires scope admin"}', 'Bearer error="insufficient_scope", scope="admin"', { name: says('a batch needs all that it calls') });
  response = await send({ method: 'POST', target: '/mcp', headers: { ...json, 'Mcp-Name': 'drop' }, body: tool('search', 'seven') });
  refused(response, 400, '{"jsonrpc":"2.0","id":"seven","error":{"code":-32020,"message":"Mcp-Method and Mcp-Name must agree with the request, '
    + 'and come once"}}', undefined, { name: says('a header that disagrees with the body is 400') });
  response = await send({ target: '/mcp', headers: bearer(tokens.account) });
  same(response.status, 200, says('the stream of a session needs the route\'s permissions alone'));
  const revision = { ...json, 'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': 'tools/call', 'Mcp-Name': 'drop' };
  response = await send({ method: 'POST', target: '/mcp/headers', headers: revision, body: tool('drop') });
  refused(response, 403, '{"text":"requires scope admin"}', 'Bearer error="insufficient_scope", scope="admin"', { name: says('with mcp_headers, too') });
  response = await send({ method: 'PUT', target: '/v2/account', headers: { ...bearer(tokens.all), 'Content-Type': 'text/plain' }, body: 'a body' });
  same([response.status, told(response).body], [200, 'a body'], says('other bodies are not touched'));
}

export async function undecided(name, response) {
  refused(response, 503, UNDECIDED, undefined, { name, retry: '5' });
}
