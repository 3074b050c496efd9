// The revocation feed of this server: its sequence and age, and which edges asked it when.
import { button, el, fill } from './dom.js';
import { span, t } from './i18n.js';
import { call, may } from './api.js';
import { go, view } from './frame.js';
import { exactly, table } from './table.js';
import { rows } from './worth.js';

// What an edge has is behind when it asked with an older sequence than the feed's.
const columns = (sequence) => [
  { title: t('feed.edge'), cell: (edge) => (edge.name === '' ? edge.key : edge.name) },
  { title: t('feed.key'), cell: (edge) => (may('keys') ? el('a', { href: `#/keys/${edge.key}` }, edge.key) : edge.key) },
  { title: t('feed.address'), cell: (edge) => edge.address },
  { title: t('feed.audience'), cell: (edge) => edge.audience ?? '–' },
  { title: t('feed.asked'), cell: (edge) => exactly(edge.last_asked) },
  { title: t('feed.has'), cell: (edge) => [String(edge.sequence), edge.sequence < sequence ? el('span', { class: 'badge behind' }, t('feed.behind')) : null] },
];

async function show(main) {
  fill(main, el('h1', { tabindex: '-1' }, t('feed.title')), el('p', {}, t('feed.text')));
  const { body } = await call('GET', '/v2/feed');
  main.append(
    rows([[t('feed.sequence'), String(body.sequence)], [t('feed.age'), body.age === null ? t('feed.unasked') : span(body.age)],
      body.vouched_at === null ? null : [t('feed.vouched'), exactly(body.vouched_at)],
      body.snapshot_bytes === null ? null : [t('feed.size'), t('bytes', { n: body.snapshot_bytes })]]),
    el('div', { class: 'actions' }, button(t('list.again'), () => go('#/feed'))), el('h2', {}, t('feed.edges')),
    ...(may('audit') ? [] : [el('p', { class: 'hint' }, t('feed.own'))]),
    table({ caption: t('feed.edges'), columns: columns(body.sequence), rows: body.edges, empty: t('feed.none') }));
}

view({ name: 'feed', title: 'feed.title', needs: ['audit', 'revocations'], show });
