// Texts, numbers and times in the language of the reader. The tables are in texts.js and
// admin_texts.js, which need no browser, so that tests read them, too.
import {el} from './dom.js';
import {serverTexts} from './server_texts.js';
import {preference, setPreference} from './storage.js';
import {texts} from './texts.js';

export const languages = {en: 'English', ru: 'Русский'};

const tables = {en: {...texts.en}, ru: {...texts.ru}};
let current = remembered() ?? (navigator.language.toLowerCase().startsWith('ru') ? 'ru' : 'en');

function remembered() {
  const value = preference('language');
  return value in languages ? value : null;
}

export function language() {
  return current;
}

export function setLanguage(value) {
  if (!(value in languages)) return;
  current = value;
  setPreference('language', value);
}

export function addTexts(more) {
  for (const code of Object.keys(languages)) Object.assign(tables[code], more[code]);
}

export function has(key) {
  return key in tables[current];
}

// The text of that key. `{name}` in it is replaced; with a number n, the forms of the plural are
// key.one, key.few, key.many, key.other.
export function t(key, values = {}) {
  const table = tables[current];
  let text = table[key];
  if (text === undefined && typeof values.n === 'number') {
    const form = new Intl.PluralRules(current).select(values.n);
    text = table[`${key}.${form}`] ?? table[`${key}.other`];
  }
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === 'number' ? number(value) : String(value);
  });
}

const patterns = Object.keys(serverTexts).filter((english) => /\{\w+\}/.test(english)).map((english) => ({russian: serverTexts[english],
  names: [...english.matchAll(/\{(\w+)\}/g)].map((found) => found[1]),
  shape: new RegExp(`^${english.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{\w+\}/g, '(.+?)')}$`, 's')}));

function translated(text) {
  if (current !== 'ru') return text;
  if (Object.hasOwn(serverTexts, text)) return serverTexts[text];
  for (const {shape, names, russian} of patterns) {
    const found = shape.exec(text);
    if (found !== null) return russian.replace(/\{(\w+)\}/g, (whole, name) => found[1 + names.indexOf(name)] ?? whole);
  }
  return text;
}

// A sentence of the server. A parameter in front of it is called what the page calls it; item: that of
// its values which is meant.
export function said(text, item = '') {
  const [, name, rest] = /^([a-z_]+): (.+)$/s.exec(text) ?? [];
  const whole = translated(text);
  if (whole !== text || name === undefined || !has(`parameter.${name}`)) return whole;
  return `${t(`parameter.${name}`)}${item ? ` ${item}` : ''}: ${translated(rest)}`;
}

export function number(value) {
  return new Intl.NumberFormat(current).format(value);
}

const units = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]];

// 3 days, 2 hours; the nearest whole number of the largest unit that fits.
export function span(seconds) {
  const size = Math.abs(seconds);
  const [unit, one] = units.find(([, length]) => size >= length) ?? units[3];
  return new Intl.NumberFormat(current, {style: 'unit', unit, unitDisplay: 'long'}).format(Math.round(size / one));
}

function toDate(at) {
  return typeof at === 'number' ? new Date(at * 1000) : new Date(at);
}

// A moment, as ISO text or seconds since 1970; its title says it exactly.
export function when(at) {
  const date = toDate(at);
  if (Number.isNaN(date.getTime())) return el('span', {}, String(at));
  const text = new Intl.DateTimeFormat(current, {dateStyle: 'medium', timeStyle: 'short'}).format(date);
  const iso = date.toISOString();
  return el('time', {datetime: iso, title: iso}, text);
}

// The same with how far away it is.
export function whenAndHowFar(at) {
  const seconds = Math.round((toDate(at).getTime() - Date.now()) / 1000);
  if (Number.isNaN(seconds)) return when(at);
  return [when(at), ' ', el('span', {class: 'hint'},
    seconds < 0 ? t('time.ago', {span: span(seconds)}) : t('time.in', {span: span(seconds)}))];
}
