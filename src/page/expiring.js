// The warning of keys that end within 30 days: of all that the credential sees, or of one owner.
import { el } from './dom.js';
import { t } from './i18n.js';
import { call } from './api.js';
import { address } from './table.js';

const MOST = 100; // of one page: "100 or more" is as much of a warning

// Nothing where no key ends soon. list: the name of the view that the warning leads to.
export async function expiringNote({ owner, list = 'all-keys' } = {}) {
  const query = { expiring: '30d', limit: MOST };
  if (owner !== undefined) query.owner = owner;
  const { body } = await call('GET', '/v2/keys', { query });
  const n = body.keys.length;
  if (n === 0) return null;
  return el('p', { class: 'warning soon', role: 'note' },
    body.next === undefined ? t('expiring.note', { n }) : t('expiring.more', { n }), ' ',
    el('a', { href: address(list, { expiring: '30d', owner }) }, t('expiring.show')));
}
