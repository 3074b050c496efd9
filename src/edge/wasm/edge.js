// What every middleware shares: from a request to verifier.decide() and back. The middleware
// (node.js, express.js, fastify.js, hono.js, workers.js) turns its framework's request into the
// small object below, and its answer into the framework's. Nothing passes but by `allow`: whatever
// is thrown on the way is a 503.
//
//   message = {
//     method, target,                     as on the request line
//     values(name) -> [string],           each value of a header, in lower case, not joined
//     address,                            of the client, or ''
//     waitUntil,                          of Workers, or undefined
//     hasBody,                            is a body behind it?
//     body(most) -> Promise<Uint8Array>,  at most `most` bytes and one more
//     check(),                            or undefined: throws where nothing can be decided
//   }
import { isIdentityHeader, refuse, stripQuery } from './core.js';
import { ignored, serverAddress } from './revocations.js';

export { isIdentityHeader };

const AUTHORIZE = '/v2/authorize';
const RPC_BODY_MAX = 262144; // SUBTOKEN_RPC_BODY_MAX
const ASK_TIMEOUT = 3; // seconds
const ADDRESSES_MAX = 1024;

const NOBODY = Object.freeze({ sub: '', tid: '', key: '', owner: '', permissions: Object.freeze([]), expires: null });

// `ask`: an address, or { url, timeout, allowHttp, fetch }.
function askSettings(ask) {
  if (ask === undefined || ask === null || ask === false) return null;
  const { url, timeout = ASK_TIMEOUT, allowHttp = false, fetch = globalThis.fetch } =
    typeof ask === 'string' || ask instanceof URL ? { url: ask } : ask;
  if (typeof timeout !== 'number' || !(timeout > 0 && timeout <= 60)) {
    throw new TypeError('ask.timeout: must be a number of seconds, at most 60');
  }
  return { url: serverAddress(url, AUTHORIZE, allowHttp === true).href, timeout,
    fetch: fetch === globalThis.fetch ? (...words) => globalThis.fetch(...words) : fetch };
}

/** An edge: what the factories of the middleware make of their options. */
export function createEdge(options) {
  const { verifier, ask, forms, needs, address, onDecision, readsBodies = true, issuer = null } = options ?? {};
  if (verifier === undefined || typeof verifier.decide !== 'function') {
    throw new TypeError('verifier: must be a Verifier');
  }
  if (issuer !== null && !(typeof issuer === 'string' && /^https:\/\/[\x21-\x7e]{1,504}$/.test(issuer))) {
    throw new TypeError('issuer: must be an https URL, the server\'s setting issuer');
  }
  const asked = askSettings(ask);
  undecided = refuse('feed_stale');
  return {
    verifier,
    revocations: typeof verifier.revocations?.ready === 'function' ? verifier.revocations : null, // not a Feed
    ask: asked,
    address,
    onDecision,
    how: { forms, needs, mayAsk: asked !== null, readsBodies, issuer },
    strips: forms === undefined || forms.includes('query'),
  };
}

// ---- the question to the server, about a whole key ----

function nonceOf() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

// The addresses that came, and then the client's own. Of a list that is too long the end is kept.
// Where the client's own is not known there are none: what a caller wrote is not to be the last.
function addresses(message) {
  if (message.address === '') return '';
  let came = message.values('x-forwarded-for').join(', ');
  if (came.length > ADDRESSES_MAX) {
    const cut = came.indexOf(',', came.length - ADDRESSES_MAX);
    came = cut < 0 ? '' : came.slice(cut + 1).trim();
  }
  return came === '' ? message.address : `${came}, ${message.address}`;
}

// A header that came twice is joined by Fetch with a comma and a space. Of these headers only the
// list of permissions has commas, and it has no spaces.
const joined = (value) => value !== null && value.includes(', ');

async function askServer(edge, message, request, nonce) {
  const headers = edge.verifier.question(request, edge.how, nonce);
  const none = { status: 0, repeated: false, nonce: null, sub: null, key: null, owner: null, permissions: null,
    expires: null, retryAfter: null };
  if (headers.length === 0) return none;
  const from = addresses(message);
  // No credential: nothing that differs from one caller to the next.
  const named = headers.some(([name]) => /^(authorization|x-api-key)$/i.test(name));
  if (from !== '' && named) headers.push(['X-Forwarded-For', from]);
  // For the server's log, which leaves it out unless it is well-formed.
  const trace = message.values('traceparent');
  if (trace.length === 1 && trace[0].length <= 512) headers.push(['Traceparent', trace[0]]);
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), edge.ask.timeout * 1000);
  try {
    const response = await edge.ask.fetch(edge.ask.url,
      { method: 'HEAD', headers, redirect: 'manual', signal: abort.signal });
    await response.body?.cancel();
    const get = (name) => response.headers.get(name);
    const answer = { status: response.status, nonce: get('x-subtoken-nonce'), sub: get('x-subtoken-sub'),
      key: get('x-subtoken-key'), owner: get('x-subtoken-owner'), permissions: get('x-subtoken-permissions'),
      expires: get('x-subtoken-expires'), retryAfter: get('retry-after') };
    answer.repeated = Object.values(answer).some((value) => typeof value === 'string' && joined(value));
    return answer;
  } catch {
    return none; // no answer, or not in time: 503
  } finally {
    clearTimeout(timer);
  }
}

// ---- the decision ----

// Some servers decode a body by the charset that its Content-Type names. In another than UTF-8 it is another body.
const otherCharset = /charset(?!(?:=utf-8|="utf-8")[ \t]*(?:;|$))|charset.*charset/i;

function requestOf(message) {
  const encoding = message.values('content-encoding');
  const types = message.values('content-type');
  const length = Number(message.values('content-length')[0] ?? 0);
  return {
    method: message.method,
    target: message.target,
    authorization: message.values('authorization'),
    xApiKey: message.values('x-api-key'),
    origin: message.values('origin').length > 0,
    requestMethod: message.values('access-control-request-method').length > 0,
    bodyEncoded: encoding.some((value) => value.trim().toLowerCase() !== 'identity') ||
      types.length > 1 || types.some((value) => otherCharset.test(value)),
    hasBody: message.hasBody,
    contentLength: Number.isSafeInteger(length) && length > 0 ? length : 0,
    mcpMethod: message.values('mcp-method'),
    mcpName: message.values('mcp-name'),
    mcpVersion: message.values('mcp-protocol-version'),
  };
}

async function decideByServer(edge, message, request) {
  const nonce = nonceOf();
  const answer = await askServer(edge, message, request, nonce);
  const decideAgain = () => edge.verifier.decideAnswer(request, edge.how, nonce, answer);
  const reply = decideAgain();
  return reply.step === 'body' ? decideByBody(edge, message, decideAgain) : reply;
}

// The body may have taken its time, and the token may have ended meanwhile.
async function decideByBody(edge, message, decideAgain) {
  const body = await message.body(RPC_BODY_MAX);
  const reply = decideAgain();
  return reply.step === 'body' ? edge.verifier.decideBody(body) : reply;
}

// A reply, or a promise of one where something is to be waited for.
function replyTo(edge, message, request) {
  const decideAgain = () => edge.verifier.decide(request, edge.how);
  const reply = decideAgain();
  if (reply.step === 'ask') return decideByServer(edge, message, request);
  return reply.step === 'body' ? decideByBody(edge, message, decideAgain) : reply;
}

// ---- what the middleware is told ----

function identityOf(reply) {
  const [sub, key, owner, permissions, expires] = reply.identity.map(([, value]) => value);
  if (sub === '' && permissions === '') return NOBODY;
  return { sub, tid: reply.tid, key, owner, permissions: permissions === '' ? [] : permissions.split(','),
    expires: expires === '' ? null : Number(expires) };
}

// A query without an escape and without the name has nothing to remove.
const withoutToken = (target) => (/%|access_token/.test(target) ? stripQuery(target) : target);

function decisionOf(edge, message, reply) {
  if (reply.step === 'allow') {
    return { allowed: true, status: 200, name: reply.name, headers: reply.identity,
      subtoken: identityOf(reply), target: edge.strips ? withoutToken(message.target) : message.target };
  }
  // `ask` and `body` are refusals here: whoever could go on has done so.
  return { allowed: false, status: reply.status, name: reply.name, headers: Object.entries(reply.headers),
    body: reply.body };
}

// The document that a 401 names, which needs no credential; or null.
function metadataOf(edge, request) {
  const { method, target } = request;
  if (edge.how.issuer === null || (method !== 'GET' && method !== 'HEAD') || !target.startsWith('/.well-known/')) return null;
  const body = edge.verifier.metadata(request, edge.how);
  if (body === null) return null;
  return { allowed: false, status: 200, name: 'metadata', body, headers: [['Content-Type', 'application/json; charset=utf-8'],
    ['Cache-Control', 'no-store'], ['Access-Control-Allow-Origin', '*']] };
}

// What the library answers when nothing can be decided: asked for once, because after a trap it is
// silent. Before it was started there is no body.
let undecided = { headers: { 'Cache-Control': 'no-store', 'Retry-After': '5' }, body: '' };

function failed(error) {
  const reply = undecided;
  return { allowed: false, status: 503, name: 'error', headers: Object.entries(reply.headers), body: reply.body,
    error };
}

function told(edge, decision) {
  try {
    if (edge.onDecision !== undefined) ignored(edge.onDecision(decision));
    else if (decision.error !== undefined) console.error('subtoken: 503:', decision.error);
  } catch {
    // Who listens changes nothing.
  }
  return decision;
}

/**
 * Decides about a message: a decision, or a promise of one. It never throws, and never rejects.
 *   { allowed: true, status: 200, name, headers: the five of identity, subtoken, target: without access_token= }
 *   { allowed: false, status, name, headers, body, error: what was thrown, if anything was }
 */
export function decide(edge, message) {
  try {
    message.check?.();
    const request = requestOf(message);
    const metadata = metadataOf(edge, request);
    if (metadata !== null) return told(edge, metadata);
    const waiting = edge.revocations?.ready(message.waitUntil);
    const reply = waiting === undefined ? replyTo(edge, message, request)
      : waiting.then(() => replyTo(edge, message, request));
    if (!(reply instanceof Promise)) return told(edge, decisionOf(edge, message, reply));
    return reply.then((late) => decisionOf(edge, message, late)).catch(failed)
      .then((decision) => told(edge, decision));
  } catch (error) {
    return told(edge, failed(error));
  }
}

// ---- Fetch's Request, for Hono and Workers ----

/**
 * For options that are a function: called until it has returned once, because in Workers secrets
 * come with the request. What it throws is a 503.
 */
export function edgeOf(options) {
  if (typeof options !== 'function') {
    const edge = createEdge(options);
    return () => edge;
  }
  let made = null;
  return async (context) => {
    if (made !== null) return made;
    try {
      const edge = createEdge(await options(context));
      made ??= edge;
      return made;
    } catch (error) {
      return { refused: told({}, failed(error)) };
    }
  };
}

// Each value of a header. Fetch joins what came twice with a comma and a space. A key has no space,
// and neither scheme's credential has one.
function fetchValues(headers, name) {
  const value = headers.get(name);
  if (value === null) return [];
  if (name === 'authorization') return value.split(/, (?=(?:bearer|basic)(?: |$))/i);
  // A name of a call may have a comma and a space in it: what came twice is one that differs from the body's.
  return name === 'x-api-key' || name === 'mcp-method' || name === 'mcp-protocol-version' ? value.split(', ') : [value];
}

async function fetchBody(request, most) {
  if (request.body === null) return new Uint8Array(0);
  const reader = request.body.getReader();
  const bytes = new Uint8Array(most + 1);
  let at = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return bytes.subarray(0, at);
    const piece = value.subarray(0, bytes.length - at);
    bytes.set(piece, at);
    at += piece.length;
    if (at === bytes.length) {
      await reader.cancel();
      return bytes;
    }
  }
}

// Path and query of a URL, as text.
function tailOf(url) {
  const start = url.indexOf('/', url.indexOf('://') + 3);
  const hash = url.indexOf('#');
  return start < 0 ? '' : url.slice(start, hash < 0 ? undefined : hash);
}

/**
 * The target that is decided about: that of Request.url, which is what a handler routes on and what
 * fetch(request) asks for. Where a runtime's URL parser has resolved dot segments or turned a \ into
 * a /, nobody behind it can see what came, and nothing else is reached by it. A URL that this parser
 * would still change is read in two ways, by those who parse it and by those who do not: it is
 * given as a target that is always refused.
 */
function fetchTarget(url) {
  const target = tailOf(url);
  const path = (text) => text.split('?', 1)[0];
  return path(target) === path(tailOf(new URL(url).href)) ? target : `\\${target}`;
}

function fetchMessage(request, { address, waitUntil }) {
  const message = {
    method: request.method,
    target: fetchTarget(request.url),
    values: (name) => fetchValues(request.headers, name),
    address: typeof address === 'string' ? address : '',
    waitUntil,
    hasBody: request.body !== null,
    read: null, // the body, once it was read
    body: async (most) => {
      if (request.bodyUsed) throw new Error('the body was read before: put subtoken in front of what reads it');
      message.read = await fetchBody(request, most);
      return message.read;
    },
  };
  return message;
}

// ---- the request that follows ----

/** Whoever passes the request on takes off what Connection names: it must not name ours. */
export function namesIdentity(name, value) {
  return name.length === 10 && /^connection$/i.test(name) && /subtoken/i.test(value);
}

/** What the API is to see of the headers of a caller: [name, value], in their order. */
export function passedHeaders(edge, headers) {
  const passed = [];
  for (const [name, value] of headers) {
    if (isIdentityHeader(name) || namesIdentity(name, value)) continue;
    const strip = edge.strips && value.includes('?') && /^referer$/i.test(name);
    passed.push([name, strip ? withoutToken(value) : value]);
  }
  return passed;
}

// Fetch's Request, as it is passed on. `subtoken` is a member of it.
function passedRequest(edge, request, message, decision) {
  const headers = new Headers(passedHeaders(edge, request.headers));
  for (const [name, value] of decision.headers) {
    if (value !== '') headers.set(name, value);
  }
  const { url } = request;
  const start = url.indexOf('/', url.indexOf('://') + 3);
  const same = decision.target === message.target;
  const other = same ? url : (start < 0 ? url : url.slice(0, start)) + decision.target;
  let passed;
  if (message.read !== null) {
    const init = { method: request.method, headers, redirect: request.redirect, signal: request.signal };
    if (request.cf !== undefined) init.cf = request.cf;
    if (message.read.length > 0) init.body = message.read;
    passed = new Request(other, init);
  } else {
    passed = new Request(same ? request : new Request(other, request), { headers });
  }
  passed.subtoken = decision.subtoken;
  return passed;
}

/**
 * Decides about a Fetch Request: { passed, decision }, or { refused: the Response }. It never
 * rejects. settings() gives the address of the client and waitUntil.
 */
export async function decideFetch(edge, request, settings) {
  if (edge.refused !== undefined) return { refused: refusal(edge.refused, request.method) };
  let decision;
  try {
    const message = fetchMessage(request, settings());
    decision = await decide(edge, message);
    if (decision.allowed) return { passed: passedRequest(edge, request, message, decision), decision };
  } catch (error) {
    decision = told(edge, failed(error));
  }
  return { refused: refusal(decision, request.method) };
}

function refusal(decision, method) {
  return new Response(method === 'HEAD' ? null : decision.body, { status: decision.status, headers: decision.headers });
}
