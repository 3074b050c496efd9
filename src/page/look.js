// Looking into a token: read here, without sending it anywhere; explained by the server for a method
// and a path once that is asked for; and ended.
import {call, me} from './api.js';
import {ask} from './dialog.js';
import {button, el, fill, labelled} from './dom.js';
import {alertOf, notice, view} from './frame.js';
import {t, when} from './i18n.js';
import {decode, kindOf, readClaims} from './token.js';
import {rows, worth} from './worth.js';

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

// ---- read here ----

function contents(found) {
  const claims = readClaims(found.claims);
  return [worth({permissions: claims.permissions, urls: claims.urls, expires_at: claims.expires, audience: claims.audience}),
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
  const less = answer.permissions.length < claims.permissions.length;
  return [rows([
    claims.sid === null ? [t('look.of_key'), el('a', {href: `#/keys/${answer.key}`}, name)] : [t('look.of_login'), name],
    answer.owner ? [t('mykey.owner'), el('bdi', {}, answer.owner)] : null]),
  less ? [el('p', {class: 'warning'}, t('look.less')), worth(answer)] : null];
}

function verdict(answer, asked, claims) {
  const text = answer.text ? el('p', {class: 'hint'}, el('bdi', {}, answer.text)) : null;
  if (answer.ok) return [el('p', {class: 'good'}, t('look.good')), text, context(answer, claims)];
  if (!asked && answer.reason === 'url') return [el('p', {class: 'good'}, t('look.good_somewhere')), context(answer, claims)];
  const why = t(`reason.${answer.reason}`);
  return [el('p', {class: 'problem'}, t('look.refused', {status: String(answer.status), why})),
    el('p', {class: 'hint'}, t('look.reason'), ' ', el('code', {}, answer.reason)), text, context(answer, claims)];
}

function explainForm(token, claims) {
  const method = el('select', {name: 'method'}, methods.map((one) => el('option', {}, one)));
  const url = el('input', {name: 'target', placeholder: '/v2/characters', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none'});
  const answer = el('div', {class: 'verdict', role: 'status'});
  const form = el('form', {class: 'panel'}, el('h2', {}, t('look.explain')), el('p', {class: 'hint'}, t('look.explain.hint')),
    labelled(t('look.method'), method), labelled(t('look.path'), url, t('look.path.hint')),
    el('div', {class: 'actions'}, el('button', {type: 'submit', class: 'main'}, t('look.explain.action'))), answer);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    fill(answer);
    const body = {token}, asked = url.value.trim() !== '';
    if (asked) Object.assign(body, {method: method.value, url: url.value.trim()});
    try {
      fill(answer, verdict((await call('POST', 'v2/explain', {body})).body, asked, claims));
    } catch (problem) {
      fill(answer, alertOf(problem));
    }
  });
  return form;
}

// ---- ended ----

async function revoke(token) {
  const values = await ask({title: t('look.revoke'), text: t('look.revoke.text'), action: t('look.revoke'), dangerous: true,
    run: () => call('POST', 'oauth/revoke', {form: {token}, credential: null})});
  if (values !== null) notice(t('look.revoked'));
}

// ---- the view ----

function drawToken(place, text) {
  const kind = kindOf(text), found = decode(text);
  if (text === '') return fill(place);
  if (kind === 'key') return fill(place, el('p', {class: 'warning'}, t('look.key', {id: text.slice(0, 36)})));
  if (kind === 'refresh') return fill(place, el('p', {class: 'warning'}, t('look.refresh')), button(t('look.revoke'), () => revoke(text), {class: 'danger'}));
  if (found === null) return fill(place, el('p', {class: 'problem'}, t('look.none')));
  return fill(place,
    el('section', {class: 'panel'}, el('h2', {}, t('look.says')), el('p', {class: 'hint'}, t('look.says.hint')), contents(found)),
    me() === null ? el('p', {class: 'panel'}, t('look.login'), ' ', el('a', {href: '#/login'}, t('login.title'))) : explainForm(text, readClaims(found.claims)),
    el('div', {class: 'panel'}, el('h2', {}, t('look.end')), el('p', {class: 'hint'}, t('look.end.hint')),
      button(t('look.revoke'), () => revoke(text), {class: 'danger'})));
}

function show(node) {
  const place = el('div', {class: 'token'});
  const input = el('textarea', {name: 'token', rows: '4', spellcheck: 'false', autocomplete: 'off', autocapitalize: 'none'});
  let drawn = '';
  input.addEventListener('input', () => {
    const text = input.value.replace(/\s+/g, '');
    if (text === drawn) return;
    drawn = text;
    drawToken(place, text);
  });
  fill(node, el('h1', {tabindex: '-1'}, t('look.title')), el('p', {}, t('look.intro')),
    labelled(t('look.token'), input), place);
}

view({name: 'look', title: 'look.title', needs: null, show});
