// The library in JavaScript: Ring, Policy, Feed, Verifier, and what reads tokens and paths. All of it
// works on one WebAssembly instance, which an index.*.js loads and hands to `start`. What decides is
// C (subtoken_wasm.c and src/core); this file carries strings in and results out.
//
// Ownership: an object here owns a block of the instance's memory. `free()` (or `using`) wipes and
// releases it; without that it is released some time after the object is garbage. What others of
// ours still use is wiped when the last of them goes, but a ring is empty from its `free()` on.

let wasm = null; // the exports
let stopped = null; // the trap that ended the instance
let bytes, halves, words, numbers; // views of its memory, made anew when it grows
let buffer = null; // the same as a Buffer, where there is one
let tokenSlot, targetSlot;
let at; // addresses of the members of `io`, in subtoken_wasm.c
let stackTop;

const TOKEN_MAX = 8192;
const TARGET_MAX = 8192;
const METHOD_MAX = 1100; // longer than any that an entry can name
const PERMISSION_MAX = 64;
const NEEDS_MAX = 65; // one more than a token can have
const RING_TEXT_MAX = 65536;
const NEEDS_AREA = 65 * 3 * 65;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** An error with a `code`: the name of a result, or `stopped`, `freed`, `out_of_memory`. */
export class SubtokenError extends Error {
  constructor(code, message, place) {
    super(message);
    this.code = code;
    if (place !== undefined) Object.assign(this, place);
  }

  get name() {
    return 'SubtokenError';
  }
}

function wrongType(name, expected) {
  const error = new TypeError(`subtoken: ${name} must be ${expected}`);
  error.code = 'invalid_argument';
  return error;
}

// ---- the instance ----

function refresh() {
  const memory = wasm.memory.buffer;
  bytes = new Uint8Array(memory);
  halves = new Uint16Array(memory);
  words = new Uint32Array(memory);
  numbers = new Float64Array(memory, at.numbers, 10);
  if (typeof globalThis.Buffer?.from === 'function') buffer = globalThis.Buffer.from(memory);
  tokenSlot = bytes.subarray(at.token, at.target);
  targetSlot = bytes.subarray(at.target, at.area);
}

function ended() {
  return new SubtokenError('stopped',
    `the WebAssembly instance of subtoken has stopped (${stopped}): start the process or worker anew`);
}

// A trap leaves the instance in an unknown state: no call enters it again.
function stop(error) {
  stopped = String(error);
  wasm = new Proxy({}, { get() { throw ended(); } });
  return ended();
}

// Calls that an exhausted stack of JavaScript can leave half done, for good.
const CHANGES_MEMORY = new Set(['allocate', 'release', 'ring_read', 'policy_read', 'feed_new', 'feed_free', 'feed_room',
  'feed_start', 'feed_step', 'feed_take', 'verifier_new', 'verifier_free']);
let interrupted = false; // one of the others was

// An exception of the instance is a trap, or a RangeError when JavaScript's stack was exhausted.
function failed(name, error) {
  if (!(error instanceof RangeError) || CHANGES_MEMORY.has(name)) return stop(error);
  interrupted = true;
  return error;
}

// Its own stack is where it was before the call that did not return.
function resume() {
  interrupted = false;
  wasm.__stack_pointer.value = stackTop;
}

// Any call but the most frequent one, `verify`.
function call(name, ...args) {
  const f = wasm[name];
  if (interrupted) resume();
  try {
    const result = f(...args);
    if (bytes.buffer !== wasm.memory.buffer) refresh();
    return result;
  } catch (error) {
    throw failed(name, error);
  }
}

/** Runs on this instance of subtoken.wasm, or on one made of this module. The first one stays. */
export function start(moduleOrInstance) {
  if (wasm !== null) return;
  const instance = moduleOrInstance instanceof WebAssembly.Module
    ? new WebAssembly.Instance(moduleOrInstance) : moduleOrInstance;
  wasm = instance.exports;
  stackTop = wasm.__stack_pointer.value;
  const layout = wasm.layout() >>> 0;
  const names = ['token', 'target', 'area', 'table', 'numbers', 'out', 'lengths', 'areaEnd', 'claims', 'sub',
    'iss', 'permissions', 'urls', 'tid', 'via'];
  const addresses = new Uint32Array(wasm.memory.buffer, layout, names.length);
  at = Object.fromEntries(names.map((name, i) => [name, addresses[i]]));
  refresh();
  readConstants();
}

function allocate(size) {
  const address = call('allocate', size) >>> 0;
  if (address === 0) {
    throw new SubtokenError('out_of_memory', `no memory for ${size} bytes`);
  }
  return address;
}

// ASCII, the quickest way that there is: Node's and Bun's Buffer, else a TextDecoder.
function asciiOf(from, to) {
  return buffer !== null ? buffer.toString('latin1', from, to) : decoder.decode(bytes.subarray(from, to));
}

// The texts that a call has left in io.out. They are pieces of one string, where it is ASCII.
function texts(count) {
  const list = [];
  const first = at.lengths >>> 2;
  if (numbers[1] === 1) {
    const all = asciiOf(at.out, at.out + numbers[0]);
    for (let i = 0, from = 0; i < count; i += 1) {
      const to = from + words[first + i];
      list.push(all.slice(from, to));
      from = to;
    }
    return list;
  }
  for (let i = 0, from = at.out; i < count; i += 1) {
    const to = from + words[first + i];
    list.push(decoder.decode(bytes.subarray(from, to)));
    from = to;
  }
  return list;
}

// ---- results ----

const RESULTS = []; // by number: { name, status, challenge }
let UNKNOWN = 0; // the number of SUBTOKEN_REVOCATION_UNKNOWN
const FEED_RESULTS = []; // by number: { name, text, event }
const METHODS = new Map(); // common ones lie in the memory once
const REFUSALS = []; // by number: the verdict
let twoAt = 0; // where TWO lies in the memory

function readConstants() {
  for (let i = 0, n; (n = wasm.result(i)) > 0; i += 1) {
    const [name, challenge] = texts(n);
    RESULTS.push({ name, status: numbers[2], challenge: challenge || null });
    REFUSALS.push(new Verdict(i, null));
  }
  UNKNOWN = RESULTS.findIndex((result) => result.status === 503);
  for (let i = 0, n; (n = wasm.feed_result(i)) > 0; i += 1) {
    const [name, text, event] = texts(n);
    FEED_RESULTS.push({ name, text, event: event || null });
  }
  for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
    const address = allocate(method.length);
    encoder.encodeInto(method, bytes.subarray(address));
    METHODS.set(method, [address, method.length]);
  }
  const two = TWO.join('');
  twoAt = allocate(two.length);
  encoder.encodeInto(two, bytes.subarray(twoAt));
}

/** The version of the library. */
export function version() {
  return texts(call('version'))[0];
}

// ---- strings that go in ----

let areaUsed = 0; // of io.area

let placed = 0; // counts what came to lie where a request lies: a target, a method

// A string longer than max UTF-16 units is cut to one more, which is too long for the library, too.
function put(slot, text, max) {
  return encoder.encodeInto(text.length > max ? text.slice(0, max + 1) : text, slot).written;
}

function putToken(token) {
  if (typeof token !== 'string') throw wrongType('the token', 'a string');
  return put(tokenSlot, token, TOKEN_MAX);
}

function putTarget(target) {
  if (target === undefined || target === null) return -1;
  if (typeof target !== 'string') throw wrongType('target', 'a string');
  placed += 1;
  return put(targetSlot, target, TARGET_MAX);
}

let methodAt = 0;
let methodLength = -1;

function putMethod(method) {
  if (method === undefined || method === null) {
    methodAt = 0;
    methodLength = -1;
    return;
  }
  const known = METHODS.get(method);
  if (known !== undefined) {
    [methodAt, methodLength] = known;
    return;
  }
  if (typeof method !== 'string') throw wrongType('method', 'a string');
  placed += 1;
  methodAt = at.area + NEEDS_AREA;
  methodLength = put(bytes.subarray(methodAt, methodAt + 3 * (METHOD_MAX + 1)), method, METHOD_MAX);
}

let needsHeld = []; // what the table has

function putNeeds(needs) {
  if (needs === undefined || needs === null) return 0;
  if (!Array.isArray(needs)) throw wrongType('needs', 'an array of strings');
  const { length } = needs;
  let same = length <= needsHeld.length;
  for (let i = 0; same && i < length; i += 1) same = needs[i] === needsHeld[i];
  return same ? length : putOtherNeeds(needs);
}

function putOtherNeeds(given) {
  const needs = [...new Set(given)];
  for (const need of needs) {
    if (typeof need !== 'string') throw wrongType('needs', 'an array of strings');
  }
  // No token has as many as the first NEEDS_MAX.
  needs.length = Math.min(needs.length, NEEDS_MAX);
  needsHeld = [];
  let address = at.area;
  for (const [i, need] of needs.entries()) {
    const length = put(bytes.subarray(address), need, PERMISSION_MAX);
    words[(at.table >>> 2) + 2 * i] = address;
    words[(at.table >>> 2) + 2 * i + 1] = length;
    address += length;
  }
  if (needs.length === given.length) needsHeld = needs;
  return needs.length;
}

// Bytes, or the UTF-8 of a string, in a block of their own.
function putBlock(text, name, max) {
  const data = typeof text === 'string' ? encoder.encode(text) : text;
  if (!(data instanceof Uint8Array)) throw wrongType(name, 'a string or a Uint8Array');
  if (data.length > max) throw new SubtokenError('too_large', `${name}: more than ${max} bytes`);
  const address = allocate(data.length + 1);
  bytes.set(data, address);
  if (data !== text) data.fill(0);
  return [address, data.length];
}

function wellFormed(text, name) {
  if (text === undefined || text === null) return null;
  if (typeof text !== 'string' || /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text)) {
    throw wrongType(name, 'a well-formed string');
  }
  return text;
}

function number(value, name, otherwise) {
  if (value === undefined || value === null) return otherwise;
  if (typeof value !== 'number' || Number.isNaN(value)) throw wrongType(name, 'a number');
  return value;
}

// A time. WebAssembly would call what a caller's object does to become a number, in the middle of a call.
function seconds(value, name) {
  if (typeof value !== 'number') throw wrongType(name, 'a number of seconds');
  return value;
}

// ---- what lies in the memory ----

const registry = typeof FinalizationRegistry === 'function'
  ? new FinalizationRegistry((block) => { block.drop(); }) : null;

// An address, how to release it, and how many use it.
class Block {
  constructor(address, release, uses = []) {
    this.address = address;
    this.release = release;
    this.uses = uses;
    this.users = 1;
    for (const other of uses) other.users += 1;
  }

  drop() {
    this.users -= 1;
    if (this.users > 0 || stopped !== null) return;
    call(this.release, this.address);
    this.address = 0;
    for (const other of this.uses) other.drop();
  }
}

class Owner {
  #block;

  constructor(block) {
    this.#block = block;
    registry?.register(this, block, this);
  }

  /** The block, for those that are built on it. */
  static block(owner, type, name) {
    if (!(owner instanceof type)) throw wrongType(name, `a ${type.name}`);
    const block = owner.#block;
    if (block === null) throw new SubtokenError('freed', `this ${type.name} was freed`);
    return block;
  }

  /** Wipes and releases the memory. Once is enough. */
  free() {
    const block = this.#block;
    if (block === null) return;
    this.#block = null;
    registry?.unregister(this);
    block.drop();
  }
}
if (Symbol.dispose !== undefined) {
  Owner.prototype[Symbol.dispose] = function dispose() { this.free(); }; // that of its class
}

/** The signing secrets, from the text of a secrets file. */
export class Ring extends Owner {
  static parse(text) {
    const block = new Block(allocate(call('ring_size')), 'release');
    try {
      Ring.#read(block, text);
    } catch (error) {
      block.drop();
      throw error;
    }
    return new Ring(block);
  }

  static #read(block, text) {
    const [address, length] = putBlock(text, 'the ring', RING_TEXT_MAX);
    const result = call('ring_read', block.address, address, length);
    const line = numbers[2];
    const why = result === 1 ? '' : texts(1)[0];
    call('release', address);
    if (result === 1) return;
    throw new SubtokenError(RESULTS[result].name,
      line > 0 ? `the ring, line ${line}: ${why}` : `the ring: ${why}`, { line });
  }

  constructor(block) {
    if (!(block instanceof Block)) throw wrongType('a Ring', 'made by Ring.parse');
    super(block);
  }

  /** The audience that the secrets are derived for; null for those that are not derived. */
  get audience() {
    const count = call('ring_audience', Owner.block(this, Ring, 'this').address);
    return count === 0 ? null : texts(count)[0];
  }

  /** Takes another text, for all that use this ring. On an error it stays as it was. */
  replace(text) {
    Ring.#read(Owner.block(this, Ring, 'this'), text);
  }

  /**
   * For tests: which faster loops verifying with it uses, 0 for plain C. With a mask, only those of
   * it from now on.
   */
  instructions(mask = 255) {
    return call('ring_instructions', Owner.block(this, Ring, 'this').address, number(mask, 'mask', 255));
  }

  free() {
    // Whoever verifies with it finds no secret from now on.
    let block;
    try {
      block = Owner.block(this, Ring, 'this');
    } catch {
      return;
    }
    if (stopped === null) call('ring_clear', block.address);
    super.free();
  }
}

/** Which permissions a path needs, from the text of a policy file. */
export class Policy extends Owner {
  static parse(text) {
    const [address, length] = putBlock(text, 'the policy', 16777216);
    let memory = 0;
    try {
      const size = call('policy_size', length) >>> 0;
      memory = allocate(size);
      const result = call('policy_read', memory, size, address, length);
      if (result !== 1) {
        const [line, column] = [numbers[2], numbers[3]];
        const [why] = texts(1);
        call('release', memory);
        throw new SubtokenError(RESULTS[result].name,
          line > 0 ? `the policy, line ${line}, column ${column}: ${why}` : `the policy: ${why}`,
          { line, column });
      }
    } finally {
      if (stopped === null) call('release', address);
    }
    return new Policy(new Block(memory, 'release'));
  }

  constructor(block) {
    if (!(block instanceof Block)) throw wrongType('a Policy', 'made by Policy.parse');
    super(block);
  }
}

/**
 * Revocation data in use, and how fresh it is: subtoken/revocations.h. revocations.js fetches it.
 * Times are seconds; monotonic is a clock that never goes back.
 */
export class Feed extends Owner {
  #ring;

  constructor(ring, { leeway = 60, maxAge = 300, allowOld = false } = {}) {
    const ringBlock = Owner.block(ring, Ring, 'ring');
    const address = call('feed_new', number(leeway, 'leeway'), number(maxAge, 'maxAge'),
      allowOld === true ? 1 : 0) >>> 0;
    if (address === 0) throw new SubtokenError('out_of_memory', 'no memory for revocation data');
    super(new Block(address, 'feed_free', [ringBlock]));
    this.#ring = ring;
  }

  #address() {
    return Owner.block(this, Feed, 'this').address;
  }

  #putBody(body, changes) {
    if (!(body instanceof Uint8Array)) throw wrongType('body', 'a Uint8Array or null');
    const address = call('feed_room', this.#address(), body.length) >>> 0;
    if (address === 0) return 'too_large';
    bytes.set(body, address);
    const ring = Owner.block(this.#ring, Ring, 'ring').address;
    return FEED_RESULTS[call('feed_start', this.#address(), ring, changes ? 1 : 0)].name;
  }

  #step(atMost) {
    return FEED_RESULTS[call('feed_step', this.#address(), atMost)].name;
  }

  static #check(heartbeat, now, monotonic) {
    if (typeof heartbeat !== 'string') throw wrongType('heartbeat', 'a string');
    seconds(now, 'now');
    seconds(monotonic, 'monotonic');
  }

  #accept(heartbeat, now, monotonic) {
    const ring = Owner.block(this.#ring, Ring, 'ring').address;
    const length = put(tokenSlot, heartbeat, 1024);
    return FEED_RESULTS[call('feed_take', this.#address(), ring, length, now, monotonic)].name;
  }

  /**
   * Accepts a snapshot (or with `changes` what leads from the one in use to it) and the heartbeat
   * that names it; with body null a heartbeat for the one in use. Returns the name of the result:
   * 'ok', or why nothing was changed.
   */
  take(heartbeat, body, changes, now, monotonic) {
    Feed.#check(heartbeat, now, monotonic);
    if (body !== null && body !== undefined) {
      let result = this.#putBody(body, changes);
      while (result === 'more') result = this.#step(0);
      if (result !== 'ok') return result;
    }
    return this.#accept(heartbeat, now, monotonic);
  }

  /** The same, but it lets the event loop run between pieces of a quarter of a MiB. One at a time. */
  async takeInSteps(heartbeat, body, changes, now, monotonic) {
    Feed.#check(heartbeat, now, monotonic);
    let result = this.#putBody(body, changes);
    while (result === 'more') {
      result = this.#step(262144);
      if (result === 'more') await new Promise((done) => { setTimeout(done, 0); });
    }
    return result === 'ok' ? this.#accept(heartbeat, now, monotonic) : result;
  }

  /** The highest sequence that was accepted, as digits; '0' when none was. */
  get sequence() {
    return String(call('feed_sequence', this.#address()));
  }

  /** T of the heartbeat in force, 0 without one. */
  get time() {
    call('feed_state', this.#address(), 0, 0);
    return numbers[1];
  }

  /** How many hashes the snapshot lists. */
  get count() {
    call('feed_state', this.#address(), 0, 0);
    return numbers[2];
  }

  /** Seconds; Infinity when nothing decides. */
  age(now, monotonic) {
    call('feed_state', this.#address(), seconds(now, 'now'), seconds(monotonic, 'monotonic'));
    return numbers[0];
  }

  /** May it decide? 'ok', 'old_allowed' (yes), 'old', 'absent'. */
  check(now, monotonic) {
    return FEED_RESULTS[call('feed_state', this.#address(), seconds(now, 'now'), seconds(monotonic, 'monotonic'))].name;
  }
}

/** The sentence and the event (or null) of a Feed's result. */
export function feedResult(name) {
  return FEED_RESULTS.find((result) => result.name === name) ?? null;
}

// ---- claims ----

const NO_TOKEN = 256; // flags of what `verify` returns
const PUBLIC = 512;

let generation = 0; // of the claims that lie in the memory

// A subtoken_slice of claims.text, which is `all` where it is ASCII.
function sliceOf(all, place) {
  const from = halves[place];
  const to = from + halves[place + 1];
  return all !== null ? all.slice(from, to) : decoder.decode(bytes.subarray(at.claims + from, at.claims + to));
}

function slicesOf(all, place, count) {
  const list = new Array(count);
  for (let i = 0; i < count; i += 1) list[i] = sliceOf(all, place + 2 * i);
  return list;
}

function readClaims() {
  wasm.claims_describe();
  const all = numbers[1] === 1 ? asciiOf(at.claims, at.claims + numbers[0]) : null;
  const iss = sliceOf(all, at.iss >>> 1);
  const [viaCount, hasAudience] = [numbers[8], numbers[9] > 0];
  const claims = {
    sub: sliceOf(all, at.sub >>> 1),
    tid: sliceOf(all, at.tid >>> 1),
    via: slicesOf(all, at.via >>> 1, viaCount),
    aud: [],
    iss: iss === '' ? null : iss,
    iat: numbers[2],
    exp: numbers[3],
    nbf: numbers[4] === 0 ? null : numbers[4],
    permissions: slicesOf(all, at.permissions >>> 1, numbers[5]),
    urls: numbers[7] === 1 ? null : slicesOf(all, at.urls >>> 1, numbers[6]),
  };
  if (hasAudience) claims.aud = texts(wasm.claims_audiences());
  return claims;
}

/** What a verifier found. `claims` are null unless it is ok, and where a public path needs no token. */
class Verdict {
  #code;
  #token; // until the claims are read
  #generation = generation;
  #claims = null;

  constructor(code, token) {
    this.#code = code;
    this.#token = token;
  }

  get ok() {
    return (this.#code & 255) === 1;
  }

  get result() {
    return RESULTS[this.#code & 255].name;
  }

  get status() {
    return RESULTS[this.#code & 255].status;
  }

  /** The value of WWW-Authenticate, or null. */
  get challenge() {
    return (this.#code & NO_TOKEN) !== 0 ? 'Bearer' : RESULTS[this.#code & 255].challenge;
  }

  get claims() {
    if (this.#token === null) return this.#claims;
    // They lie in the memory until something else is verified. Then they are read from the token
    // again, whose signature was right.
    if (this.#generation !== generation) {
      generation += 1;
      if (call('inspect', putToken(this.#token)) !== 1) throw stop('a token changed');
    }
    this.#claims = readClaims();
    this.#token = null;
    return this.#claims;
  }

  toJSON() {
    const { ok, result, status, challenge, claims } = this;
    return { ok, result, status, challenge, claims };
  }
}

// ---- the verifier ----

const PREFLIGHT = 1; // SUBTOKEN_POLICY_PREFLIGHT

function refusal(code) {
  if (code < REFUSALS.length) return REFUSALS[code];
  return new Verdict(code, null);
}

function clock() {
  return typeof performance === 'object' ? performance.now() / 1000 : Date.now() / 1000;
}

/** Verifies tokens for requests, by a ring, revocation data, and where there is one a policy. */
export class Verifier extends Owner {
  #block;
  #feed; // the Feed, or null
  #unsure = false; // a call was interrupted that may have changed the cache
  #body = ''; // the generation in which a body was asked for, and what was placed until then

  constructor(options) {
    if (typeof options !== 'object' || options === null) throw wrongType('options', 'an object');
    const { ring, revocations, withoutRevocations, policy } = options;
    const uses = [Owner.block(ring, Ring, 'ring')];
    const feed = revocations instanceof Feed ? revocations : revocations?.feed ?? null;
    if ((feed !== null) === (withoutRevocations === true)) {
      throw wrongType('options', 'with either revocations or withoutRevocations: true');
    }
    if (feed !== null) uses.push(Owner.block(feed, Feed, 'revocations'));
    const hasPolicy = policy !== undefined && policy !== null;
    if (hasPolicy) uses.push(Owner.block(policy, Policy, 'policy'));
    const iss = wellFormed(options.iss, 'iss');
    const aud = wellFormed(options.aud, 'aud');
    if (iss?.length > TOKEN_MAX || aud?.length > TARGET_MAX) throw wrongType('iss and aud', 'shorter');
    const leeway = number(options.leeway, 'leeway', 60);
    if (!(leeway >= 0 && leeway <= 3600)) throw new RangeError('subtoken: leeway must be 0 to 3600 s');
    const cache = number(options.cache, 'cache', 1048576);
    if (!(cache >= 0 && cache <= 1073741824)) throw new RangeError('subtoken: cache must be 0 to 2^30 bytes');
    placed += 1; // aud
    const address = call('verifier_new', uses[0].address, feed === null ? 0 : uses[1].address,
      hasPolicy ? uses.at(-1).address : 0,
      iss === null ? -1 : put(tokenSlot, iss, TOKEN_MAX),
      aud === null ? -1 : put(targetSlot, aud, TARGET_MAX),
      leeway, number(options.maxLife, 'maxLife', 365 * 86400), withoutRevocations === true ? 1 : 0,
      cache) >>> 0;
    if (address === 0) throw new SubtokenError('out_of_memory', 'no memory for a verifier');
    const block = new Block(address, 'verifier_free', uses);
    super(block);
    this.#block = block;
    this.#feed = feed;
    /** The Revocations that it was given, which middleware waits for; null for a Feed, and without. */
    this.revocations = feed === null || feed === revocations ? null : revocations;
  }

  // A call that uses the cache: one that did not return may have left an entry half written.
  #address() {
    if (this.#block.address === 0) throw new SubtokenError('freed', 'this Verifier was freed');
    if (this.#unsure) {
      call('verifier_forget', this.#block.address);
      this.#unsure = false;
    }
    return this.#block.address;
  }

  #call(name) {
    this.#unsure = true;
    const result = call(name);
    this.#unsure = false;
    return result;
  }

  #monotonic(request) {
    return this.#feed === null ? 0 : seconds(request.monotonic ?? clock(), 'monotonic');
  }

  /** Decides about a request: { method, target, needs, preflight, now }. It never throws for what a caller sent. */
  verify(token, request = {}) {
    const address = this.#address();
    const { method, target, needs, now = Date.now() / 1000, preflight } = request;
    seconds(now, 'now');
    const monotonic = this.#monotonic(request);
    // Only strings are read from here on: nothing of the caller's runs and calls us again.
    const needsCount = putNeeds(needs);
    const tokenLength = token === null || token === undefined ? -1 : putToken(token);
    const targetLength = putTarget(target);
    putMethod(method);
    if (interrupted) resume();
    generation += 1;
    let code;
    try {
      code = wasm.verify(address, tokenLength, targetLength, methodAt, methodLength, needsCount,
        preflight === true ? PREFLIGHT : 0, now, monotonic);
    } catch (error) {
      this.#unsure = true;
      throw failed('verify', error);
    }
    return code === 1 ? new Verdict(1, token) : refusal(code);
  }

  /** A sentence, for the people who run an API, about the verdict of the same arguments. */
  explain(token, request = {}) {
    const now = request.now ?? Date.now() / 1000;
    const monotonic = this.#monotonic(request);
    const { result } = this.verify(token, { ...request, now, monotonic });
    const code = RESULTS.findIndex((known) => known.name === result);
    // The arguments are where `verify` has put them.
    const [tokenLength, targetLength] = [token === null || token === undefined ? -1 : putToken(token),
      putTarget(request.target)];
    return texts(call('explain', this.#address(), tokenLength, targetLength, methodAt, methodLength,
      putNeeds(request.needs), request.preflight === true ? PREFLIGHT : 0, now, monotonic, code))[0];
  }

  /**
   * What /.well-known/oauth-protected-resource and the path behind it has (RFC 9728), as text; null
   * where the target asks for nothing of that, or how.issuer is missing. For GET and HEAD, before decide.
   */
  metadata(request, how) {
    this.#request(request, how);
    return call('edge_metadata') === 0 ? null : texts(1)[0];
  }

  // Hands the request and `how` to the instance, for the calls that follow at once.
  #request(request, how) {
    const address = this.#address();
    const { method, target, now = Date.now() / 1000, contentLength = 0, origin, requestMethod, bodyEncoded,
      hasBody } = request;
    const mcp = [valuesOf(request.mcpMethod, 'mcpMethod'), valuesOf(request.mcpName, 'mcpName'),
      valuesOf(request.mcpVersion, 'mcpVersion')];
    const issuer = wellFormed(how.issuer, 'issuer');
    const authorization = valuesOf(request.authorization, 'authorization');
    const xApiKey = valuesOf(request.xApiKey, 'xApiKey');
    const monotonic = this.#monotonic(request);
    const forms = formsOf(how.forms);
    const flags = (how.mayAsk === true ? 1 : 0) | (how.readsBodies === true ? 2 : 0) | (origin === true ? 4 : 0) |
      (requestMethod === true ? 8 : 0) | (bodyEncoded === true ? 16 : 0) | (hasBody === true ? 32 : 0);
    seconds(now, 'now');
    if (typeof contentLength !== 'number') throw wrongType('contentLength', 'a number');
    // Only strings are read from here on: nothing of the caller's runs and calls us again.
    const needsCount = putNeeds(how.needs);
    const targetLength = putTarget(target);
    putMethod(method);
    areaUsed = at.area + HEADERS_AREA;
    const authorizations = putHeaders(authorization, AUTHORIZATION, 0);
    const xApiKeys = putHeaders(xApiKey, X_API_KEY, 'Bearer '.length);
    const [mcpMethods, mcpNames, mcpVersions] = mcp.map((values, i) => putMcp(values, MCP + 2 * i));
    putText(ISSUER, issuer, 512, 'issuer');
    generation += 1;
    call('edge_request', address, forms, flags, targetLength, methodAt, methodLength, needsCount, authorizations,
      xApiKeys, mcpMethods, mcpNames, mcpVersions, now, monotonic, contentLength);
  }

  #reply(step) {
    const [status, result, count] = [numbers[2], numbers[3], numbers[4]];
    const list = texts(count);
    const reply = { step: STEPS[step], status, result: RESULTS[result].name, name: list[0],
      headers: {}, body: '', identity: null, tid: '' };
    if (step === ALLOW) {
      reply.identity = IDENTITY.map((name, i) => [name, list[1 + i]]);
      reply.tid = list[1 + IDENTITY.length];
      return reply;
    }
    reply.body = list[1];
    for (let i = 2; i < list.length; i += 2) reply.headers[list[i]] = list[i + 1];
    if (step === BODY) this.#body = `${generation} ${placed}`;
    return reply;
  }

  /**
   * The whole decision about a request, as every edge makes it (subtoken/edge.h): what is answered,
   * or whom the request stands for. request: { method, target, authorization, xApiKey, origin,
   * requestMethod, bodyEncoded, hasBody, contentLength, mcpMethod, mcpName, mcpVersion, now }; how:
   * { forms, needs, mayAsk, readsBodies, issuer }.
   */
  decide(request, how = {}) {
    this.#request(request, how);
    return this.#reply(this.#call('edge_decide'));
  }

  /** The headers of the question to the server, [name, value]; none when there is more than one credential. */
  question(request, how, nonce) {
    this.#request(request, how);
    putText(NONCE, nonce, 64, 'nonce');
    const list = texts(call('edge_question'));
    const headers = [];
    for (let i = 0; i < list.length; i += 2) headers.push([list[i], list[i + 1]]);
    call('wipe_buffers'); // it had a whole key
    needsHeld = [];
    return headers;
  }

  #answer(request, how, nonce, answer) {
    this.#request(request, how);
    putText(NONCE, nonce, 64, 'nonce');
    const { status } = answer;
    for (const [i, name] of ANSWERS.entries()) putText(ANSWER + i, answer[name], ANSWER_MAX, name);
    call('edge_answer', Number.isInteger(status) && status > 0 && status < 1000 ? status : 0,
      answer.repeated === true ? 1 : 0);
  }

  /** May this answer of the server be kept for the next request with this credential? */
  answerUsable(request, how, nonce, answer) {
    this.#answer(request, how, nonce, answer);
    return call('edge_answer_usable') === 1;
  }

  /** After 'ask': decides by the server's answer, { status, repeated, nonce, sub, key, owner, permissions, expires, retryAfter }. */
  decideAnswer(request, how, nonce, answer) {
    this.#answer(request, how, nonce, answer);
    return this.#reply(this.#call('edge_decide_answer'));
  }

  /** After 'body', at once: decides by the body. */
  decideBody(body) {
    if (this.#body !== `${generation} ${placed}`) {
      throw new SubtokenError('invalid_argument', 'decideBody: decide anew, and then by the body at once');
    }
    if (!(body instanceof Uint8Array)) throw wrongType('body', 'a Uint8Array');
    const length = Math.min(body.length, RPC_BODY_MAX + 1);
    const block = allocate(2 * length + 1);
    bytes.set(body.subarray(0, length), block);
    const step = call('edge_decide_body', block, length, block + length);
    call('release', block);
    return this.#reply(step);
  }

  free() {
    super.free();
    this.#block = { address: 0 };
    if (stopped === null) call('wipe_buffers'); // what it read of requests
    needsHeld = [];
    generation += 1;
  }
}

// ---- requests, for Verifier.decide ----

const STEPS = ['refuse', 'allow', 'ask', 'body'];
const ALLOW = 1;
const BODY = 3;
const IDENTITY = ['X-Subtoken-Sub', 'X-Subtoken-Key', 'X-Subtoken-Owner', 'X-Subtoken-Permissions', 'X-Subtoken-Expires'];
const ANSWERS = ['nonce', 'sub', 'key', 'owner', 'permissions', 'expires', 'retryAfter'];
const FORMS = { bearer: 1, 'x-api-key': 2, query: 4, basic: 8 };
// Places in io.table, and in io.area behind the needs and a method.
const AUTHORIZATION = 72;
const X_API_KEY = 104;
const NONCE = 136;
const ANSWER = 137;
const MCP = 144;
const ISSUER = 150;
const HEADERS_AREA = NEEDS_AREA + 3 * (METHOD_MAX + 1);
const HEADERS_MAX = 32;
const HEADER_MAX = TOKEN_MAX + 256; // a longer one holds no credential
const ANSWER_MAX = 8192;
const RPC_BODY_MAX = 262144;

function formsOf(forms) {
  if (forms === undefined || forms === null) return 15;
  let bits = 0;
  for (const form of forms) {
    if (!Object.hasOwn(FORMS, form)) throw wrongType('forms', `of ${Object.keys(FORMS).join(', ')}`);
    bits |= FORMS[form];
  }
  return bits;
}

// False when there is no room.
function putText(place, text, max, name) {
  const entry = (at.table >>> 2) + 2 * place;
  words[entry] = 0;
  words[entry + 1] = 0;
  if (text === undefined || text === null) return true;
  if (typeof text !== 'string') throw wrongType(name, 'a string');
  if (at.areaEnd - areaUsed < 3 * (Math.min(text.length, max) + 1)) return false;
  const length = put(bytes.subarray(areaUsed, at.areaEnd), text, max);
  words[entry] = areaUsed;
  words[entry + 1] = length;
  areaUsed += length;
  return true;
}

// The values of a header, which may be a string, an array or none: an array of our own.
function valuesOf(values, name) {
  if (values === undefined || values === null) return [];
  const list = typeof values === 'string' ? [values] : Array.isArray(values) ? [...values] : [null];
  for (const value of list) {
    if (typeof value !== 'string') throw wrongType(name, 'a string or an array of strings');
  }
  return list;
}

// Puts them into the table. More than anybody sends are what two different ones are: more than one
// credential. `skip`: without the scheme, in X-API-Key.
const TWO = ['Bearer a.a.a', 'Bearer b.b.b'];
function putHeaders(values, place, skip) {
  let fits = values.length <= HEADERS_MAX;
  for (let i = 0; fits && i < values.length; i += 1) fits = putText(place + i, values[i], HEADER_MAX);
  if (fits) return values.length;
  for (const [i, text] of TWO.entries()) {
    words[(at.table >>> 2) + 2 * (place + i)] = twoAt + i * text.length + skip;
    words[(at.table >>> 2) + 2 * (place + i) + 1] = text.length - skip;
  }
  return TWO.length;
}

// Two are as good as more, or as one for which there is no room: refused.
function putMcp(values, place) {
  const count = Math.min(values.length, 2);
  for (let i = 0; i < count; i += 1) {
    if (!putText(place + i, values[i], HEADER_MAX, 'a header')) return 2;
  }
  return count;
}

/** The reply for the name of a result; for any that is none, and for 'ok', 503. */
export function refuse(name) {
  const found = RESULTS.findIndex((result) => result.name === name);
  call('edge_refuse', found > 1 ? found : UNKNOWN);
  const [status, result, count] = [numbers[2], numbers[3], numbers[4]];
  const list = texts(count);
  const headers = {};
  for (let i = 2; i < list.length; i += 2) headers[list[i]] = list[i + 1];
  return { step: 'refuse', status, result: RESULTS[result].name, name: list[0], headers, body: list[1],
    identity: null, tid: '' };
}

/** Is it a header that tells the API whom a request stands for? A caller's must not reach the API. */
export function isIdentityHeader(name) {
  if (typeof name !== 'string') throw wrongType('name', 'a string');
  if (!/^x/i.test(name)) return false;
  return call('edge_is_identity_header', put(tokenSlot, name, 64)) === 1;
}

/** The target, or another URL, without access_token= in its query. */
export function stripQuery(target) {
  if (typeof target !== 'string') throw wrongType('target', 'a string');
  if (!target.includes('?')) return target;
  // A longer one is refused as a target; of a Referer all is cut off behind the path.
  if (target.length > TARGET_MAX) return target.slice(0, target.indexOf('?'));
  if (call('edge_strip_query', putTarget(target)) !== 1) return target.slice(0, target.indexOf('?'));
  return texts(1)[0];
}

/** verifier.explain, as a function. */
export function explain(verifier, token, request) {
  return verifier.explain(token, request);
}

/**
 * Reads a token without verifying it, for display only: { header, claims }, the header as text.
 * Throws a SubtokenError when it cannot be read.
 */
export function inspect(token) {
  const length = putToken(token);
  generation += 1;
  const result = call('inspect', length);
  if (result !== 1) throw new SubtokenError(RESULTS[result].name, `the token: ${RESULTS[result].name}`);
  const [header] = texts(1);
  return { header, claims: readClaims() };
}

// ---- paths ----

function path(result) {
  const list = texts(result === 1 ? 1 : 2);
  if (result === 1) return list[0];
  throw new SubtokenError(RESULTS[result].name, list[1], { fault: list[0] });
}

/** The canonical path of a request target: route on it. Throws for one that can be read in two ways. */
export function targetPath(target) {
  if (typeof target !== 'string') throw wrongType('target', 'a string');
  return path(call('target_path', putTarget(target)));
}

/** The canonical form of an entry of the URL allowlist. Throws for one that is none. */
export function urlCanonical(entry) {
  return path(call('url_canonical', putToken(entry)));
}

/** Does the entry allow this request? 'ok', 'url', 'bad_target', 'bad_url'. */
export function urlAllows(entry, method, target) {
  putMethod(method);
  return RESULTS[call('url_allows', putToken(entry), methodAt, methodLength, putTarget(target))].name;
}

/** Does the entry outer allow all that inner allows? 'ok', 'url_wider', 'bad_url'. */
export function urlCovers(outer, inner) {
  if (typeof inner !== 'string') throw wrongType('inner', 'a string');
  return RESULTS[call('url_covers', putToken(outer), putTarget(inner))].name;
}
