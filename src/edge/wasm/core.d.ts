// The types of core.js.
/// <reference lib="esnext.disposable" />

/** An error of this library: `code` is the name of a result (`malformed`, `weak_secret`), or
 * `stopped`, `freed`, `out_of_memory`. */
export class SubtokenError extends Error {
  readonly code: string;
  /** Of a ring or a policy; 0 where no line has the error. */
  readonly line?: number;
  readonly column?: number;
  /** Of a path: `dot-segment`. */
  readonly fault?: string;
}

/** What lies in the memory of WebAssembly until it is freed, or is garbage. */
export interface Disposable {
  /** Wipes and releases the memory. Calling it again does nothing. */
  free(): void;
  /** The same, for `using`. */
  [Symbol.dispose](): void;
}

/** The signing secrets. */
export class Ring implements Disposable {
  private constructor();
  /** Of the text of a secrets file: one `kid:base64url` a line. */
  static parse(text: string | Uint8Array): Ring;
  /** The audience that the secrets are derived for; null for those that are not derived. */
  readonly audience: string | null;
  /** Takes another text, for all that use this ring. On an error it stays as it was. */
  replace(text: string | Uint8Array): void;
  /** For tests: which faster loops verifying uses, 0 for plain C; with a mask only those of it. */
  instructions(mask?: number): number;
  free(): void;
  [Symbol.dispose](): void;
}

/** Which permissions a path needs. */
export class Policy implements Disposable {
  private constructor();
  /** Of the text of a policy file. */
  static parse(text: string | Uint8Array): Policy;
  free(): void;
  [Symbol.dispose](): void;
}

export interface FeedOptions {
  /** Seconds by which the clocks may differ, 60 when left out. */
  leeway?: number;
  /** Seconds after which the data is too old to decide with, 300 when left out. */
  maxAge?: number;
  /** Decide with data that is too old. */
  allowOld?: boolean;
}

/** Revocation data in use. Revocations keeps one fresh; use it alone where the data comes another way. */
export class Feed implements Disposable {
  constructor(ring: Ring, options?: FeedOptions);
  /** Accepts a snapshot, or with `changes` what leads to it, and its heartbeat; with body null a
   * heartbeat for the snapshot in use. Gives `ok`, or why nothing was changed. Times are seconds. */
  take(heartbeat: string, body: Uint8Array | null, changes: boolean, now: number, monotonic: number): string;
  /** The same, letting the event loop run in between. One at a time. */
  takeInSteps(heartbeat: string, body: Uint8Array, changes: boolean, now: number, monotonic: number): Promise<string>;
  /** The highest sequence that was accepted, as digits; `0` when none was. */
  readonly sequence: string;
  /** T of the heartbeat in force; 0 without one. */
  readonly time: number;
  /** How many hashes are listed. */
  readonly count: number;
  /** Seconds; Infinity when nothing decides. */
  age(now: number, monotonic: number): number;
  check(now: number, monotonic: number): 'ok' | 'old_allowed' | 'old' | 'absent';
  free(): void;
  [Symbol.dispose](): void;
}

export interface Claims {
  sub: string;
  /** The token's id: the revocation data lists it where the token was revoked. */
  tid: string;
  /** The ids of the tokens that it was made from, the oldest first. */
  via: string[];
  /** The audiences; empty where there is no `aud`. */
  aud: string[];
  iss: string | null;
  /** Seconds since 1970. */
  iat: number;
  exp: number;
  nbf: number | null;
  permissions: string[];
  /** null: every path. */
  urls: string[] | null;
}

export interface Verdict {
  readonly ok: boolean;
  /** `ok`, or the rule that failed: `expired`, `mac`, `revoked`, `perm`, … */
  readonly result: string;
  /** 200, 400, 401, 403 or 503. */
  readonly status: number;
  /** WWW-Authenticate. */
  readonly challenge: string | null;
  /** null unless it is ok, and where the policy needs no token. */
  readonly claims: Claims | null;
}

export interface VerifyRequest {
  method?: string | null;
  /** As on the request line, not decoded, with its query. */
  target?: string | null;
  /** Permissions that the request needs, besides those of the policy. */
  needs?: readonly string[] | null;
  /** It has Origin and Access-Control-Request-Method. */
  preflight?: boolean;
  /** Seconds since 1970; the clock's when left out. */
  now?: number;
  /** Seconds of a clock that never goes back; performance.now() when left out. */
  monotonic?: number;
}

export interface DecideRequest {
  method: string;
  target: string;
  /** The values of each such header, as they came. */
  authorization?: string | readonly string[] | null;
  xApiKey?: string | readonly string[] | null;
  /** It has Origin, and Access-Control-Request-Method. */
  origin?: boolean;
  requestMethod?: boolean;
  /** It has a Content-Encoding that is not `identity`, or a Content-Type whose charset is not UTF-8. */
  bodyEncoded?: boolean;
  /** It has a body: a Content-Length that is not 0, or Transfer-Encoding. */
  hasBody?: boolean;
  contentLength?: number;
  /** The values of each Mcp-Method, Mcp-Name and MCP-Protocol-Version. */
  mcpMethod?: string | readonly string[] | null;
  mcpName?: string | readonly string[] | null;
  mcpVersion?: string | readonly string[] | null;
  now?: number;
  monotonic?: number;
}

export interface How {
  /** Where a credential may be; everywhere when left out. */
  forms?: ReadonlyArray<'bearer' | 'x-api-key' | 'query' | 'basic'>;
  needs?: readonly string[];
  /** The caller can ask the server about whole keys: the step may be `ask`. */
  mayAsk?: boolean;
  /** The caller can read a body: the step may be `body`. */
  readsBodies?: boolean;
  /** The server's setting `issuer`: then a 401 of a route with a resource names its metadata (RFC 9728). */
  issuer?: string | null;
}

export interface Reply {
  /** `allow`; `refuse`: answer this; `ask` and `body`: this is the refusal of who cannot go on. */
  step: 'allow' | 'refuse' | 'ask' | 'body';
  status: number;
  result: string;
  /** For a log. */
  name: string;
  /** Of the answer. */
  headers: Record<string, string>;
  body: string;
  /** With `allow`: the five headers for the API; an empty one is not set. */
  identity: Array<[name: string, value: string]> | null;
  /** With `allow`: the id of the subtoken; '' for a key, and without. */
  tid: string;
}

/** Values of the headers of the server's answer; null where there is none. */
export interface Answer {
  status: number;
  repeated: boolean;
  nonce: string | null;
  sub: string | null;
  key: string | null;
  owner: string | null;
  permissions: string | null;
  expires: string | null;
  retryAfter: string | null;
}

export type VerifierOptions = {
  ring: Ring;
  policy?: Policy | null;
  /** Seconds by which clocks may differ: 0 to 3600, 60 when left out. */
  leeway?: number;
  /** The longest life of a token, seconds; 365 days when left out. */
  maxLife?: number;
  /** The only issuer, and an audience, that are accepted; any when left out. */
  iss?: string | null;
  aud?: string | null;
  /** Bytes that remember authenticated tokens: 1 MiB when left out, 0 for none. */
  cache?: number;
} & (
  | { revocations: Feed | { readonly feed: Feed }; withoutRevocations?: false }
  | { revocations?: null; withoutRevocations: true }
);

/** Verifies tokens, and decides about requests. */
export class Verifier implements Disposable {
  constructor(options: VerifierOptions);
  /** The Revocations that it was given; null for a Feed, and without. */
  readonly revocations: { readonly feed: Feed } | null;
  /** It throws a TypeError for an argument of a wrong type, and never for what a caller sent. */
  verify(token: string | null | undefined, request?: VerifyRequest): Verdict;
  /** A sentence about that verdict, for the people who run an API, not for its callers. */
  explain(token: string | null | undefined, request?: VerifyRequest): string;
  /** For GET and HEAD, before decide: the document /.well-known/oauth-protected-resource/... (RFC 9728), or null. */
  metadata(request: DecideRequest, how: How): string | null;
  /** The whole decision about a request. The middleware calls it. */
  decide(request: DecideRequest, how?: How): Reply;
  /** After `ask`: the headers of the question, HEAD /v2/authorize. nonce: 1 to 64 characters A-Za-z0-9_-. */
  question(request: DecideRequest, how: How, nonce: string): Array<[name: string, value: string]>;
  answerUsable(request: DecideRequest, how: How, nonce: string, answer: Answer): boolean;
  decideAnswer(request: DecideRequest, how: How, nonce: string, answer: Answer): Reply;
  /** After `body`, at once. */
  decideBody(body: Uint8Array): Reply;
  free(): void;
  [Symbol.dispose](): void;
}

export function explain(verifier: Verifier, token: string | null | undefined, request?: VerifyRequest): string;
/** Reads a token without verifying it, for display only. header is JSON. */
export function inspect(token: string): { header: string; claims: Claims };
/** The canonical path of a request target: route on it. */
export function targetPath(target: string): string;
/** The canonical form of an entry of the URL allowlist. */
export function urlCanonical(entry: string): string;
/** Does an entry allow this request? */
export function urlAllows(entry: string, method: string | null | undefined, target: string | null | undefined):
  'ok' | 'url' | 'bad_target' | 'bad_url';
/** Does outer allow all that inner allows? */
export function urlCovers(outer: string, inner: string): 'ok' | 'url_wider' | 'bad_url';
/** The reply for the name of a verifier's result; 503 for any other name. */
export function refuse(name: string): Reply;
/** Is it X-Subtoken-*, in any spelling? A caller's must not reach the API. */
export function isIdentityHeader(name: string): boolean;
/** A target or URL without access_token= in its query. */
export function stripQuery(target: string): string;
/** The sentence about a result of Feed, and the event to log it as. */
export function feedResult(name: string): { name: string; text: string; event: string | null } | null;
/** The version of the library. */
export function version(): string;
/** Runs all of this on an instance of subtoken.wasm, or on one that is made of the module. The first one stays. */
export function start(moduleOrInstance: WebAssembly.Module | WebAssembly.Instance): void;
