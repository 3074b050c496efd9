// The audit log, for whoever has the permission audit: who did what to whom, the newest first.
import { el, fill } from './dom.js';
import { t } from './i18n.js';
import { view } from './frame.js';
import { address, exactly, filterForm, pager, search, table } from './table.js';

const NAME = 'audit';
// The actions of the log; one that this page does not know can be asked for in the address.
const ACTIONS = {
  'key.': ['key.create', 'key.delete', 'key.disable', 'key.enable', 'key.rename', 'key.revoke_subtokens', 'key.rotate'],
  'user.': ['user.create', 'user.delete', 'user.disable', 'user.enable', 'user.import', 'user.password', 'user.permissions', 'user.register'],
  'login.': ['login.begin', 'login.end', 'login.reuse'],
  'token.': ['token.revoke'],
  'sub.': ['sub.revoke'],
  'revocations.': ['revocations.restore'],
  'secret.': ['secret.add', 'secret.promote', 'secret.retire', 'secret.rotate'],
  'audit.': ['audit.cut'],
};

const actions = () => [{ value: '', text: t('audit.any') }, ...Object.entries(ACTIONS).map(([prefix, list]) => ({
  text: t(`audit.${prefix}`),
  options: [...(list.length > 1 ? [{ value: prefix, text: t('audit.all_of', { what: prefix }) }] : []), ...list.map((value) => ({ value, text: value }))],
}))];

const fields = () => [
  { name: 'who', label: t('audit.who'), type: 'search' },
  { name: 'action', label: t('audit.action'), options: actions() },
  { name: 'target', label: t('audit.target'), type: 'search' },
  { name: 'since', label: t('audit.since'), type: 'date' },
  { name: 'until', label: t('audit.until'), type: 'date' },
];

// The first second of a day here, or of the day after it.
function day(text, after) {
  const [year, month, date] = text.split('-').map(Number);
  const at = new Date(year, month - 1, date + after);
  return Number.isNaN(at.valueOf()) ? text : `${at.toISOString().slice(0, 19)}Z`;
}

const only = (query, name, text) => (text === '' ? '–' : el('a', { href: address(NAME, { ...Object.fromEntries(query), before: '', [name]: text }) }, text));

const columns = (query) => [
  { title: t('audit.at'), width: 'narrow', cell: (entry) => exactly(entry.at) },
  { title: t('audit.who'), cell: (entry) => only(query, 'who', entry.who) },
  { title: t('audit.from'), width: 'narrow', cell: (entry) => (entry.from === '' ? '–' : entry.from) },
  { title: t('audit.action'), cell: (entry) => only(query, 'action', entry.action) },
  { title: t('audit.target'), cell: (entry) => only(query, 'target', entry.target) },
  { title: t('audit.detail'), width: 'wide', cell: (entry) => (entry.detail === '' ? '–' : entry.detail) },
];

async function show(main, rest, query) {
  fill(main, el('h1', { tabindex: '-1' }, t('audit.title')), filterForm({ name: NAME, label: t('audit.filter'), fields: fields(), query }));
  const asked = { limit: 50 };
  for (const each of ['who', 'action', 'target', 'before']) if (query.has(each)) asked[each] = query.get(each);
  if (query.has('since')) asked.since = day(query.get('since'), 0);
  if (query.has('until')) asked.until = day(query.get('until'), 1);
  const body = await search(main, '/v2/audit', { query: asked, list: 'entries', cursor: 'before' });
  main.append(table({ caption: t('audit.title'), columns: columns(query), rows: body.entries,
    empty: t(body.next === undefined ? 'audit.none' : 'audit.none_yet') }));
  const pages = pager({ name: NAME, cursor: 'before', query, next: body.next });
  if (pages !== null) main.append(pages);
}

view({ name: NAME, title: 'audit.title', needs: ['audit'], show });
