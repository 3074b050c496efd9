// What a key or a token is worth: what it may do, where, until when. The same picture before it is
// made, when one is looked into, and when the server explains.
import {el} from './dom.js';
import {t, whenAndHowFar} from './i18n.js';
import {permissionList} from './permissions.js';

export function rows(pairs) {
  return el('dl', {class: 'rows'}, pairs.filter((pair) => pair !== null).map(([term, ...what]) =>
    el('div', {}, el('dt', {}, term), el('dd', {}, what))));
}

function paths(urls) {
  if (urls === undefined || urls === null) return el('p', {}, t('worth.everywhere'));
  if (urls.length === 0) return el('p', {}, t('worth.nowhere'));
  return el('ul', {class: 'paths'}, urls.map((url) => el('li', {}, el('code', {}, url))));
}

function until(expires, wrong) {
  if (wrong) return el('p', {class: 'problem'}, wrong);
  return expires === null || expires === undefined ? t('worth.never') : whenAndHowFar(expires);
}

// no_expiry: what is said instead of an end that cannot be read.
export function worth({permissions, urls, expires_at: expires, no_expiry: wrong = '', brought_down: broughtDown = false,
  left_out: leftOut = [], audience}) {
  return rows([
    [t('worth.may'), permissionList(permissions ?? [])],
    leftOut.length > 0 ? [t('worth.left_out'), el('p', {class: 'warning'},
      leftOut.map((one, i) => [i > 0 ? ', ' : null, el('code', {}, one)]), ' ', t('worth.left_out.why'))] : null,
    [t('worth.where'), paths(urls)],
    [t('worth.until'), until(expires, wrong),
      broughtDown ? el('p', {class: 'warning'}, t('worth.brought_down')) : null],
    audience ? [t('worth.audience'), el('code', {}, audience)] : null,
  ]);
}
