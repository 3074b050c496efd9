// The middleware for what has a fetch(request, env, ctx): Cloudflare Workers, Deno.serve, Bun.serve.
//
//   export default { fetch: protect((env) => ({ verifier: … }), (request, env, ctx) => …) }
import { decideFetch, edgeOf } from './edge.js';

/**
 * Wraps a handler: it is called for requests that pass, with request.subtoken = { sub, tid, key,
 * owner, permissions, expires }. options is an object, or a function of env that returns one (or a promise)
 * and is called once, because in Workers secrets come with the request.
 */
export function protect(options, handler) {
  if (typeof handler !== 'function') throw new TypeError('handler: must be a function');
  const edgeFor = edgeOf(options);
  return async (request, env, ctx) => {
    const edge = await edgeFor(env);
    const { passed, refused } = await decideFetch(edge, request, () => ({
      address: edge.address?.(request) ?? '',
      waitUntil: typeof ctx?.waitUntil === 'function' ? (promise) => ctx.waitUntil(promise) : undefined,
    }));
    return refused ?? handler(passed, env, ctx);
  };
}
