// What is around every view: the head with its navigation, the language and the colours, the way
// from the address behind # to a view, and where a problem is shown that a view did not show
// itself. A view is registered with view(); main.js lists those that there are.
import {el, fill, button} from './dom.js';
import {isLogin, keyId, loadSettings, logOut, may, me, onEnd, Problem, restore, settings} from './api.js';
import {language, languages, setLanguage, t} from './i18n.js';
import {putBack, taken} from './kept.js';
import {preference, setPreference} from './storage.js';

const views = new Map();
const main = el('main', {id: 'main', tabindex: '-1'});
const live = el('p', {class: 'notice', role: 'status', 'aria-live': 'polite'});
const head = el('header');
let started = false, pending = '';
const kept = new Map(); // forms, by the view and whose it is
let shown = null;       // {node, of}: what is drawn, once it is all there

// name: what stands behind #/; title: the key of a text; needs: permissions of which one is enough,
// [] for everybody who is logged in, null for everybody, or a function; nav: false for one that
// other views lead to; show(node, arguments, query, forms): fills the node, may be async; forms, which
// mostly are null: what was filled in before it is drawn anew (kept.js), for a view whose form grows.
export function view(definition) {
  views.set(definition.name, definition);
}

// text: a notice, once the view is drawn.
export function go(hash, text = '') {
  const wanted = hash.startsWith('#') ? hash : `#/${hash}`;
  pending = text;
  if (location.hash === wanted) render();
  else location.hash = wanted;
}

// Once for everybody, read out by screen readers, and in view.
export function notice(text) {
  fill(live, text);
  if (text !== '') live.scrollIntoView({block: 'nearest'});
}

function allowed({needs}) {
  if (needs === null) return true;
  if (me() === null) return false;
  if (typeof needs === 'function') return needs();
  return needs.length === 0 || needs.some(may);
}

function firstView() {
  if (me() === null) return 'login';
  for (const definition of views.values()) {
    if (definition.nav !== false && definition.needs !== null && allowed(definition)) return definition.name;
  }
  return 'look';
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function route() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const [name, ...rest] = path.split('/').map(decoded);
  return {name: name || firstView(), rest: rest.filter((part) => part !== ''), query: new URLSearchParams(query)};
}

// ---- the head ----

function select(name, label, values, current, change) {
  return el('label', {class: 'choice'}, el('span', {class: 'unseen'}, label),
    el('select', {name, on: {change: (event) => change(event.target.value)}},
      Object.entries(values).map(([value, text]) => el('option', {value, selected: value === current}, text))));
}

function theme() {
  const value = preference('theme');
  return value === 'light' || value === 'dark' ? value : 'system';
}

function applyTheme() {
  if (theme() === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme();
}

function setTheme(value) {
  setPreference('theme', value === 'system' ? null : value);
  applyTheme();
}

async function leave() {
  await logOut();
  kept.clear();
  shown = null;
  drawHead();
  go('#/login', t('login.left'));
}

function whoIsThere() {
  if (me() === null) return null;
  const name = isLogin() ? me().login : t('frame.key', {id: (keyId() ?? '').slice(0, 8)});
  return el('div', {class: 'who'}, el('bdi', {class: 'name'}, name),
    button(isLogin() ? t('frame.logout') : t('frame.forget'), leave, {class: 'quiet'}));
}

function drawHead() {
  const current = route().name;
  const links = [...views.values()].filter((one) => one.nav !== false && allowed(one) &&
    (one.name !== 'login' || me() === null));
  fill(head,
    el('a', {class: 'skip', href: '#main', on: {click: (event) => { event.preventDefault(); main.focus(); }}}, t('frame.skip')),
    el('div', {class: 'bar'},
      el('a', {class: 'brand', href: '#/'}, 'subtoken'),
      whoIsThere(),
      el('div', {class: 'choices'},
        select('theme', t('frame.theme'), {system: t('theme.system'), light: t('theme.light'), dark: t('theme.dark')}, theme(), setTheme),
        select('language', t('frame.language'), languages, language(), (value) => {
          setLanguage(value);
          keep();
          render({again: true});
          head.querySelector('select[name=language]').focus();
        }))),
    el('nav', {'aria-label': t('frame.nav')}, el('ul', {}, links.map((one) =>
      el('li', {}, el('a', {href: `#/${one.name}`, 'aria-current': one.name === current ? 'page' : null}, t(one.title)))))));
}

// ---- views ----

export function problemText(problem) {
  if (problem instanceof Problem) return problem.text;
  console.error(problem);
  return t('problem.page');
}

export function alertOf(problem) {
  return el('p', {class: 'problem', role: 'alert'}, problemText(problem));
}

// Each view draws into an element of its own: what comes late for one that was left is not seen.
async function draw(definition, rest, query, forms) {
  const node = el('div', {class: 'view', 'aria-busy': 'true'});
  fill(main, node);
  document.title = `${t(definition.title)} · subtoken`;
  try {
    await definition.show(node, rest, query, forms);
    if (forms !== null) putBack(node, forms);
  } catch (problem) {
    if (!node.querySelector('h1')) node.prepend(el('h1', {tabindex: '-1'}, t(definition.title)));
    node.append(alertOf(problem));
  }
  node.removeAttribute('aria-busy');
  return node;
}

let drawn = 0;

function keep() {
  if (shown !== null && shown.node.isConnected) kept.set(shown.of, taken(shown.node));
}

function whose(name) {
  return JSON.stringify([name, location.hash, isLogin() ? me().login : keyId()]);
}

// again: what is shown already, with what has been filled in.
async function render({again = false} = {}) {
  const turn = ++drawn;
  const {name, rest, query} = route();
  let definition = views.get(name);
  document.documentElement.lang = language();
  notice(pending);
  pending = '';
  drawHead();
  if (definition !== undefined && !allowed(definition) && me() === null) definition = views.get('login');
  if (definition === undefined || !allowed(definition)) definition = {title: 'frame.none', show: showNone};
  const of = whose(definition.name);
  const forms = again ? kept.get(of) ?? null : null;
  const node = await draw(definition, rest, query, forms);
  if (turn !== drawn) return;
  shown = {node, of};
  if (me() !== null) kept.clear(); // it is where it belongs
  if (started && !document.querySelector('dialog[open]') && !node.contains(document.activeElement) &&
      !head.querySelector('.choices').contains(document.activeElement)) {
    node.querySelector('h1')?.focus();
  }
  started = true;
}

function showNone(node) {
  fill(node, el('h1', {tabindex: '-1'}, t('frame.none')), el('p', {}, t('frame.none.text')));
}

// Where the reader wanted to go before being asked to log in.
export function afterLogin() {
  const {name} = route();
  if (name === 'login' || !views.has(name)) go('#/');
  else render({again: true});
}

export async function start() {
  applyTheme();
  fill(document.body, head, live, main,
    el('footer', {}, el('p', {}, 'subtoken ', el('span', {class: 'version'}))));
  onEnd(() => {
    keep();
    render().then(() => notice(t('problem.ended')));
  });
  addEventListener('hashchange', () => {
    kept.clear();
    render();
  });
  let failed = null;
  try {
    await loadSettings();
    document.querySelector('.version').textContent = settings().version;
    await restore();
  } catch (problem) {
    failed = problem;
  }
  await render();
  if (failed !== null) notice(problemText(failed));
}
