// The ring of signing secrets: their names and ages, and which one signs. Never a secret.
import { el, fill } from './dom.js';
import { span, t, when } from './i18n.js';
import { call } from './api.js';
import { view } from './frame.js';
import { table } from './table.js';

const columns = () => [
  { title: t('ring.kid'), cell: (secret) => (secret.kid === '' ? t('ring.unnamed') : el('code', {}, secret.kid)) },
  { title: t('ring.does'), cell: (secret) => el('span', { class: secret.signs ? 'badge active' : 'badge' }, t(secret.signs ? 'ring.signs' : 'ring.verifies')) },
  { title: t('ring.first'), cell: (secret) => when(secret.first_seen) },
  { title: t('ring.age'), cell: (secret) => span(secret.age) },
];

async function show(main) {
  fill(main, el('h1', { tabindex: '-1' }, t('ring.title')), el('p', {}, t('ring.text')));
  const { body } = await call('GET', '/v2/ring');
  main.append(table({ caption: t('ring.title'), columns: columns(), rows: body.secrets, empty: t('ring.none') }));
}

view({ name: 'ring', title: 'ring.title', needs: ['audit'], show });
