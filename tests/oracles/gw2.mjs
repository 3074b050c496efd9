// Client libraries of the Guild Wars 2 API from npm, each as it comes but for the host, which is ours:
// @gw2api/fetch and gw2api-client. They ask the server itself, and an API that asks the server whether
// each request may pass. Both send the credential as access_token= in the query.
//
// usage: node gw2.mjs PROGRAM
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { makeKey, run, scratch, start, stop, written } from './service.mjs';
import { library, plan, same, tap, thrown } from './support.mjs';

const [{ fetchGw2Api, Gw2ApiError }, { default: gw2client }] =
  [await library('@gw2api/fetch'), await library('gw2api-client')];
const key = makeKey('account,characters,inventories');
// What each path needs, as in the game.
const policy = join(scratch, 'policy.json');
writeFileSync(policy, JSON.stringify({ default: 'deny', routes: [{ path: '/v2/tokeninfo' },
  { path: '/v2/account', needs: ['account'] }, { path: '/v2/account/bank', needs: ['account', 'inventories'] },
  { path: '/v2/characters', needs: ['account', 'characters'] }] }));
const origin = await start({ policy });
const secrets = [key.key];

const answers = { '/v2/account': { name: 'Somebody.1234', world: 1001 }, '/v2/account/bank': [null, { id: 1, count: 2 }],
  '/v2/characters': ['Zoë the Brave'], '/v2/characters?id=Zo%C3%AB%20the%20Brave': { name: 'Zoë the Brave' } };
const asked = [];
const api = http.createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, origin);
  const id = searchParams.get('id');
  asked.push(request.url);
  const decision = await fetch(`${origin}/v2/authorize${request.url}`);
  const text = decision.status === 200
    ? JSON.stringify(answers[pathname + (id === null ? '' : `?id=${encodeURIComponent(id)}`)]) : await decision.text();
  response.writeHead(decision.status, { 'Content-Type': 'application/json; charset=utf-8' }).end(text);
});
await new Promise((done) => { api.listen(0, '127.0.0.1', done); });
const edge = `http://127.0.0.1:${api.address().port}`;

// ---- @gw2api/fetch

const fetched = (host, endpoint, accessToken, schema = 'latest') => fetchGw2Api(endpoint, { accessToken, schema,
  onRequest: (request) => new Request(request.url.replace('https://api.guildwars2.com', host), request) });

const info = await fetched(origin, '/v2/tokeninfo', key.key, '2019-05-22T00:00:00.000Z');
tap(info.id === key.key.slice(0, 36) && info.name === 'oracle' && info.type === 'APIKey' &&
  same([...info.permissions].sort(), ['account', 'characters', 'inventories']), '@gw2api/fetch: tokeninfo of a key', info);

const expire = new Date(Date.now() + 3600e3).toISOString();
const made = async (query) => {
  const { subtoken } = await fetched(origin, `/v2/createsubtoken?${query}`, key.key);
  secrets.push(subtoken);
  return subtoken;
};
const subtoken = await made(`expire=${expire}&permissions=account,characters&urls=${encodeURIComponent('/v2/tokeninfo,/v2/account,/v2/account/bank,/v2/characters')}`);
const told = await fetched(origin, '/v2/tokeninfo', subtoken);
tap(told.type === 'Subtoken' && Date.parse(told.expires_at) === Math.floor(Date.parse(expire) / 1000) * 1000 &&
  Date.parse(told.issued_at) <= Date.now() && same([...told.permissions].sort(), ['account', 'characters']) &&
  same([...told.urls].sort(), ['/v2/account', '/v2/account/bank', '/v2/characters', '/v2/tokeninfo']),
'@gw2api/fetch: createsubtoken, and tokeninfo of what it made', told);

for (const [what, host, endpoint, token, status, text] of [
  ['no key', origin, '/v2/tokeninfo', 'nobody', 401, 'Invalid access token'],
  ['a url that the subtoken does not list', origin, '/v2/createsubtoken', subtoken, 403, 'this subtoken does not list this url'],
  ['a date that is none', origin, '/v2/createsubtoken?expire=tomorrow', key.key, 400, 'expire: must be'],
  ['a permission that lacks', edge, '/v2/account/bank', subtoken, 403, 'requires scope inventories'],
  ['a token that is none', edge, '/v2/account', 'nobody', 401, 'Invalid access token'],
]) {
  const error = await thrown(fetched(host, endpoint, token));
  tap(error instanceof Gw2ApiError && error.response.status === status && error.message.includes(text) &&
    !error.message.includes(token === 'nobody' ? 'access_token=nobody' : token), `@gw2api/fetch: ${what}`, String(error));
}
tap(same(await fetched(edge, '/v2/account', subtoken), answers['/v2/account']), '@gw2api/fetch: a subtoken at the API');

// ---- gw2api-client: its addresses end in what `id` and `v` say

function client(host, token) {
  const each = gw2client().authenticate(token);
  each.schema('latest');
  return { of: (name) => Object.assign(each[name](), { baseUrl: host }) };
}
const whole = client(origin, key.key), part = client(origin, subtoken), there = client(edge, subtoken);
tap((await whole.of('tokeninfo').get()).type === 'APIKey' && (await part.of('tokeninfo').get()).type === 'Subtoken',
  'gw2api-client: tokeninfo of a key and of a subtoken');
tap(same(await there.of('account').get(), answers['/v2/account']), 'gw2api-client: a subtoken at the API');
tap(same(await there.of('characters').ids(), answers['/v2/characters']), 'gw2api-client: a list that needs another permission');
const one = await there.of('characters').get('Zoë the Brave');
tap(one.name === 'Zoë the Brave', 'gw2api-client: one of them by its name in the query', [one, asked.at(-1)]);
const refused = await thrown(Object.assign(there.of('account').bank(), { baseUrl: edge }).get());
tap(refused?.response?.status === 403 && refused.content.text === 'requires scope inventories',
  'gw2api-client: a permission that lacks', [refused?.message, refused?.content]);

// ---- the key is deleted

run(['key', 'delete', key.key.slice(0, 36)]);
for (const [what, host] of [['the server', origin], ['the API', edge]]) {
  const error = await thrown(fetched(host, '/v2/tokeninfo', subtoken));
  tap(error?.response?.status === 401 && error.message.includes('Invalid access token'), `a deleted key ends its subtoken at ${what}`, String(error));
}
api.close();
tap(await stop() === 0, 'the server ends well');
tap(secrets.every((secret) => !written().includes(secret)), 'no key and no token is in the log');
plan();
process.exit();
