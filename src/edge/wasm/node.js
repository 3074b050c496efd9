// The middleware for Node's http, on which that for Express and Fastify is built.
//
//   http.createServer(protect({ verifier }, (request, response) => { request.subtoken.sub … }))
import { createEdge, decide, isIdentityHeader, namesIdentity, passedHeaders } from './edge.js';

// The headers as they came: request.headers joins some, and drops others. What hands on a request that no server of
// Node's has read, as in a cloud's functions, may have `headers` alone.
function rawOf(request) {
  if (request.rawHeaders?.length > 0) return request.rawHeaders;
  request.rawHeaders = Object.entries(request.headers ?? {})
    .flatMap(([name, value]) => [value].flat().flatMap((each) => [name, String(each)]));
  return request.rawHeaders;
}

function rawValues(raw, name) {
  const values = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (raw[i].length === name.length && raw[i].toLowerCase() === name) values.push(raw[i + 1]);
  }
  return values;
}

// Has all of the body come? HTTP/2 says so of the stream below. What is no message of Node's, as that of Fastify's
// inject(), says nothing: there its length does.
const isComplete = (request, length) => request.complete === true || request.stream?.readableEnded === true
  || (request.complete === undefined && length >= Number(request.headers['content-length']));

// The body, which is put back: whoever reads the request next finds it whole. read() is not called
// at its end, because that ends the stream, and `end` would come before the API listens to it. Who
// listens to `readable` has it called: so nobody does before the parser is through with what has
// come, and never where that is all.
function readBody(request, most) {
  return new Promise((resolve, reject) => {
    const pieces = [];
    let length = 0;
    if (request.readableDidRead === true || request.readableFlowing === true) {
      reject(new Error('the body was read before: put subtoken in front of what reads it'));
      return;
    }
    const end = (finish) => {
      request.off('readable', collect);
      request.off('close', close);
      request.off('error', close);
      finish();
    };
    const close = () => end(() => reject(new Error('the client has closed the connection')));
    const collect = () => {
      while (request.readableLength > 0 && length <= most) {
        const piece = request.read();
        if (piece === null) break;
        pieces.push(piece);
        length += piece.length;
      }
      if (length <= most && !isComplete(request, length)) return;
      end(() => {
        const body = Buffer.concat(pieces);
        if (length > 0 && length <= most) request.unshift(body);
        resolve(body.subarray(0, most + 1));
      });
    };
    process.nextTick(() => {
      if (request.destroyed) return close();
      if (isComplete(request, 0)) return collect();
      request.on('close', close);
      request.on('error', close);
      return request.on('readable', collect);
    });
  });
}

// HTTP/1.1 says so in its headers; HTTP/2 by what follows them.
function hasBody(request) {
  if (request.stream !== undefined) return request.stream.endAfterHeaders !== true;
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers;
  return coding !== undefined || (length !== undefined && length !== '0');
}

/** What edge.js wants of a request. `target` is as on the request line. */
export function nodeMessage(request, target = request.url) {
  return {
    method: request.method,
    target,
    values: (name) => rawValues(rawOf(request), name),
    get address() { return (request.socket?.remoteAddress ?? '').replace(/^::ffff:(?=[\d.]+$)/, ''); },
    waitUntil: undefined,
    get hasBody() { return hasBody(request); },
    body: (most) => readBody(request, most),
  };
}

// Is something among the headers that must not be passed on?
function isTouched(edge, raw) {
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i];
    if (name.length === 7 && edge.strips && raw[i + 1].includes('?') && name.toLowerCase() === 'referer') return true;
    if (name.charCodeAt(0) === 58 || isIdentityHeader(name) || namesIdentity(name, raw[i + 1])) return true; // a colon: HTTP/2
  }
  return false;
}

// Node makes headersDistinct of as many rawHeaders as came, when it is first read: it would lack ours,
// or go wrong where some were removed.
const DISTINCT = {
  configurable: true,
  get() {
    const value = { __proto__: null };
    for (const [name, each] of pairsOf(this.rawHeaders)) {
      const lower = name.toLowerCase();
      if (value[lower] !== undefined) value[lower].push(each);
      else value[lower] = [each];
    }
    Object.defineProperty(this, 'headersDistinct', { configurable: true, writable: true, value });
    return value;
  },
};

/** The request as the API is to see it, in its place. */
export function passNode(edge, request, decision) {
  const rawHeaders = rawOf(request);
  const { headers } = request;
  if (isTouched(edge, rawHeaders)) removeHeaders(edge, request, decision.target);
  for (const [name, value] of decision.headers) {
    if (value === '') continue;
    headers[LOWER[name]] = value;
    rawHeaders.push(name, value);
  }
  Object.defineProperty(request, 'headersDistinct', DISTINCT);
  if (mayHaveTrailers(request)) {
    if (isComplete(request, 0)) removeTrailers(request);
    else request.prependOnceListener('end', () => removeTrailers(request));
  }
  request.subtoken = decision.subtoken;
}

// In HTTP/1.1 they stand behind the last chunk.
function mayHaveTrailers(request) {
  return request.stream !== undefined ? hasBody(request) : request.headers['transfer-encoding'] !== undefined;
}

// Node makes the first two of rawTrailers when they are first read, and adds to them what comes later.
function removeTrailers({ trailers, trailersDistinct, rawTrailers }) {
  for (const each of [trailers, trailersDistinct ?? {}]) {
    for (const name of Object.keys(each)) if (isIdentityHeader(name)) delete each[name];
  }
  for (let i = rawTrailers.length - 2; i >= 0; i -= 2) if (isIdentityHeader(rawTrailers[i])) rawTrailers.splice(i, 2);
}

const LOWER = Object.fromEntries(['X-Subtoken-Sub', 'X-Subtoken-Key', 'X-Subtoken-Owner', 'X-Subtoken-Permissions',
  'X-Subtoken-Expires'].map((name) => [name, name.toLowerCase()]));

function removeHeaders(edge, { headers, rawHeaders }, target) {
  const raw = passedHeaders(edge, pairsOf(rawHeaders, target));
  const passed = new Set(raw.map(([name]) => name.toLowerCase()));
  for (const name of Object.keys(headers)) {
    if (!passed.has(name)) delete headers[name];
  }
  for (const name of ['referer', ':path']) {
    if (passed.has(name)) [, headers[name]] = raw.find(([each]) => each.toLowerCase() === name);
  }
  rawHeaders.splice(0, rawHeaders.length, ...raw.flat());
}

// HTTP/2 has the target among the headers, too.
function* pairsOf(raw, target) {
  for (let i = 0; i + 1 < raw.length; i += 2) yield [raw[i], raw[i] === ':path' ? target : raw[i + 1]];
}

export function refuseNode(request, response, decision) {
  for (const [name, value] of decision.headers) response.setHeader(name, value);
  response.statusCode = decision.status;
  response.setHeader('Content-Length', Buffer.byteLength(decision.body));
  response.end(request.method === 'HEAD' ? undefined : decision.body);
}

/**
 * Wraps a handler of http.createServer: it is called for requests that pass, with
 * request.subtoken = { sub, tid, key, owner, permissions, expires }.
 */
export function protect(options, handler) {
  const edge = createEdge(options);
  if (typeof handler !== 'function') throw new TypeError('handler: must be a function');
  return (request, response) => {
    const apply = (decision) => {
      if (!decision.allowed) {
        if (!response.headersSent && !response.destroyed) refuseNode(request, response, decision);
        return undefined;
      }
      passNode(edge, request, decision);
      request.url = decision.target;
      return handler(request, response);
    };
    const decision = decide(edge, nodeMessage(request));
    return decision instanceof Promise ? decision.then(apply) : apply(decision);
  };
}

/** For what has no response, such as the event `upgrade`: the decision alone, as a promise. */
export function authorizer(options) {
  const edge = createEdge({ ...options, readsBodies: false });
  return async (request) => {
    const decision = await decide(edge, nodeMessage(request));
    if (decision.allowed) {
      passNode(edge, request, decision);
      request.url = decision.target;
    }
    return decision;
  };
}
