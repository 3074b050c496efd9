// Looking into a token: read here, without sending it anywhere; explained by the server for a method
// and a path once that is asked for; and ended.
import {call, isLogin, may, me} from './api.js';
import {ask} from './dialog.js';
import {button, el, fill, labelled} from './dom.js';
import {alertOf, view} from './frame.js';
import {language, said, t, when, whenAndHowFar} from './i18n.js';
import {decode, kindOf, pasted, readClaims} from './token.js';
import {rows, worth} from './worth.js';

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

// ---- read here ----

function contents(found) {
  const claims = readClaims(found.claims);
  return [worth({permissions: claims.permissions, urls: claims.urls, expires_at: claims.expires, audience: claims.audience,
    no_expiry: claims.expires === null ? t('worth.no_expiry') : ''}),
    claims.expires !== null && 1000 * claims.expires < Date.now() ? el('p', {class: 'warning'}, t('look.over')) : null,
    rows([
      claims.issued === null ? null : [t('look.issued'), when(claims.issued)],
      [t('look.tid'), el('code', {}, found.tid)],
      claims.sub === null ? null : [t('look.sub'), el('code', {}, claims.sub)],
      claims.sid === null ? null : [t('look.sid'), el('code', {}, claims.sid)],
      claims.via.length === 0 ? null : [t('look.via'), claims.via.map((one) => [el('code', {}, one), ' '])]]),
    el('details', {}, el('summary', {}, t('look.raw')),
      el('pre', {tabindex: '0', 'aria-label': t('look.raw')}, JSON.stringify(found.header, null, 2), '\n', JSON.stringify(found.claims, null, 2)))];
}

// ---- explained by the server ----

// Whose it is, and what it is still worth where that is less than it says.
function context(answer, claims) {
  if (!answer.key) return null;
  const name = el('bdi', {}, answer.name || answer.key);
  const known = may('keys') || (isLogin() && answer.owner === me().owner); // others' keys are not shown
  const less = answer.permissions.length < claims.permissions.length;
  return [rows([
    claims.sid === null ? [t('look.of_key'), known ? el('a', {href: `#/keys/${answer.key}`}, name) : name] : [t('look.of_login'), name],
    answer.owner ? [t('mykey.owner'), el('bdi', {}, answer.owner)] : null]),
  less ? [el('p', {class: 'warning'}, t('look.less')), worth(answer)] : null];
}

function goodUntil(answer) {
  return el('p', {class: 'hint'}, t('worth.until'), ' ', whenAndHowFar(answer.expires_at));
}

// What the server says about its rule: sentences that are made of what a token holds are English.
function detail(text) {
  if (!text) return null;
  const words = said(text);
  if (words !== text || language() === 'en') return el('p', {class: 'hint'}, el('bdi', {}, words));
  return el('details', {}, el('summary', {}, t('look.detail')), el('p', {class: 'hint', lang: 'en'}, el('bdi', {}, text)));
}

function verdict(answer, asked, claims) {
  if (answer.ok) return [el('p', {class: 'good'}, t('look.good')), goodUntil(answer), context(answer, claims)];
  if (!asked && answer.reason === 'url') return [el('p', {class: 'good'}, t('look.good_somewhere')), context(answer, claims)];
  const why = t(`reason.${answer.reason}`);
  return [el('p', {class: 'problem'}, t('look.refused', {status: String(answer.status), why})),
    el('p', {class: 'hint'}, t('look.reason'), ' ', el('code', {}, answer.reason)), detail(answer.text), context(answer, claims)];
}

function explainForm(token, claims) {
  const method = el('select', {name: 'method'}, methods.map((one) => el('option', {}, one)));
  const url = el('input', {name: 'target', placeholder: '/v2/characters', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none'});
  const answer = el('div', {class: 'verdict', role: 'status'});
  const form = el('form', {class: 'panel'}, el('h2', {}, t('look.explain')), el('p', {class: 'hint'}, t('look.explain.hint')),
    labelled(t('look.method'), method), labelled(t('look.path'), url, t('look.path.hint')),
    el('div', {class: 'actions'}, el('button', {type: 'submit', class: 'main'}, t('look.explain.action'))), answer);
  let turn = 0;
  // It was about what was asked, and about the token as it was; so is what is still to come.
  const forget = () => {
    turn += 1;
    fill(answer);
  };
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    forget();
    const mine = turn, body = {token}, asked = url.value.trim() !== '';
    if (asked) Object.assign(body, {method: method.value, url: url.value.trim()});
    const found = await call('POST', 'v2/explain', {body}).then((given) => verdict(given.body, asked, claims)).catch(alertOf);
    if (mine === turn) fill(answer, found);
  });
  form.addEventListener('input', forget);
  return {form, forget};
}

// ---- ended ----

// A token that the ring has not signed: there is nothing to be revoked.
const FOREIGN = new Set(['too_large', 'malformed', 'alg', 'header', 'kid', 'mac', 'claims']);

// Nobody's, or one that is not known to whoever asks: null.
async function explained(token) {
  if (me() === null) return null;
  return call('POST', 'v2/explain', {body: {token}}).then(({body}) => body, () => null);
}

// The server answers 200 to whatever it is told to revoke: what came of it is asked for, too.
async function revokeToken(token) {
  const before = await explained(token);
  if (before !== null && FOREIGN.has(before.reason)) return {text: t('look.revoked.foreign', {why: t(`reason.${before.reason}`)}), kind: 'problem'};
  await call('POST', 'oauth/revoke', {form: {token}, credential: null});
  const after = before?.sub === undefined ? null : await explained(token);
  if (after === null) return {text: t('look.revoked.if')};
  if (after.ok || after.reason === 'url') return {text: t('look.revoked.not'), kind: 'problem'};
  if (after.reason === 'revoked') return {text: t('look.revoked'), kind: 'good'};
  return {text: t('look.revoked.over', {status: String(after.status), why: t(`reason.${after.reason}`)}), kind: 'good'};
}

async function revokeRefresh(token) {
  await call('POST', 'oauth/revoke', {form: {token}, credential: null});
  return {text: t('look.revoked.refresh')};
}

// A button, and beside it what came of it. done(): what was said before is not so any more.
function revokeButton(run, done = () => {}) {
  const outcome = el('p', {class: 'outcome', role: 'status'});
  const press = async () => {
    fill(outcome);
    const values = await ask({title: t('look.revoke'), text: t('look.revoke.text'), action: t('look.revoke'), dangerous: true, run});
    if (values === null) return;
    done();
    outcome.className = `outcome ${values.result.kind ?? ''}`;
    fill(outcome, values.result.text);
    outcome.scrollIntoView({block: 'nearest'});
  };
  return el('div', {class: 'actions'}, button(t('look.revoke'), press, {class: 'danger'}), outcome);
}

// ---- the view ----

function drawToken(place, text) {
  const kind = kindOf(text), found = decode(text);
  if (text === '') return fill(place);
  if (kind === 'key') return fill(place, el('p', {class: 'warning'}, t('look.key', {id: text.slice(0, 36)})));
  if (kind === 'refresh') return fill(place, el('p', {class: 'warning'}, t('look.refresh')), revokeButton(() => revokeRefresh(text)));
  if (found === null) return fill(place, el('p', {class: 'problem'}, t('look.none')));
  const explain = me() === null ? null : explainForm(text, readClaims(found.claims));
  return fill(place,
    el('section', {class: 'panel'}, el('h2', {}, t('look.says')), el('p', {class: 'hint'}, t('look.says.hint')), contents(found)),
    explain?.form ?? el('p', {class: 'panel'}, t('look.login'), ' ', el('a', {href: '#/login'}, t('login.title'))),
    el('div', {class: 'panel'}, el('h2', {}, t('look.end')), el('p', {class: 'hint'}, t('look.end.hint')),
      revokeButton(() => revokeToken(text), explain?.forget)));
}

function show(node) {
  const place = el('div', {class: 'token'});
  const input = el('textarea', {name: 'token', rows: '4', spellcheck: 'false', autocomplete: 'off', autocapitalize: 'none'});
  let drawn = '';
  input.addEventListener('input', () => {
    const text = pasted(input.value);
    if (text === drawn) return;
    drawn = text;
    drawToken(place, text);
  });
  fill(node, el('h1', {tabindex: '-1'}, t('look.title')), el('p', {}, t('look.intro')),
    labelled(t('look.token'), input), place);
}

view({name: 'look', title: 'look.title', needs: null, show});
