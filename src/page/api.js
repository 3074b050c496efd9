// Calls to the server, and the credential that they carry.
//
// It is held in this module's memory. Of a login the refresh token alone is written down, in
// sessionStorage, and only while the page is left: so a reload does not end the login, other tabs
// never see it, and a tab that was duplicated does not present it a second time, which the server
// would take for theft. A key is written down nowhere. There is no cookie, so nothing that another
// site makes the browser send carries a credential.
import {said, t} from './i18n.js';
import {leaveForTab, takeOfTab} from './storage.js';

const root = new URL('../', import.meta.url); // where the server's routes begin
const STORED = 'subtoken.refresh';
const EARLY = 20; // seconds before its end at which an access token is replaced

let session = null; // {access, until, refresh}
let key = null;
let who = null;
let options = null;
let renewing = null;
let forgotten = 0; // how many credentials were: what is answered to one of them concerns no other
const listeners = new Set();

export class Problem extends Error {
  constructor(status, text, answer = null) {
    super(text);
    this.status = status;
    this.text = text;
    this.answer = answer;
  }
}

// The address of a route, for people.
export function address(path) {
  return new URL(path.replace(/^\//, ''), root).href;
}

function textOf(answer) {
  const body = answer.body;
  if (body && typeof body.text === 'string') return said(body.text);
  return t('problem.status', {status: String(answer.status)});
}

async function send(method, path, {query, body, form, credential, headers = {}} = {}) {
  const url = new URL(path.replace(/^\//, ''), root);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== '') url.searchParams.set(name, value);
  }
  const request = {method, headers: {...headers}, credentials: 'omit', cache: 'no-store',
    redirect: 'error', referrerPolicy: 'no-referrer'};
  if (credential) request.headers.Authorization = `Bearer ${credential}`;
  if (body !== undefined) {
    request.headers['Content-Type'] = 'application/json';
    request.body = JSON.stringify(body);
  } else if (form !== undefined) {
    request.body = new URLSearchParams(form);
  }
  let response, text;
  try {
    response = await fetch(url, request);
    text = await response.text();
  } catch {
    throw new Problem(0, t('problem.unreachable'));
  }
  return {status: response.status, headers: response.headers, body: parsed(text)};
}

function parsed(text) {
  try {
    return text === '' ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

// ---- the credential ----

function hold(answer) {
  session = {access: answer.access_token, refresh: answer.refresh_token,
    until: Date.now() + 1000 * (answer.expires_in - Math.min(EARLY, answer.expires_in / 4))};
}

function forget() {
  forgotten += 1;
  session = null;
  key = null;
  who = null;
  renewing = null;
  takeOfTab(STORED);
}

function ended() {
  const was = who !== null;
  forget();
  if (was) for (const listener of listeners) listener();
}

// Called when the login or the key is over, though nobody logged out.
export function onEnd(listener) {
  listeners.add(listener);
}

// One at a time: the same refresh token twice would end the login.
function renew() {
  if (renewing !== null) return renewing;
  const of = forgotten;
  const mine = (async () => {
    const answer = await send('POST', 'v1/auth/refresh', {body: {token: session.refresh}});
    if (of !== forgotten) return false;
    if (answer.status === 200) {
      hold(answer.body);
      return true;
    }
    if (answer.status === 400 || answer.status === 401) ended();
    else throw new Problem(answer.status, textOf(answer));
    return false;
  })().finally(() => { if (renewing === mine) renewing = null; });
  renewing = mine;
  return mine;
}

async function credentialNow() {
  if (key !== null) return key;
  if (session === null) return null;
  if (Date.now() >= session.until && !await renew()) throw new Problem(401, t('problem.ended'));
  return session?.access ?? null;
}

// credential: another than the tab's own; null: none.
export async function call(method, path, given = {}) {
  const own = given.credential === undefined;
  const credential = own ? await credentialNow() : given.credential;
  const of = forgotten;
  let answer = await send(method, path, {...given, credential});
  // Another call may have been refused before, and have replaced it already.
  if (answer.status === 401 && own && of === forgotten && session !== null && (session.access !== credential || await renew())) {
    answer = await send(method, path, {...given, credential: session.access});
  }
  if (answer.status === 401 && own && (who !== null || of !== forgotten)) {
    if (of === forgotten) ended();
    throw new Problem(401, t('problem.ended'));
  }
  if (answer.status >= 400) throw new Problem(answer.status, textOf(answer), answer);
  return answer;
}

// ---- who is there ----

async function introduce() {
  who = (await call('GET', 'v2/whoami')).body;
}

export async function logIn(login, password) {
  const answer = await call('POST', 'v1/auth/login', {body: {login, password}, credential: null});
  forget();
  hold(answer.body);
  try {
    await introduce();
  } catch (problem) {
    forget();
    throw problem;
  }
}

export async function useKey(text) {
  forget();
  key = text;
  try {
    await introduce();
  } catch (problem) {
    forget();
    throw problem;
  }
}

export async function logOut() {
  if (session !== null) {
    await renewing?.catch(() => null); // what it brings is what is to end
    const credential = await credentialNow().catch(() => null);
    if (credential) await send('POST', 'v1/auth/logout', {credential}).catch(() => null);
  }
  forget();
}

// After a reload: is there a login to go on with?
export async function restore() {
  const refresh = takeOfTab(STORED);
  if (!refresh) return;
  session = {access: null, refresh, until: 0};
  try {
    if (await renew()) await introduce();
  } catch (problem) {
    if (problem.status === 401) forget();
    throw problem;
  }
}

let left = false; // the refresh token, as the page was left

addEventListener('pagehide', () => {
  left = Boolean(session?.refresh) && leaveForTab(STORED, session.refresh);
});
// Back to a page that the browser has kept as it was. Where another one in this tab has gone on with the login
// meanwhile, or has ended it, what is held here is worth nothing any more: it begins anew.
addEventListener('pageshow', (event) => {
  if (!event.persisted) return;
  const refresh = takeOfTab(STORED);
  if (!left || refresh === session?.refresh) return;
  session = null;
  if (refresh !== null) leaveForTab(STORED, refresh);
  location.reload();
});

export function me() {
  return who;
}

// Is it a login, or a key that was pasted?
export function isLogin() {
  return who !== null && session !== null;
}

export function keyId() {
  return key === null ? null : key.slice(0, 36);
}

export function may(permission) {
  return who !== null && who.permissions.includes(permission);
}

export async function loadSettings() {
  options = (await call('GET', 'page/settings.json', {credential: null})).body;
}

export function settings() {
  return options;
}
