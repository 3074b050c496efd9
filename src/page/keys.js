// The keys of whoever is logged in: seen, made, renamed, disabled, rotated, deleted. All keys of the
// server are all_keys.js's; one key has the same page for both, #/keys/ID.
import {address, call, isLogin, may, me} from './api.js';
import {ask, showSecret} from './dialog.js';
import {button, el, fill, labelled} from './dom.js';
import {expiringNote} from './expiring.js';
import {alertOf, go, notice, problemText, view} from './frame.js';
import {handOver} from './handover.js';
import {t, when, whenAndHowFar} from './i18n.js';
import {permissionChoice} from './permissions.js';
import {curlLine} from './token.js';
import {rows, worth} from './worth.js';

const path = (key) => `v2/keys/${encodeURIComponent(key.id)}`;

export function stateBadge(key) {
  return el('span', {class: `badge ${key.state}`}, t(`state.${key.state}`));
}

// ---- what is done to one ----

// The change is made: where the key cannot be read again, that is said, too, beside what is still shown.
async function afterwards(text, again) {
  const problem = await again().then(() => null, (why) => why);
  notice(problem === null ? text : `${text} ${problemText(problem)}`.trim());
}

async function rename(key, again) {
  const values = await ask({title: t('mykey.rename'), action: t('mykey.rename'),
    fields: [{name: 'name', label: t('mykey.name'), value: key.name, required: true, maxlength: 256}],
    run: ({name}) => call('PATCH', path(key), {body: {name}})});
  if (values) await afterwards(t('mykey.renamed'), again);
}

async function setDisabled(key, disabled, again) {
  const word = disabled ? 'disable' : 'enable';
  const values = await ask({title: t(`mykey.${word}`), text: t(`mykey.${word}.text`), action: t(`mykey.${word}`), dangerous: disabled,
    run: () => call('PATCH', path(key), {body: {disabled}})});
  if (values) await afterwards(t(`mykey.${word}d`), again);
}

async function revokeSubtokens(key, again) {
  const values = await ask({title: t('mykey.revoke'), text: t('mykey.revoke.text'), action: t('mykey.revoke'), dangerous: true,
    run: () => call('POST', `${path(key)}/revoke-subtokens`)});
  if (values) await afterwards(t('mykey.revoked'), again);
}

async function remove(key) {
  const values = await ask({title: t('mykey.delete'), text: t('mykey.delete.text', {name: key.name}), action: t('mykey.delete'), dangerous: true,
    run: () => call('DELETE', path(key))});
  if (!values) return;
  go('#/keys', t('mykey.deleted'));
}

async function rotate(key, again) {
  const overlaps = ['0s', '1h', '24h', '7d', '30d'];
  const values = await ask({title: t('mykey.rotate'), text: t('mykey.rotate.text'), action: t('mykey.rotate'), dangerous: true,
    fields: [{name: 'overlap', label: t('mykey.overlap'), value: '24h', hint: t('mykey.overlap.hint'),
      options: overlaps.map((value) => ({value, text: t(`overlap.${value}`)}))}],
    run: async ({overlap}) => (await call('POST', `${path(key)}/rotate`, {body: {overlap}})).body});
  if (!values) return;
  await tellKey(values.result, t('mykey.rotated'));
  await afterwards('', again);
}

// ---- one ----

function actions(key, again) {
  return el('div', {class: 'actions'},
    button(t('mykey.rename'), () => rename(key, again)),
    key.state === 'disabled' ? button(t('mykey.enable'), () => setDisabled(key, false, again))
      : button(t('mykey.disable'), () => setDisabled(key, true, again)),
    button(t('mykey.rotate'), () => rotate(key, again)),
    button(t('mykey.revoke'), () => revokeSubtokens(key, again), {class: 'danger'}),
    button(t('mykey.delete'), () => remove(key), {class: 'danger'}));
}

async function showOne(node, id) {
  const again = () => showOne(node, id);
  const key = (await call('GET', path({id}))).body;
  const heading = el('h1', {tabindex: '-1'}, el('bdi', {}, key.name), ' ', stateBadge(key));
  fill(node, el('p', {}, el('a', {href: '#/keys'}, t('mykeys.back'))), heading, actions(key, again),
    key.disabled_by ? el('p', {class: 'warning'}, t(`mykey.disabled_by.${key.disabled_by}`)) : null,
    worth({permissions: key.permissions, expires_at: key.expires_at, audience: key.audience}),
    el('details', {}, el('summary', {}, t('mykey.more')), rows([
      [t('mykey.id'), el('code', {}, key.id)],
      [t('mykey.owner'), el('bdi', {}, key.owner)],
      [t('mykey.created'), when(key.created_at)],
      [t('mykey.used'), key.last_used_at ? whenAndHowFar(key.last_used_at) : t('mykey.unused')],
      key.rotated_at ? [t('mykey.rotated_at'), when(key.rotated_at)] : null,
      key.old_until ? [t('mykey.old_until'), whenAndHowFar(key.old_until)] : null,
      [t('mykey.sub'), el('code', {}, key.sub)]])));
  heading.focus();
}

// ---- the list ----

function item(key) {
  return el('li', {class: 'card'},
    el('h2', {}, el('a', {href: `#/keys/${key.id}`}, el('bdi', {}, key.name)), ' ', stateBadge(key)),
    el('p', {class: 'hint'}, key.permissions.length === 0 ? t('permissions.none') : [t('mykeys.permissions', {n: key.permissions.length}), ' ',
      key.permissions.map((one) => [el('code', {}, one), ' '])]),
    el('p', {class: 'hint'}, key.expires_at ? [t('mykeys.until'), ' ', whenAndHowFar(key.expires_at)] : t('worth.never'), ' · ',
      key.last_used_at ? [t('mykey.used'), ' ', when(key.last_used_at)] : t('mykey.unused')));
}

// Without `keys` the server shows no others' anyway.
function owner() {
  return may('keys') ? me().owner : undefined;
}

async function more(list, after, expiring) {
  const page = (await call('GET', 'v2/keys', {query: {limit: 50, after, expiring, owner: owner()}})).body;
  list.append(...page.keys.map(item));
  return page.next;
}

async function showAll(node, query) {
  const list = el('ul', {class: 'cards'}), foot = el('div', {}), expiring = query.get('expiring');
  const step = async (after) => {
    const next = await more(list, after, expiring);
    fill(foot, next ? goOn(next) : null, list.children.length === 0 && !next ? el('p', {}, t('mykeys.none')) : null);
  };
  const goOn = (next) => button(t('mykeys.more'), async (event) => {
    event.target.disabled = true; // asked twice, a page would be there twice
    try {
      await step(next);
    } catch (problem) {
      fill(foot, goOn(next), alertOf(problem));
    }
  });
  fill(node, el('h1', {tabindex: '-1'}, t('mykeys.title')), el('p', {}, t('mykeys.intro')),
    expiring ? el('p', {}, t('mykeys.expiring'), ' ', el('a', {href: '#/keys'}, t('mykeys.all'))) : await expiringNote({owner: owner(), list: 'keys'}),
    el('div', {class: 'actions'}, el('a', {class: 'button main', href: '#/keys/new'}, t('mykeys.make'))), list, foot);
  await step(undefined);
}

// ---- a new one ----

// A whole key, this once, with what can be done with it.
async function tellKey(key, title) {
  await showSecret({title, text: t('mykey.secret.text'), secret: key.key, label: t('mykey.secret'),
    lines: [{label: t('curl.key'), text: curlLine(address('v2/tokeninfo?v=latest'), key.key)}],
    actions: [{text: t('mykey.secret.make'), run: () => { handOver(key.key); go('#/make'); }}]});
}

const lives = ['30d', '90d', '365d', 'never', 'days'];

function expiryFields(change) {
  const days = el('input', {name: 'days', type: 'number', min: '1', max: '36500', value: '14', required: true, disabled: true, on: {input: change}});
  const daysField = labelled(t('mykey.days'), days);
  const choice = el('select', {name: 'expires', on: {change: () => {
    daysField.hidden = days.disabled = choice.value !== 'days';
    change();
  }}},
    lives.map((value) => el('option', {value, selected: value === '90d'}, t(`life.${value}`))));
  daysField.hidden = true;
  const value = () => choice.value === 'days' ? `${Number(days.value) || 0}d` : choice.value;
  return {nodes: [labelled(t('mykey.expires'), choice), daysField], value};
}

function expiryOf(value) {
  if (value === 'never') return null;
  return Math.floor(Date.now() / 1000) + 86400 * Number.parseInt(value, 10);
}

function showNew(node) {
  const preview = el('div', {'aria-live': 'polite'}), error = el('div', {});
  const name = el('input', {name: 'name', required: true, maxlength: '256', autocomplete: 'off'});
  const audience = el('input', {name: 'audience', maxlength: '32', autocomplete: 'off', spellcheck: 'false'});
  const draw = () => fill(preview, worth({permissions: permissions.chosen(), expires_at: expiryOf(expiry.value()), audience: audience.value}));
  const permissions = permissionChoice({offered: me().permissions, change: () => draw()});
  const expiry = expiryFields(() => draw());
  audience.addEventListener('input', draw);
  const submit = el('button', {type: 'submit', class: 'main'}, t('mykeys.make'));
  const form = el('form', {class: 'panel'}, labelled(t('mykey.name'), name, t('mykey.name.hint')), permissions, expiry.nodes,
    el('details', {}, el('summary', {}, t('form.more')), labelled(t('mykey.audience'), audience, t('mykey.audience.hint'))),
    el('section', {class: 'preview'}, el('h2', {}, t('worth.title')), preview), error, el('div', {class: 'actions'}, submit));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    submit.disabled = true;
    fill(error);
    try {
      const body = {name: name.value, permissions: permissions.chosen(), expires: expiry.value()};
      if (audience.value) body.audience = audience.value;
      const key = (await call('POST', 'v2/keys', {body})).body;
      go(`#/keys/${key.id}`);
      await tellKey(key, t('mykey.made'));
    } catch (problem) {
      fill(error, alertOf(problem));
    }
    submit.disabled = false;
  });
  fill(node, el('p', {}, el('a', {href: '#/keys'}, t('mykeys.back'))), el('h1', {tabindex: '-1'}, t('mykeys.make')), form);
  draw();
}

function show(node, [first], query) {
  if (first === undefined) return showAll(node, query);
  return first === 'new' ? showNew(node) : showOne(node, first);
}

view({name: 'keys', title: 'mykeys.title', needs: () => isLogin() || may('keys'), show});
