// Making a subtoken: with which credential, which permissions, which paths, until when. What it will
// be worth is asked of the server while one types (/v2/previewsubtoken), by the rules that it is
// made by; nothing is made until the button is pressed.
import {address, call, isLogin, settings} from './api.js';
import {showSecret} from './dialog.js';
import {button, el, fill, labelled, uniqueId} from './dom.js';
import {alertOf, view} from './frame.js';
import {takeOver} from './handover.js';
import {said, span, t} from './i18n.js';
import {permissionChoice} from './permissions.js';
import {curlLine, decode, exampleOf, pasted, readClaims} from './token.js';
import {worth} from './worth.js';

const WAIT_MS = 250; // after the last key stroke

// ---- paths ----

// One line a path; under each what the server says about it.
function pathList(change) {
  const list = el('div', {class: 'path-list'}), lines = [];
  const add = (focus) => {
    const id = uniqueId('path');
    const error = el('p', {class: 'problem', id: `${id}-error`, hidden: true});
    const input = el('input', {id, name: 'url', 'aria-label': t('make.path'), 'aria-describedby': error.id, placeholder: '/v2/characters/*',
      autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none', on: {input: change, keydown: (event) => {
        if (event.key !== 'Enter') return;
        event.preventDefault(); // it would make the token
        add(true);
      }}});
    const line = {input, error};
    const row = el('div', {class: 'path-row'}, input, button(t('make.path.remove'), () => {
      lines.splice(lines.indexOf(line), 1);
      row.remove();
      error.remove();
      addButton.focus();
      change();
    }, {class: 'quiet'}));
    lines.push(line);
    list.append(row, error);
    if (focus) input.focus();
  };
  const addButton = button(t('make.path.add'), () => add(true));
  const filled = () => lines.filter((line) => line.input.value.trim() !== '');
  const tell = (problems) => {
    const asked = filled();
    for (const line of lines) {
      const found = problems.find((one) => one.parameter === 'urls' && asked[one.index] === line);
      line.error.hidden = found === undefined;
      fill(line.error, found === undefined ? '' : said(found.text));
      line.input.setAttribute('aria-invalid', String(found !== undefined));
    }
  };
  const node = el('fieldset', {}, el('legend', {}, t('make.paths')), el('p', {class: 'hint'}, t('make.paths.hint')), list, addButton);
  return {node, add, values: () => filled().map((line) => line.input.value.trim()), tell};
}

// ---- until when ----

const spans = [3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400];

function localNow(seconds) {
  const date = new Date(Date.now() + 1000 * seconds);
  return new Date(date.getTime() - 60000 * date.getTimezoneOffset()).toISOString().slice(0, 16);
}

function expiryChoice(change) {
  const most = settings()?.max_life ?? Infinity, first = settings()?.default_life ?? spans[3];
  const values = spans.filter((one) => one <= most);
  const date = el('input', {type: 'datetime-local', name: 'date', value: localNow(86400), min: localNow(60), on: {input: change}});
  const dateField = labelled(t('make.date'), date, t('make.date.hint'));
  const radio = (value, text, checked) => el('label', {class: 'pill'},
    el('input', {type: 'radio', name: 'life', value: String(value), checked, on: {change: () => {
      dateField.hidden = date.disabled = value !== 'date';
      change();
    }}}), ' ', text);
  const usual = values.filter((one) => one <= first).at(-1) ?? values[0];
  const node = el('fieldset', {}, el('legend', {}, t('make.until')),
    el('div', {class: 'pills'}, values.map((one) => radio(one, span(one), one === usual)), radio('date', t('make.on_date'), values.length === 0)), dateField);
  dateField.hidden = date.disabled = values.length > 0;
  const value = () => {
    const chosen = node.querySelector('input[name=life]:checked').value;
    const at = chosen === 'date' ? new Date(date.value) : new Date(Date.now() + 1000 * Number(chosen));
    return Number.isNaN(at.getTime()) ? '' : `${at.toISOString().slice(0, 19)}Z`;
  };
  return {node, value};
}

// ---- the line of curl ----

// One that works: what the token is, or, where its paths do not list that, the decision about a path
// that they list, if the server answers it with 200 when it is tried here.
async function workingLine(token, urls) {
  const info = 'v2/tokeninfo?v=latest';
  if (urls === undefined) return curlLine(address(info), token);
  for (const {method, path} of urls.map(exampleOf).filter((one) => one !== null).slice(0, 3)) {
    const route = path === '/v2/tokeninfo' ? info : `v2/authorize${path}`;
    const good = await call(method, route, {credential: token}).then(() => true, () => false);
    if (good) return curlLine(address(route), token, method);
  }
  return null;
}

// ---- the form, once it is known what it is made with ----

function parametersOf({permissions, paths, expiry, audience}) {
  const body = {permissions: permissions.chosen()};
  if (expiry.value() !== '') body.expire = expiry.value();
  if (paths.values().length > 0) body.urls = paths.values();
  if (audience.value !== '') body.audience = audience.value;
  return body;
}

function problemSentence({parameter, item, text}) {
  return said(`${parameter}: ${text}`, item);
}

function drawForm(node, parent, credential, count) {
  const preview = el('div', {'aria-live': 'polite'}), error = el('div', {});
  const parts = {audience: el('input', {name: 'audience', maxlength: '32', autocomplete: 'off', spellcheck: 'false', value: parent.audience ?? '', on: {input: () => soon()}})};
  let timer, turn = 0;
  const show = (answer) => {
    const problems = answer.problems ?? [];
    const others = problems.filter((one) => one.index === undefined && one.parameter !== 'expire');
    const late = problems.find((one) => one.parameter === 'expire');
    const wrong = parts.expiry.value() === '' ? t('make.date.choose') : late === undefined ? '' : said(late.text);
    parts.paths.tell(problems);
    fill(preview, worth({...answer, no_expiry: wrong}), others.map((one) => el('p', {class: 'problem'}, problemSentence(one))));
    submit.disabled = problems.length > 0 || wrong !== '';
  };
  const look = async () => {
    const mine = ++turn;
    try {
      const answer = await call('POST', 'v2/previewsubtoken', {body: parametersOf(parts), credential});
      if (mine === turn) show(answer.body);
    } catch (problem) {
      if (mine === turn) fill(preview, alertOf(problem));
    }
  };
  const soon = () => {
    clearTimeout(timer);
    turn += 1;
    timer = setTimeout(look, WAIT_MS);
  };
  parts.permissions = permissionChoice({offered: parent.permissions, change: soon});
  parts.paths = pathList(soon);
  for (let i = 0; i < count; i += 1) parts.paths.add(false);
  parts.expiry = expiryChoice(soon);
  const submit = el('button', {type: 'submit', class: 'main'}, t('make.action'));
  const form = el('form', {class: 'panel'}, parts.permissions, parts.paths.node, parts.expiry.node,
    el('details', {}, el('summary', {}, t('form.more')), labelled(t('make.audience'), parts.audience, t('make.audience.hint'))),
    el('section', {class: 'preview'}, el('h2', {}, t('worth.title')), preview), error, el('div', {class: 'actions'}, submit));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    clearTimeout(timer);
    if (parts.expiry.value() === '') return fill(error, el('p', {class: 'problem', role: 'alert'}, t('make.date.choose')));
    fill(error);
    submit.disabled = true;
    try {
      const body = parametersOf(parts);
      const token = (await call('POST', 'v2/createsubtoken', {body, credential})).body.subtoken;
      const line = await workingLine(token, body.urls);
      await showSecret({title: t('make.done'), text: t('make.done.text'), secret: token, label: t('make.subtoken'),
        lines: line === null ? [] : [{label: t('curl.subtoken'), text: line}]});
    } catch (problem) {
      fill(error, alertOf(problem));
    }
    submit.disabled = false;
    return undefined;
  });
  fill(node, form);
  return look();
}

// ---- with what ----

// What it may hand on. A subtoken says so itself; one that is restricted may not even ask.
async function parentOf(credential) {
  const found = credential === undefined ? null : decode(credential);
  if (found === null) return (await call('GET', 'v2/whoami', {credential})).body;
  return readClaims(found.claims);
}

// count: of empty paths. In an element of its own: what comes late for another credential is not seen.
async function begin(place, credential, count = 0) {
  const node = el('div', {}, el('p', {class: 'hint'}, t('frame.wait')));
  fill(place, node);
  try {
    await drawForm(node, await parentOf(credential), credential, count);
  } catch (problem) {
    fill(node, alertOf(problem));
  }
}

// The credential that is pasted, in a form of its own.
function pasteForm(value, use) {
  const input = el('input', {name: 'parent', type: 'password', required: true, autocomplete: 'off', spellcheck: 'false', value});
  const form = el('form', {class: 'with'}, labelled(t('make.with.paste'), input, t('make.with.paste.hint')),
    el('button', {type: 'submit'}, t('make.with.use')));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    use(pasted(input.value));
  });
  return form;
}

// forms: what was filled in, when it is drawn anew.
function show(node, rest, query, forms) {
  const place = el('div', {}), handed = forms?.value('parent') ?? takeOver();
  const other = pasteForm(handed ?? '', (credential) => begin(place, credential));
  const radio = (value, text, checked, run) => el('label', {class: 'pill'},
    el('input', {type: 'radio', name: 'with', value, checked, on: {change: run}}), ' ', text);
  const another = forms === null ? handed !== null || isLogin() : forms.chosen('with') === 'other';
  other.hidden = !another;
  fill(node, el('h1', {tabindex: '-1'}, t('make.title')), el('p', {}, t('make.intro')),
    el('fieldset', {class: 'panel'}, el('legend', {}, t('make.with')), el('div', {class: 'pills'},
      radio('other', t('make.with.another'), another, () => { other.hidden = false; fill(place); }),
      radio('own', isLogin() ? t('make.with.login') : t('make.with.key'), !another, () => { other.hidden = true; begin(place); })), other), place);
  if (forms !== null) return forms.count('life') > 0 ? begin(place, another ? pasted(handed) : undefined, forms.count('url')) : undefined;
  if (handed !== null) return begin(place, handed);
  return another ? undefined : begin(place);
}

view({name: 'make', title: 'make.title', needs: [], show});
