// A token read here, without sending it to anybody and without trusting it: whether its MAC is right
// only the server can say. No browser is needed, so that tests run it as it is.

export const KEY_SHAPE = /^[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{20}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}$/;
const KEY_LENGTH = 72;

// What was meant by something that was copied from a header or over several lines.
export function pasted(text) {
  return text.trim().replace(/^(authorization\s*:)?\s*(bearer\s+)?/i, '').replace(/\s+/g, '');
}

// 'key', 'refresh', 'token' or 'other'.
export function kindOf(text) {
  if (text.length === KEY_LENGTH && KEY_SHAPE.test(text)) return 'key';
  if (/^[A-Za-z0-9_-]{43}$/.test(text)) return 'refresh';
  return text.split('.').length === 3 ? 'token' : 'other';
}

// One spelling alone: no padding, no white space, no stray bits at the end.
function bytes(part) {
  const standard = part.replaceAll('-', '+').replaceAll('_', '/');
  const binary = atob(standard);
  if (/[+/=\s]/.test(part) || btoa(binary).replace(/=+$/, '') !== standard) throw new Error('base64url');
  return Uint8Array.from(binary, (c) => c.charCodeAt(0));
}

function object(part) {
  const text = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes(part));
  const value = JSON.parse(text);
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new Error('object');
  return value;
}

const strings = (value) => Array.isArray(value) && value.every((one) => typeof one === 'string');

// {header, claims, tid}, or null when it is no token. tid is the token's id: the first 16 characters
// of its signature.
export function decode(text) {
  if (kindOf(text) !== 'token' || text.length > 8192) return null;
  const parts = text.split('.');
  try {
    bytes(parts[2]);
    return {header: object(parts[0]), claims: object(parts[1]), tid: parts[2].slice(0, 16)};
  } catch {
    return null;
  }
}

// What of the claims has the type that it must have; anything else is left out.
export function readClaims(claims) {
  const time = (value) => Number.isSafeInteger(value) && value >= 0 && value < 8.64e12 ? value : null;
  const text = (value) => typeof value === 'string' ? value : null;
  return {
    sub: text(claims.sub), sid: text(claims.sid), audience: text(claims.aud),
    issued: time(claims.iat), expires: time(claims.exp),
    permissions: strings(claims.permissions) ? claims.permissions : [],
    urls: claims.urls === undefined ? null : strings(claims.urls) ? claims.urls : [],
    via: strings(claims.via) ? claims.via : [],
  };
}

// A line for a POSIX shell.
export function quoted(text) {
  return /^[A-Za-z0-9_\-.,:/@%+=]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

export function curlLine(url, credential, method = 'GET') {
  const verb = {GET: '-i', HEAD: '-I'}[method] ?? `-i -X ${quoted(method)}`; // with -X HEAD it waits for a body
  return `curl ${verb} ${quoted(url)} -H ${quoted(`Authorization: Bearer ${credential}`)}`;
}

// A method and a path that an entry of urls allows: its stars stand for anything.
export function exampleOf(entry) {
  const found = /^(?:([A-Z]+):)?(\/.*)$/.exec(entry);
  if (found === null) return null;
  return {method: found[1] ?? 'GET', path: found[2].split('/').map((part) => part === '*' ? 'x' : part).join('/')};
}
