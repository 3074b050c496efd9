#!/bin/sh
# `bearer TOKEN` and `Bearer`, two spaces, `TOKEN` are what RFC 9110 section 11.4 calls credentials:
# the scheme is compared without case, and one or more spaces follow it. Of thirteen packages that
# read a Bearer token in Node, four refuse the first and eight the second. So an edge or a client
# that passes a header on must write `Bearer` and one space itself; and a client that takes its
# scheme from `"token_type":"bearer"`, a value that RFC 6749 section 5.1 compares without case, is
# understood by some servers only.
#
# Seen 2026-11-30 (node 20), status of: Bearer, bearer, two spaces
#   200 200 200  passport-jwt 4.0.1, hono/jwt and hono/bearer-auth 4.13.19, @hapi/jwt 3.2.4
#   200 200 401  express-jwt 8.5.1, koa-jwt 4.0.4
#   200 200 400  express-oauth2-jwt-bearer 1.10.0, passport-http-bearer 1.0.1, @fastify/jwt 10.2.8
#   200 401 200  @fastify/bearer-auth 10.1.3
#   200 401 401  express-bearer-token 3.0.0, koa-bearer-token 2.0.2
#   200 400 400  @node-oauth/oauth2-server 5.3.0
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >npm.log
npm install --silent --no-audit --no-fund jsonwebtoken@9.0.3 express@5.3.0 koa@3.3.0 fastify@5.12.8 passport@0.7.0 \
	@hapi/hapi@21.4.10 @hono/node-server@2.1.9 express-jwt@8.5.1 koa-jwt@4.0.4 @fastify/jwt@10.2.8 passport-jwt@4.0.1 \
	passport-http-bearer@1.0.1 hono@4.13.19 @hapi/jwt@3.2.4 express-bearer-token@3.0.0 koa-bearer-token@2.0.2 \
	@node-oauth/oauth2-server@5.3.0 express-oauth2-jwt-bearer@1.10.0 @fastify/bearer-auth@10.1.3 >>npm.log 2>&1
cat >look.mjs <<'JS'
import http from 'node:http';
import { createRequire } from 'node:module';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { bearerAuth } from 'hono/bearer-auth';
import { jwt } from 'hono/jwt';
const require = createRequire(import.meta.url);
const from = name => { const m = require(name); return m.default ?? m; };
const secret = '0123456789abcdef0123456789abcdef';
const token = from('jsonwebtoken').sign({ sub: 'someone' }, secret, { expiresIn: 600 });
const headers = [`Bearer ${token}`, `bearer ${token}`, `Bearer  ${token}`];

const ask = (port, authorization) => new Promise((done, failed) =>
  http.get({ port, host: '127.0.0.1', headers: { authorization } }, answer => { answer.resume(); done(answer.statusCode); })
    .on('error', failed));
const listen = listener => new Promise(done => {
  const server = http.createServer(listener).listen(0, '127.0.0.1', () => done(server));
});
async function look(name, server) {
  const seen = [];
  for (const header of headers) seen.push(await ask((await server).address().port, header));
  console.log(seen.join(' '), '', name);
}
function express(middleware, good = () => true) {
  const app = from('express')();
  app.use(middleware);
  app.get('/', (request, response) => response.sendStatus(good(request) ? 200 : 401));
  app.use((error, request, response, next) => response.sendStatus(error.status ?? 500));
  return listen(app);
}
function passport(strategy, name) {
  const each = new (require('passport').Passport)();
  each.use(strategy);
  return express(each.authenticate(name, { session: false }));
}
function koa(middleware, good = () => true) {
  const app = new (from('koa'))();
  app.silent = true;
  app.use(middleware);
  app.use(context => { context.status = good(context.request) ? 200 : 401; });
  return listen(app.callback());
}
async function fastify(plugin, options, check) {
  const app = from('fastify')();
  app.register(from(plugin), options);
  app.get('/', async request => { await check(request); return 'ok'; });
  await app.listen({ port: 0, host: '127.0.0.1' });
  return app.server;
}
function hono(middleware) {
  const app = new Hono();
  app.use(middleware);
  app.get('/', context => context.text('ok'));
  return listen(getRequestListener(app.fetch));
}
async function hapi() {
  const server = from('@hapi/hapi').server({ port: 0, host: '127.0.0.1' });
  await server.register(from('@hapi/jwt'));
  server.auth.strategy('jwt', 'jwt', { keys: secret, verify: { aud: false, iss: false, sub: false },
    validate: () => ({ isValid: true }) });
  server.auth.default('jwt');
  server.route({ method: 'GET', path: '/', handler: () => 'ok' });
  await server.start();
  return server.listener;
}
function oauth2() {
  const Server = from('@node-oauth/oauth2-server');
  const granted = { accessToken: token, accessTokenExpiresAt: new Date(Date.now() + 1e6), user: {}, client: {} };
  const server = new Server({ model: { getAccessToken: async text => text === token ? granted : null } });
  return listen(async (request, response) => {
    const { headers, method } = request;
    response.statusCode = await server.authenticate(new Server.Request({ headers, method, query: {} }),
      new Server.Response()).then(() => 200, error => error.code);
    response.end();
  });
}
const { ExtractJwt, Strategy: JwtStrategy } = require('passport-jwt');
const { Strategy: BearerStrategy } = require('passport-http-bearer');
const is = request => request.token === token;
await look('express-jwt', express(require('express-jwt').expressjwt({ secret, algorithms: ['HS256'] })));
await look('express-bearer-token', express(from('express-bearer-token')(), is));
await look('express-oauth2-jwt-bearer', express(require('express-oauth2-jwt-bearer').auth({ secret,
  tokenSigningAlg: 'HS256', issuer: 'x', audience: 'x', validators: { iss: false, aud: false } })));
await look('passport-jwt', passport(new JwtStrategy({ secretOrKey: secret,
  jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken() }, (claims, done) => done(null, claims)), 'jwt'));
await look('passport-http-bearer', passport(new BearerStrategy((text, done) => done(null, text === token && {})), 'bearer'));
await look('koa-jwt', koa(from('koa-jwt')({ secret })));
await look('koa-bearer-token', koa(require('koa-bearer-token').bearerToken(), is));
await look('@fastify/jwt', fastify('@fastify/jwt', { secret }, request => request.jwtVerify()));
await look('@fastify/bearer-auth', fastify('@fastify/bearer-auth', { keys: new Set([token]) }, () => {}));
await look('hono/jwt', hono(jwt({ secret, alg: 'HS256' })));
await look('hono/bearer-auth', hono(bearerAuth({ token })));
await look('@hapi/jwt', hapi());
await look('@node-oauth/oauth2-server', oauth2());
process.exit(0);
JS
timeout 120 node look.mjs >seen
cat seen
cat >expected <<'TEXT'
200 200 401  express-jwt
200 401 401  express-bearer-token
200 200 400  express-oauth2-jwt-bearer
200 200 200  passport-jwt
200 200 400  passport-http-bearer
200 200 401  koa-jwt
200 401 401  koa-bearer-token
200 200 400  @fastify/jwt
200 401 200  @fastify/bearer-auth
200 200 200  hono/jwt
200 200 200  hono/bearer-auth
200 200 200  @hapi/jwt
200 400 400  @node-oauth/oauth2-server
TEXT
diff -u expected seen
