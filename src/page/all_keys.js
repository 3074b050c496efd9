// All keys, for whoever has the permission keys: found by a part of their name or owner or by how their id
// begins, a page at a time. What can be done with one is on its own view (#/keys/ID).
import { el, fill } from './dom.js';
import { t, when } from './i18n.js';
import { view } from './frame.js';
import { expiringNote } from './expiring.js';
import { stateBadge } from './keys.js';
import { filterForm, names, pager, search, table } from './table.js';

const NAME = 'all-keys';
const STATES = ['active', 'disabled', 'suspended', 'expired'];
const ASKED = ['search', 'owner', 'state', 'expiring', 'after'];

const columns = () => [
  { title: t('column.name'), width: 'wide', cell: (key) => [el('a', { href: `#/keys/${key.id}` }, key.name === '' ? '–' : key.name), el('br'), el('code', {}, key.id)] },
  { title: t('column.owner'), cell: (key) => (key.owner === '' ? '–' : key.owner) },
  { title: t('column.state'), width: 'narrow', cell: (key) => stateBadge(key) },
  { title: t('column.permissions'), cell: (key) => names(key.permissions) },
  { title: t('column.expires'), width: 'narrow', cell: (key) => (key.expires_at === null ? t('column.never') : when(key.expires_at)) },
  { title: t('column.used'), width: 'narrow', cell: (key) => (key.last_used_at === null ? t('column.unused') : when(key.last_used_at)) },
];

const fields = () => [
  { name: 'search', label: t('allkeys.search'), type: 'search' },
  { name: 'owner', label: t('column.owner'), type: 'search' },
  { name: 'state', label: t('column.state'), options: [{ value: '', text: t('allkeys.any') }, ...STATES.map((value) => ({ value, text: t(`state.${value}`) }))] },
  { name: 'expiring', label: t('allkeys.expiring'), type: 'checkbox', list: '30d' },
];

// A page of a search ends after so many rows that were looked at: it may have no match and yet go on.
const nothing = (next) => t(next === undefined ? 'allkeys.none' : 'allkeys.none_yet');

async function show(main, rest, query) {
  fill(main, el('h1', { tabindex: '-1' }, t('allkeys.title')), filterForm({ name: NAME, label: t('allkeys.filter'), fields: fields(), query }));
  const asked = { limit: 50 };
  for (const each of ASKED) if (query.has(each)) asked[each] = query.get(each);
  const [body, note] = await Promise.all([search(main, '/v2/keys', { query: asked, list: 'keys', cursor: 'after' }),
    query.has('expiring') ? null : expiringNote()]);
  if (note !== null) main.querySelector('h1').after(note);
  main.append(table({ caption: t('allkeys.title'), columns: columns(), rows: body.keys, empty: nothing(body.next) }));
  const pages = pager({ name: NAME, cursor: 'after', query, next: body.next });
  if (pages !== null) main.append(pages);
}

view({ name: NAME, title: 'allkeys.title', needs: ['keys'], show });
