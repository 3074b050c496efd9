import type { FetchOptions, Identity } from './middleware.js';

export type { Ask, Decision, Identity, Options } from './middleware.js';

export type ProtectedRequest = Request & { subtoken: Identity };

/** Wraps a handler of Workers, Deno.serve or Bun.serve: it is called for the requests that pass. */
export function protect<Env = unknown, Context = unknown>(
  options: FetchOptions<Request> | ((env: Env) => FetchOptions<Request> | Promise<FetchOptions<Request>>),
  handler: (request: ProtectedRequest, env: Env, ctx: Context) => Response | Promise<Response>,
): (request: Request, env: Env, ctx: Context) => Promise<Response>;
