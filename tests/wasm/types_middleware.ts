// As types.ts: the middleware.
import { Policy, Revocations, Ring, Verifier } from 'subtoken';
import { subtoken as forExpress, Identity } from 'subtoken/express';
import forFastify from 'subtoken/fastify';
import { subtoken as forHono } from 'subtoken/hono';
import { authorizer, protect } from 'subtoken/node';
import { protect as protectFetch } from 'subtoken/workers';

const ring = Ring.parse('');
const revocations = new Revocations({ ring, from: ['https://a.example', new URL('https://b.example')], key: 'k' });
const verifier = new Verifier({ ring, revocations, policy: Policy.parse('{}') });
const started: Promise<boolean> = revocations.start();
const ask = { url: 'https://keys.example', timeout: 1 };

const handler = protect({ verifier, ask, forms: ['bearer'], needs: ['a'] }, (request, response) => {
  const { sub, permissions, expires }: Identity = request.subtoken;
  response.end(`${sub} ${permissions.length} ${expires ?? 'never'}`);
});
export const subOf = (request: Express.Request): string => request.subtoken.sub;
const express: Function = forExpress({ verifier, onDecision: ({ status, name, error }) => console.log(status, name, error) });
const fastify: Promise<void> = forFastify({}, { verifier });
const hono = forHono((c) => ({ verifier: c.env.verifier, address: () => '' }));
const decide = authorizer({ verifier });
export const all = { handler, express, fastify, hono, decide, started };

interface Env { SECRETS: string }
export default {
  fetch: protectFetch<Env>((env) => ({ verifier: new Verifier({ ring: Ring.parse(env.SECRETS), withoutRevocations: true }) }),
    (request, env) => new Response(request.subtoken.sub + env.SECRETS.length)),
};

// @ts-expect-error: no verifier
protect({}, () => {});
// @ts-expect-error: no such form
protect({ verifier, forms: ['cookie'] }, () => {});
// @ts-expect-error: no server
new Revocations({ ring, key: 'k' });
