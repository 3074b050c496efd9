// The middleware for what has a fetch(request, env, ctx): Cloudflare Workers, Deno.serve, Bun.serve.
//
//   export default { fetch: protect((env) => ({ verifier: … }), (request, env, ctx) => …) }
import { decide, edgeOf, fetchMessage, passedRequest, refusal } from './edge.js';

/**
 * Wraps a handler: it is called for requests that pass, with request.subtoken = { sub, key, owner,
 * permissions, expires }. options is an object, or a function of env that returns one (or a promise)
 * and is called once, because in Workers secrets come with the request.
 */
export function protect(options, handler) {
  if (typeof handler !== 'function') throw new TypeError('handler: must be a function');
  const edgeFor = edgeOf(options);
  return async (request, env, ctx) => {
    const edge = await edgeFor(env);
    if (edge.refused !== undefined) return refusal(edge.refused, request.method);
    const waitUntil = typeof ctx?.waitUntil === 'function' ? (promise) => ctx.waitUntil(promise) : undefined;
    const message = fetchMessage(request, { address: edge.address?.(request) ?? '', waitUntil });
    const decision = await decide(edge, message);
    if (!decision.allowed) return refusal(decision, request.method);
    return handler(passedRequest(edge, request, message, decision), env, ctx);
  };
}
