// What the middleware of all frameworks shares.
import type { Verifier } from './index.js';

/** Whom a request stands for. All of it is empty on a public route. */
export interface Identity {
  /** The `sub` of the token or key. */
  readonly sub: string;
  /** The id of the subtoken; empty for a whole key. */
  readonly tid: string;
  /** The public id of a whole key; empty for a subtoken. */
  readonly key: string;
  /** The owner of a whole key, percent-encoded. */
  readonly owner: string;
  readonly permissions: readonly string[];
  /** Seconds since 1970; null: never. */
  readonly expires: number | null;
}

export interface Decision {
  readonly allowed: boolean;
  readonly status: number;
  /** The reason, for a log: `ok`, `public`, `expired`, `auth_missing`, … */
  readonly name: string;
  /** The headers for the API where it is allowed, else those of the response. */
  readonly headers: ReadonlyArray<readonly [string, string]>;
  readonly subtoken?: Identity;
  /** The target without access_token=. */
  readonly target?: string;
  readonly body?: string;
  /** What was thrown: then the status is 503. */
  readonly error?: unknown;
}

export interface Ask {
  /** Of the server; without a path /v2/authorize. */
  url: string | URL;
  /** Seconds, 3 when left out. */
  timeout?: number;
  /** http:// to another machine than this. */
  allowHttp?: boolean;
  fetch?: typeof fetch;
}

export interface Options {
  verifier: Verifier;
  /** The server that is asked about whole keys and HTTP Basic; without it they are 401. */
  ask?: string | URL | Ask;
  /** Where a credential may be; everywhere when left out. */
  forms?: ReadonlyArray<'bearer' | 'x-api-key' | 'query' | 'basic'>;
  /** Permissions that every request needs, besides those of the policy. */
  needs?: readonly string[];
  /**
   * May bodies be read, of routes with json_rpc or mcp? true when left out; with false such a route is 403, unless
   * it has mcp_headers.
   */
  readsBodies?: boolean;
  /**
   * The server's setting `issuer`: then a 401 of a route that has a resource names its metadata (RFC 9728), and the
   * middleware answers GET /.well-known/oauth-protected-resource and the path behind it with it.
   */
  issuer?: string | null;
  /** Is told of each decision. Without it, errors go to console.error. */
  onDecision?: (decision: Decision) => void;
}

/** For Hono and Workers. */
export interface FetchOptions<Context> extends Options {
  /** The address of the client, which the server throttles wrong passwords by. */
  address?: (context: Context) => string;
}
