// A program whose types and calls are made of /openapi.json by openapi-typescript and openapi-fetch: it makes a subtoken,
// looks into it, revokes it and sees it refused; then it manages a key. `tsc` refuses it when the document and this
// disagree. Run by tests/e2e/test_openapi.py: node client.js URL, with the whole key in SUBTOKEN_KEY.
import createClient from 'openapi-fetch';
import type { components, paths } from './api.js';

// Of Node's own types this is all that is needed.
declare const process: { argv: string[]; env: Record<string, string> };

const baseUrl = process.argv[2] ?? '';
const key = process.env.SUBTOKEN_KEY ?? '';
const as = (credential: string) => ({ headers: { Authorization: `Bearer ${credential}` } });
// Lists have commas, as the document says; openapi-fetch repeats the parameter unless it is told.
const whole = createClient<paths>({ baseUrl, ...as(key), querySerializer: { array: { style: 'form', explode: false } } });
const said: Record<string, unknown> = {};

function good<T>(name: string, answer: { data?: T; error?: unknown; response: Response }): T {
  if (answer.error !== undefined || answer.data === undefined) {
    throw new Error(`${name}: ${answer.response.status} ${JSON.stringify(answer.error)}`);
  }
  return answer.data;
}

const asked: components['schemas']['SubtokenRequest'] = { permissions: ['account'], urls: ['GET:/v2/tokeninfo'] };
const worth = good('preview', await whole.POST('/v2/previewsubtoken', { body: asked }));
said.preview = worth.permissions;
const { subtoken } = good('create', await whole.POST('/v2/createsubtoken', { body: asked }));
const query = good('create by query', await whole.GET('/v2/createsubtoken', {
  params: { query: { permissions: ['account', 'none'], urls: ['/v2/tokeninfo', '/v2/account/*'] } },
}));

const small = createClient<paths>({ baseUrl, ...as(subtoken) });
const info = good('look', await small.GET('/v2/tokeninfo', { params: { query: { v: 'latest' } } }));
said.type = info.type;
said.permissions = info.permissions;
said.urls = info.urls;
const other = good('look at the other', await createClient<paths>({ baseUrl, ...as(query.subtoken) }).GET('/v2/tokeninfo', {
  params: { header: { 'X-Schema-Version': 'latest' } },
}));
said.otherUrls = other.urls;

const form = { headers: { 'Content-Type': 'application/x-www-form-urlencoded' } };
const introspected = good('introspect', await whole.POST('/oauth/introspect', { body: { token: subtoken }, ...form }));
said.active = introspected.active;
if (introspected.active) said.scope = introspected.scope;

const revoked = await createClient<paths>({ baseUrl }).POST('/oauth/revoke', { body: { token: subtoken }, ...form });
good('revoke', revoked);
said.sequence = Number(revoked.response.headers.get('Subtoken-Seq')) > 0;
const refused = await small.GET('/v2/tokeninfo');
said.refused = [refused.response.status, refused.error];

const made = good('make a key', await whole.POST('/v2/keys', { body: { name: 'generated', permissions: ['account'], expires: '1h' } }));
said.key = made.key.startsWith(made.id);
const path = { params: { path: { id: made.id } } };
const changed = good('disable', await whole.PATCH('/v2/keys/{id}', { ...path, body: { disabled: true } }));
said.state = changed.state;
const rotated = good('rotate', await whole.POST('/v2/keys/{id}/rotate', { ...path, body: { overlap: '1h' } }));
said.rotated = rotated.key !== made.key && rotated.sub === made.sub;
said.deleted = (await whole.DELETE('/v2/keys/{id}', path)).response.status;
const gone = await whole.GET('/v2/keys/{id}', path);
said.gone = [gone.response.status, gone.error?.text];
console.log(JSON.stringify(said));
