// What a permission lets its holder do, in one sentence: the server's own and those of well-known
// APIs are in texts.js, others come from the setting permission_texts, which goes before.
import {settings} from './api.js';
import {el, uniqueId} from './dom.js';
import {has, t} from './i18n.js';

export function permissionText(permission) {
  const given = settings()?.permission_texts ?? {};
  if (Object.hasOwn(given, permission)) return given[permission];
  return has(`permission.${permission}`) ? t(`permission.${permission}`) : '';
}

// A list of permissions to be read.
export function permissionList(permissions) {
  if (permissions.length === 0) return el('p', {}, t('permissions.none'));
  return el('ul', {class: 'permissions'}, permissions.map((one) => {
    const text = permissionText(one);
    return el('li', {}, el('code', {}, one), text ? [' ', el('bdi', {class: 'hint'}, text)] : null);
  }));
}

function choiceRow(permission, checked, change) {
  const id = uniqueId('permission'), text = permissionText(permission);
  return el('div', {class: 'choice-row'},
    el('input', {type: 'checkbox', name: 'permissions', value: permission, id, checked,
      'aria-describedby': text ? `${id}-text` : null, on: {change}}),
    el('label', {for: id}, el('code', {}, permission)),
    text ? el('bdi', {class: 'hint', id: `${id}-text`}, text) : null);
}

// A fieldset of those that are offered; its chosen() gives the names of those that are checked.
export function permissionChoice({offered, chosen = [], legend = t('permissions.legend'), change = () => {}}) {
  const node = el('fieldset', {class: 'choices-list'}, el('legend', {}, legend),
    offered.length === 0 ? el('p', {}, t('permissions.parent_none'))
      : offered.map((one) => choiceRow(one, chosen.includes(one), change)));
  node.chosen = () => [...node.querySelectorAll('input:checked')].map((box) => box.value);
  return node;
}
