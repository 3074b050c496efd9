// The revocation data of an edge: fetched from GET /v2/revocations, checked in wasm, kept fresh.
// `subtoken pull` is the same program in C, and has the reasons (src/cli/pull_loop.c, pull_round.c).
//
// A process calls start(): one request after the other, each held back by the server until there is
// something newer (wait=). Where timers end with a request (Workers), nobody calls it: ready() is
// called before each decision, and asks when the data is due. What a server sends is believed only
// with the MAC of the ring (Feed, core.js); what it withholds is noticed after maxAge, and then a verifier
// answers 503.
import { Feed } from './core.js';

const PATH = '/v2/revocations';
const SNAPSHOT = 'application/octet-stream';
const CHANGES = 'application/vnd.subtoken.changes';
const LARGE = 262144; // bytes that are checked in pieces, between which requests are answered
const MAX_SIZE = 256 * 1024 * 1024;
const WAIT_MAX = 30; // seconds that a server may be asked to wait
const BACK_OFF = 30; // seconds, the most
const BACK_OFF_LAZY = 5; // the same where a request asks, because the caller waits for it
const PATIENCE = 10; // seconds for which a server may be silent
const PATIENCE_SHORT = 3; // the same while there is another one to ask, or a caller waits
const BODY_TIMEOUT = 60; // seconds for a body
const STALE_AFTER = 5; // seconds beyond twice `every` after which the heartbeat should have grown
const DUE_AT_ONCE = 10; // times `every`: a request that finds older data waits for newer
const PAUSE = 0.05; // seconds between two changes
const PAUSE_MAX = 0.5;

const wall = () => Math.floor(Date.now() / 1000);
const monotonic = () => performance.now() / 1000;

// A share of a number, so that edges which started together do not ask together.
const shareOf = (seconds, from, to) => seconds * (from + Math.random() * (to - from));

// A timer that keeps no process alive.
function later(seconds, callback) {
  const timer = setTimeout(callback, seconds * 1000);
  if (typeof timer === 'object') timer.unref?.();
  else globalThis.Deno?.unrefTimer?.(timer);
  return timer;
}

// What a listener gives that is a promise: nobody waits for it, and where it fails no process ends.
export function ignored(result) {
  if (typeof result?.then === 'function') result.then(undefined, () => {});
}

export const isLoopback = (host) => host === 'localhost' || host === '[::1]'
  || /^127(\.\d{1,3}){3}$/.test(host);

// An address of the server, complete. https, or http to this machine itself.
export function serverAddress(text, path, allowHttp) {
  let url;
  try {
    url = new URL(text);
  } catch {
    throw new TypeError(`${JSON.stringify(String(text))} is not a URL: use https://HOST or https://HOST${path}`);
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw new TypeError(`${url.protocol}//${url.host}: the URL must start with https://`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new TypeError(`${url.host}: the URL must not have a user or a password`);
  }
  if (url.search !== '' || url.hash !== '') {
    throw new TypeError(`${url.host}: the URL must end with its path`);
  }
  if (url.protocol === 'http:' && !isLoopback(url.hostname) && !allowHttp) {
    throw new TypeError(`${url.host}: http:// would send the key unencrypted: use https://, or set allowHttp`);
  }
  if (url.pathname === '/') url.pathname = path;
  return url;
}

function positive(name, value, least, most) {
  if (typeof value !== 'number' || !(value >= least && value <= most)) {
    throw new TypeError(`${name}: must be a number from ${least} to ${most}`);
  }
  return value;
}

// ---- one response ----

// The body, at most `most` bytes of it.
async function readBody(response, most) {
  if (response.body === null) return new Uint8Array(0);
  const reader = response.body.getReader();
  const pieces = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > most) {
      await reader.cancel();
      throw new Error(`the response is longer than ${most} bytes (maxSize)`);
    }
    pieces.push(value);
  }
  if (pieces.length === 1) return pieces[0];
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

// T of a heartbeat that was not verified, to tell two servers that are a little apart from a replay.
function unverifiedTime(heartbeat) {
  const bytes = atob(heartbeat.replace(/-/g, '+').replace(/_/g, '/'));
  let time = 0;
  for (let i = 31; i >= 24; i -= 1) time = time * 256 + bytes.charCodeAt(i);
  return time;
}

// Of {"text":"..."}, what may stand in a log.
function refusalText(body) {
  try {
    const { text } = JSON.parse(new TextDecoder().decode(body));
    // eslint-disable-next-line no-control-regex
    return typeof text === 'string' ? `: ${text.slice(0, 200).replace(/[\x00-\x1f\x7f-\x9f]/g, '?')}` : '';
  } catch {
    return '';
  }
}

const REASONS = {
  mac: 'the response was not made with the ring that is here',
  kid: 'the ring that is here has no secret of the name that the server signs with',
  future: 'the heartbeat is from the future: the clock of the server is ahead, or the clock here is behind',
  pair: 'the heartbeat in the response names another snapshot',
  rollback: 'the snapshot has a lower sequence than one that was seen before: not used',
  replay: 'the heartbeat in the response is older than the previous one',
  absent: 'the server answers 304, but there is nothing here yet',
};

const outcome = (kind, text = '') => ({ kind, text });

export class Revocations {
  #feed;
  #ring;
  #leeway;
  #servers;
  #key;
  #every;
  #fetch;
  #maxSize;
  #onEvent;
  #noStore;
  // What is known of the servers.
  #current = 0; // the one that is asked first
  #settled = false; // it has answered the round before
  #failures = 0; // rounds without an answer, one after the other
  #errors; // what was said last of each
  #told = ''; // what was said last of all
  #etag = '';
  #whole = false; // changes do not apply: ask for the whole
  #heartbeat = 0; // T, and when it last grew
  #grew = monotonic();
  #changedAt = -Infinity;
  #pause = PAUSE;
  #last = { changed: false, wait: 0, took: 0 };
  // What runs.
  #running = null; // an AbortController while start() is in force
  #first = null; // a promise of its first round
  #refreshing = null; // { promise, began } of a round that requests share
  #notBefore = -Infinity; // when a request may ask again after a failure

  constructor(options) {
    const { ring, from, key, every = 1, maxAge = 300, leeway = 60, allowOld = false, allowHttp = false,
      maxSize = MAX_SIZE, onEvent, fetch = globalThis.fetch } = options ?? {};
    const list = Array.isArray(from) ? from : [from];
    if (ring === undefined) throw new TypeError('ring: missing');
    if (from === undefined || list.length === 0) throw new TypeError('from: the address of the server is missing');
    if (typeof fetch !== 'function') throw new TypeError('fetch: must be a function');
    if (typeof key !== 'function') checkKey(key);
    this.#servers = list.map((each) => serverAddress(each, PATH, allowHttp === true));
    this.#errors = list.map(() => '');
    this.#every = positive('every', every, 0.1, 3600);
    this.#leeway = positive('leeway', leeway, 0, 3600);
    this.#maxSize = positive('maxSize', maxSize, 256, 2 ** 31 - 65536);
    this.#key = key;
    this.#ring = ring;
    // As a method of the global object: browsers insist.
    this.#fetch = fetch === globalThis.fetch ? (...words) => globalThis.fetch(...words) : fetch;
    this.#onEvent = onEvent ?? (({ event, text }) => console.warn(`subtoken: ${event}: ${text}`));
    this.#noStore = knowsNoStore();
    this.#feed = new Feed(ring, { leeway, maxAge: positive('maxAge', maxAge, 1, 2 ** 31), allowOld: allowOld === true });
  }

  /** What a verifier reads. */
  get feed() { return this.#feed; }

  /** The age of the data in seconds; Infinity when there is none. */
  get age() { return this.#feed.age(wall(), monotonic()); }

  /** May the data decide? */
  get usable() { return ['ok', 'old_allowed'].includes(this.#feed.check(wall(), monotonic())); }

  /** For a status page: no secret is in it. */
  get status() {
    return { usable: this.usable, age: this.age, sequence: this.#feed.sequence, entries: this.#feed.count,
      from: this.#servers[this.#current].href, error: this.#settled ? '' : this.#errors[this.#current] };
  }

  /**
   * Keeps the data fresh until stop(). Resolves after the first round, with whether the data may
   * decide; it never rejects. Not for Workers: there ready() does it.
   */
  async start() {
    if (this.#running === null) {
      const running = new AbortController();
      this.#running = running;
      this.#first = this.#round(running.signal, true).then(() => {
        if (!running.signal.aborted) this.#next(running);
      });
    }
    await this.#first;
    return this.usable;
  }

  stop() {
    this.#running?.abort();
    this.#running = null;
  }

  /** Asks now, once. Resolves with whether the data may decide. */
  async refresh() {
    await this.#share();
    return this.usable;
  }

  /**
   * Before a decision, where start() was not called: asks when the data is due. waitUntil, of
   * Workers, lets a request go on while the answer comes. Undefined: nothing is to be waited for.
   */
  ready(waitUntil) {
    if (this.#running !== null) return undefined;
    const age = this.age;
    if (age < this.#every || monotonic() < this.#notBefore) return undefined;
    const shared = this.#share();
    waitUntil?.(shared);
    // A server that is away is waited for only by those whom nothing else can answer.
    const soon = age < DUE_AT_ONCE * this.#every || this.#failures > 0;
    return soon && this.usable ? undefined : shared;
  }

  // One round at a time. A request may have been ended with the round that it began (Workers), so
  // nobody waits for one longer than a round may take.
  #share() {
    const now = monotonic();
    const most = PATIENCE_SHORT * this.#servers.length + 1;
    if (this.#refreshing === null || now - this.#refreshing.began > most) {
      const mine = { began: now };
      mine.promise = this.#round(undefined, false).finally(() => {
        if (this.#refreshing === mine) this.#refreshing = null;
      });
      this.#refreshing = mine;
    }
    const { promise } = this.#refreshing;
    return new Promise((resolve) => {
      const timer = later(most, resolve);
      promise.then(() => { clearTimeout(timer); resolve(); });
    });
  }

  // ---- a round: one server after the other, until one answers ----

  async #round(signal, mayWait) {
    const count = this.#servers.length;
    let answered = false;
    let again = false;
    const first = this.#current;
    for (let i = 0; i < count && !answered && !signal?.aborted; i += 1) {
      const at = (first + i) % count;
      const result = await this.#askServer(at, signal, mayWait);
      if (signal?.aborted) return;
      const usual = result.kind === 'current' || result.kind === 'behind';
      if (usual && this.#isStale()) {
        again = true;
        this.#tellError(at, 'pull_failed', 'the server has vouched for nothing newer for '
          + `${2 * this.#every + STALE_AFTER} s`);
      } else if (usual) {
        answered = true;
        this.#current = at;
        if (result.kind === 'current') this.#tellCurrent(at);
      } else {
        this.#tellError(at, result.kind, result.text);
      }
    }
    this.#settled = answered;
    this.#failures = answered || again ? 0 : this.#failures + 1;
    const pause = answered ? 0 : this.#backOff(BACK_OFF_LAZY);
    this.#notBefore = monotonic() + pause;
  }

  async #askServer(at, signal, mayWait) {
    // When none of them answers, they may just be slow.
    const patient = mayWait && (this.#servers.length === 1 || this.#failures % 2 === 1);
    const question = { at, signal, patience: patient ? PATIENCE : PATIENCE_SHORT, wait: 0 };
    if (mayWait && this.#settled && at === this.#current) {
      question.wait = Math.min(Math.max(1, Math.floor(this.#every)), WAIT_MAX);
    }
    const began = monotonic();
    this.#last = { changed: false, wait: question.wait, took: 0 };
    let result;
    try {
      result = await this.#ask(question);
      if (result.kind === 'again') {
        this.#whole = true;
        result = await this.#ask({ ...question, wait: 0 });
        if (result.kind === 'again') result = outcome('feed_bad', result.text);
      }
    } catch (error) {
      const why = error?.name === 'AbortError' ? 'no answer in time' : error?.cause?.message ?? error?.message;
      result = outcome('pull_failed', `${why || 'the request failed'}`);
    }
    this.#last.took = monotonic() - began;
    return result;
  }

  // ---- a request ----

  async #ask(question) {
    const url = new URL(this.#servers[question.at]);
    const headers = { authorization: `Bearer ${checkKey(await this.#getKey())}` };
    // What is here goes with every request: a server that never issued it has another history.
    const { audience } = this.#ring; // with derived secrets: the feed is signed under these
    if (audience !== null) url.searchParams.set('audience', audience);
    if (this.#feed.sequence !== '0') url.searchParams.set('since', this.#feed.sequence);
    if (this.#whole) url.searchParams.set('whole', '1');
    else if (this.#etag !== '') headers['if-none-match'] = this.#etag;
    if (!this.#whole && question.wait > 0) url.searchParams.set('wait', String(question.wait));
    const abort = new AbortController();
    const stop = () => abort.abort();
    question.signal?.addEventListener('abort', stop);
    let timer = later((this.#whole ? 0 : question.wait) + question.patience, stop);
    try {
      const init = { headers, redirect: 'manual', signal: abort.signal };
      if (this.#noStore) init.cache = 'no-store';
      const response = await this.#fetch(url.href, init);
      clearTimeout(timer);
      timer = later(BODY_TIMEOUT, stop);
      return await this.#read(response);
    } finally {
      clearTimeout(timer);
      question.signal?.removeEventListener('abort', stop);
    }
  }

  async #getKey() {
    return typeof this.#key === 'function' ? this.#key() : this.#key;
  }

  async #read(response) {
    const { status } = response;
    if (status !== 200 && status !== 304) {
      if (status === 0 || (status >= 300 && status < 400)) {
        await response.body?.cancel();
        return outcome('pull_failed', 'the server answers with a redirect, which is not followed: use the URL that it leads to');
      }
      const text = `the server answers ${status}${refusalText(await readBody(response, 65536))}`;
      if (status === 409) return outcome('feed_rollback', text);
      return outcome(status === 401 || status === 403 ? 'pull_refused' : 'pull_failed', text);
    }
    const type = (response.headers.get('content-type') ?? '').split(';')[0].trim();
    const heartbeat = response.headers.get('subtoken-heartbeat') ?? '';
    const etag = response.headers.get('etag') ?? '';
    const body = status === 200 ? await readBody(response, this.#maxSize) : null;
    if (body === null) await response.body?.cancel();
    if (!/^[A-Za-z0-9_-]{214}$/.test(heartbeat)) return outcome('feed_bad', 'the response has no heartbeat');
    if (body !== null && type !== SNAPSHOT && type !== CHANGES) {
      return outcome('feed_bad', 'the response is not revocation data');
    }
    return this.#take(heartbeat, etag, body, type === CHANGES);
  }

  // ---- what of a response is accepted ----

  async #take(heartbeat, etag, body, changes) {
    const known = this.#feed.sequence;
    // A round of start() is the only one; one of a request might end with it, half way.
    const steps = this.#running !== null && body !== null && body.length > LARGE;
    const result = steps ? await this.#feed.takeInSteps(heartbeat, body, changes, wall(), monotonic())
      : this.#feed.take(heartbeat, body, changes, wall(), monotonic());
    if (result === 'ok') {
      if (body !== null) {
        this.#etag = /^(W\/)?"[\x21\x23-\x7e]{1,100}"$/.test(etag) ? etag : '';
        this.#whole = false;
      }
      this.#last.changed = this.#feed.sequence !== known;
      return outcome('current');
    }
    if (result === 'replay') {
      const close = this.#feed.time - unverifiedTime(heartbeat) <= this.#leeway;
      return outcome(close ? 'behind' : 'feed_rollback', REASONS.replay);
    }
    const text = REASONS[result] ?? `the response cannot be used (${result})`;
    if (result === 'rollback') return outcome('feed_rollback', text);
    // Changes that do not apply, or a 304 for what is not here: the whole is asked for, once.
    const partial = changes || body === null;
    return outcome(partial && !this.#whole && result !== 'future' ? 'again' : 'feed_bad', text);
  }

  // Nothing newer was vouched for since long.
  #isStale() {
    const now = monotonic();
    if (this.#feed.time !== this.#heartbeat) {
      this.#heartbeat = this.#feed.time;
      this.#grew = now;
    }
    return now - this.#grew >= 2 * this.#every + STALE_AFTER;
  }

  // ---- when the next one begins ----

  #backOff(most) {
    const wait = Math.min(this.#every * 2 ** Math.min(Math.max(this.#failures - 1, 0), 20),
      Math.max(most, this.#every));
    return shareOf(wait, 0.5, 1);
  }

  // After changes that come fast the pause is longer.
  #pauseAfterChange() {
    const now = monotonic();
    this.#pause = now - this.#changedAt < PAUSE_MAX ? Math.min(2 * this.#pause, PAUSE_MAX) : PAUSE;
    this.#changedAt = now;
    return this.#pause;
  }

  #pauseSeconds() {
    const { changed, wait, took } = this.#last;
    if (this.#failures > 0) return this.#backOff(BACK_OFF);
    if (this.#settled && changed) return this.#pauseAfterChange();
    const held = took >= 0.9 * wait;
    if (this.#settled && held && wait > 0) return shareOf(PAUSE, 0, 1);
    return Math.max(0, shareOf(this.#every, 0.9, 1.1) - took);
  }

  #next(running) {
    later(this.#pauseSeconds(), async () => {
      if (running.signal.aborted) return;
      await this.#round(running.signal, true);
      if (!running.signal.aborted) this.#next(running);
    });
  }

  // ---- what is told: a line when something has changed ----

  #tell(event, text, at) {
    try {
      ignored(this.#onEvent({ event, text, from: this.#servers[at].href }));
    } catch {
      // Who listens must not end the loop.
    }
  }

  #tellError(at, event, text) {
    if (this.#errors[at] === `${event} ${text}`) return;
    this.#errors[at] = `${event} ${text}`;
    this.#told = ''; // that it is over is told, too
    this.#tell(event, this.#servers.length > 1 ? `${this.#servers[at].href}: ${text}` : text, at);
  }

  #tellCurrent(at) {
    this.#errors[at] = '';
    const text = `sequence=${this.#feed.sequence} entries=${this.#feed.count}`;
    if (text === this.#told) return;
    this.#told = text;
    this.#tell('pulled', text, at);
  }
}

function checkKey(key) {
  if (typeof key !== 'string' || !/^[\x21-\x7e]{1,8192}$/.test(key.trim())) {
    throw new TypeError('key: must be the key of the edge, a text without spaces');
  }
  return key.trim();
}

// Older Workers throw at the member `cache`; their fetch keeps nothing of what says no-store.
function knowsNoStore() {
  try {
    return new Request('http://127.0.0.1/', { cache: 'no-store' }).cache === 'no-store';
  } catch {
    return false;
  }
}
