// The middleware for Hono 4, in Node, Deno, Bun and Workers.
//
//   app.use(subtoken({ verifier }))
//   app.get('/v2/account', (c) => c.json(c.get('subtoken').sub))
import { decideFetch, edgeOf } from './edge.js';

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
 * c.get('subtoken') = { sub, tid, key, owner, permissions, expires } for what passes. options is an
 * object, or a function of c that returns one and is called once, for Workers, where secrets come
 * with the request.
 */
export function subtoken(options) {
  const edgeFor = edgeOf(options);
  return async function subtokenMiddleware(c, next) {
    const edge = await edgeFor(c);
    const { passed, decision, refused } = await decideFetch(edge, c.req.raw, () => ({
      address: (edge.address ?? addressOf)(c),
      waitUntil: waitUntilOf(c),
    }));
    if (refused !== undefined) return refused;
    c.req.raw = passed;
    c.set('subtoken', decision.subtoken);
    return next();
  };
}

export default subtoken;
