// Users, for whoever has the permission users: the list, making one, and what can be done with one (#/users/LOGIN).
// Nobody grants what he does not hold: the permissions that are offered are the credential's own and the user's.
import { button, el, fill } from './dom.js';
import { t, when } from './i18n.js';
import { call, may, me } from './api.js';
import { ask } from './dialog.js';
import { go, view } from './frame.js';
import { stateBadge } from './keys.js';
import { permissionChoice, permissionList } from './permissions.js';
import { address, filterForm, names, pager, search, table } from './table.js';
import { rows } from './worth.js';

const NAME = 'users';
const one = (login) => `#/${NAME}/${encodeURIComponent(login)}`;
const path = (login) => `/v1/user/${encodeURIComponent(login)}`;
const state = (user) => stateBadge({ state: user.disabled ? 'disabled' : 'active' });
const time = (at, none) => (at === null || at === undefined ? none : when(at));

const columns = () => [
  { title: t('user.login'), cell: (user) => el('a', { href: one(user.login) }, user.login) },
  { title: t('column.state'), width: 'narrow', cell: state },
  { title: t('column.permissions'), cell: (user) => names(user.permissions) },
  { title: t('user.created'), width: 'narrow', cell: (user) => time(user.created_at, '–') },
];

async function list(main, query) {
  fill(main, el('h1', { tabindex: '-1' }, t('users.title')),
    el('div', { class: 'actions' }, button(t('user.make'), create, { class: 'main' })),
    filterForm({ name: NAME, label: t('users.filter'), fields: [{ name: 'search', label: t('users.search'), type: 'search' }], query }));
  const asked = { limit: 50 };
  for (const each of ['search', 'after']) if (query.has(each)) asked[each] = query.get(each);
  const body = await search(main, '/v1/user', { query: asked, list: 'users', cursor: 'after' });
  main.append(table({ caption: t('users.title'), columns: columns(), rows: body.users, empty: t(body.next === undefined ? 'users.none' : 'users.none_yet') }));
  const pages = pager({ name: NAME, cursor: 'after', query, next: body.next });
  if (pages !== null) main.append(pages);
}

async function create() {
  const choice = permissionChoice({ offered: me().permissions });
  const made = await ask({
    title: t('user.make'), action: t('user.make'),
    fields: [{ name: 'login', label: t('user.login'), required: true, maxlength: 256, autocomplete: 'off' },
      { name: 'password', label: t('user.password'), type: 'password', required: true, autocomplete: 'new-password' }, { node: choice }],
    run: ({ login, password }) => call('POST', '/v1/user', { body: { login, password, permissions: choice.chosen() } }),
  });
  if (made === null) return;
  go(one(made.login), t('user.made', { login: made.login }));
}

// What can be done with a user. What a change ends is said before it is made; the view is drawn anew behind it.
function actions(user) {
  const { login } = user;
  const to = (hash, done) => go(hash, t(done, { login }));
  const change = (body) => call('PATCH', path(login), { body });
  const permissions = async () => {
    const choice = permissionChoice({ offered: [...new Set([...me().permissions, ...user.permissions])], chosen: user.permissions });
    const done = await ask({ title: t('user.permissions'), text: t('user.permissions_text'), action: t('user.save'),
      fields: [{ node: choice }], run: () => change({ permissions: choice.chosen() }) });
    if (done !== null) to(one(login), 'user.saved');
  };
  const confirmed = async (what, run) => (await ask({ title: t(what), text: t(`${what}_text`, { login }), action: t(what), dangerous: true, run })) !== null;
  const disable = async () => {
    if (await confirmed('user.disable', () => change({ disabled: true }))) to(one(login), 'user.disabled');
  };
  const enable = async () => {
    if (await confirmed('user.enable', () => change({ disabled: false }))) to(one(login), 'user.enabled');
  };
  const remove = async () => {
    if (await confirmed('user.delete', () => call('DELETE', path(login)))) to(`#/${NAME}`, 'user.deleted');
  };
  return el('div', { class: 'actions' }, button(t('user.permissions'), permissions),
    user.disabled ? button(t('user.enable'), enable) : button(t('user.disable'), disable), button(t('user.delete'), remove, { class: 'danger' }));
}

async function show(main, rest, query) {
  if (rest.length === 0 || rest[0] === '') return list(main, query);
  const { body: user } = await call('GET', path(rest[0]));
  return fill(main, el('p', {}, el('a', { href: `#/${NAME}` }, t('users.title'))), el('h1', { tabindex: '-1' }, el('bdi', {}, user.login), ' ', state(user)),
    rows([[t('column.permissions'), permissionList(user.permissions)], [t('user.created'), time(user.created_at, '–')]]),
    actions(user),
    el('p', {}, may('keys') ? el('a', { href: address('all-keys', { owner: user.login }) }, t('user.keys')) : null,
      may('keys') && may('audit') ? ' · ' : null,
      may('audit') ? el('a', { href: address('audit', { target: user.login }) }, t('user.audit')) : null));
}

view({ name: NAME, title: 'users.title', needs: ['users'], show });
