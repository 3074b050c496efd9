// The middleware for Hono 4, in Node, Deno, Bun and Workers.
//
//   app.use(subtoken({ verifier }))
//   app.get('/v2/account', (c) => c.json(c.get('subtoken').sub))
import { decide, edgeOf, fetchMessage, passedRequest, refusal } from './edge.js';

// Of Workers; elsewhere Hono throws when it is asked for.
function waitUntilOf(c) {
  try {
    const ctx = c.executionCtx;
    return (promise) => ctx.waitUntil(promise);
  } catch {
    return undefined;
  }
}

// @hono/node-server tells the connection.
const addressOf = (c) => c.env?.incoming?.socket?.remoteAddress ?? '';

/**
 * c.get('subtoken') = { sub, key, owner, permissions, expires } for what passes. options is an
 * object, or a function of c that returns one and is called once, for Workers, where secrets come
 * with the request.
 */
export function subtoken(options) {
  const edgeFor = edgeOf(options);
  return async function subtokenMiddleware(c, next) {
    const edge = await edgeFor(c);
    if (edge.refused !== undefined) return refusal(edge.refused, c.req.method);
    const address = (edge.address ?? addressOf)(c);
    const message = fetchMessage(c.req.raw, { address, waitUntil: waitUntilOf(c) });
    const decision = await decide(edge, message);
    if (!decision.allowed) return refusal(decision, c.req.method);
    c.req.raw = passedRequest(edge, c.req.raw, message, decision);
    c.set('subtoken', decision.subtoken);
    return next();
  };
}

export default subtoken;
