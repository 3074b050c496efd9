// What the lists of administrators share: a table that becomes cards where the window is narrow (page.css),
// the form of its filters, and the links to its other pages. A list's state is in the address (#/NAME?…), so
// the browser's Back is the way to the page before.
import { el, fill } from './dom.js';
import { addTexts, language, t, when } from './i18n.js';
import { call } from './api.js';
import { go } from './frame.js';
import { adminTexts } from './admin_texts.js';

addTexts(adminTexts);

// columns: [{title, cell(row), width ('wide', 'narrow' or none)}]; a cell is a string, a node or an array of them.
// The first names its row.
export function table({ caption, columns, rows, empty }) {
  if (rows.length === 0) return el('p', { class: 'empty' }, empty);
  const body = rows.map((row) => el('tr', {}, columns.map(({ title, cell }, i) =>
    el(i === 0 ? 'th' : 'td', { scope: i === 0 ? 'row' : null, 'data-label': title }, el('div', {}, cell(row))))));
  return el('table', { class: 'list' },
    el('caption', { class: 'unseen' }, caption),
    el('thead', {}, el('tr', {}, columns.map(({ title, width }) => el('th', { scope: 'col', class: width }, title)))),
    el('tbody', {}, body));
}

const STEPS = 100;

// The answer with one page of a list. The server looks at so many rows and says where to go on: while nothing
// matches, this goes on by itself, until the view is left or a hundred times.
export async function search(main, path, { query, list, cursor }) {
  const said = el('p', { class: 'hint', role: 'status' });
  main.append(said);
  let asked = query;
  let answer;
  for (let i = 0; i < STEPS && (i === 0 || main.isConnected); i += 1) {
    answer = (await call('GET', path, { query: asked })).body;
    if (answer[list].length > 0 || answer.next === undefined) break;
    asked = { ...asked, [cursor]: answer.next };
    if (i === 0) fill(said, t('list.searching'));
  }
  said.remove();
  return answer;
}

// The address of a list with these values; those that are empty are left out.
export function address(name, values) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) {
    if (value !== null && value !== undefined && value !== '') query.set(key, value);
  }
  return `#/${name}${query.size > 0 ? `?${query}` : ''}`;
}

function control({ name, type, options, list, query }) {
  const value = query.get(name) ?? '';
  const id = `filter-${name}`;
  if (options !== undefined) {
    // A value that stands in the address alone stays what is asked for.
    const known = options.flatMap((each) => (each.options ?? [each])).some((each) => each.value === value);
    const all = known ? options : [...options, { value, text: value }];
    const option = (each) => el('option', { value: each.value, selected: each.value === value }, each.text);
    return el('select', { id, name }, all.map((each) => (each.options === undefined ? option(each)
      : el('optgroup', { label: each.text }, each.options.map(option)))));
  }
  if (type === 'checkbox') return el('input', { id, name, type, value: list, checked: value !== '' });
  return el('input', { id, name, type, value, maxlength: type === 'date' ? null : 256, autocomplete: 'off', spellcheck: 'false' });
}

// fields: [{name, label, type ("search", "date", "checkbox" with `list` as its value) or options}]
export function filterForm({ name, label, fields, query }) {
  const rows = fields.map((field) => {
    const made = control({ ...field, query });
    const text = el('label', { for: made.id }, field.label);
    return el('p', { class: field.type === 'checkbox' ? 'check' : 'field' }, field.type === 'checkbox' ? [made, text] : [text, made]);
  });
  const asked = fields.some((field) => query.has(field.name));
  const form = el('form', { role: 'search', class: 'filter', 'aria-label': label }, rows,
    el('p', { class: 'actions' }, el('button', { type: 'submit' }, t('list.filter')),
      asked ? el('a', { href: `#/${name}` }, t('list.all')) : null));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    go(address(name, Object.fromEntries(new FormData(form))));
  });
  return form;
}

// Links to the first page and the next one. cursor: the parameter that says where a page begins.
export function pager({ name, cursor, query, next }) {
  const values = Object.fromEntries(query);
  const first = { ...values };
  delete first[cursor];
  if (next === undefined && !query.has(cursor)) return null;
  return el('nav', { class: 'pager', 'aria-label': t('list.pages') },
    query.has(cursor) ? el('a', { href: address(name, first) }, t('list.first')) : null,
    next === undefined ? el('span', {}, t('list.end')) : el('a', { rel: 'next', href: address(name, { ...values, [cursor]: String(next) }) }, t('list.next')));
}

// A list of names, each of which may be long.
export const names = (list) => (list.length === 0 ? '–' : el('ul', { class: 'names' }, list.map((name) => el('li', {}, name))));

// A moment to the second, as a log has it.
export function exactly(at) {
  const node = when(at), date = new Date(at);
  if (!Number.isNaN(date.valueOf())) node.textContent = new Intl.DateTimeFormat(language(), { dateStyle: 'medium', timeStyle: 'medium' }).format(date);
  return node;
}
