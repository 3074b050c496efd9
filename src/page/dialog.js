// Questions and secrets in a native <dialog>: the browser keeps the focus inside, closes it on
// Escape, and gives the focus back to what opened it.
import {button, el, fill, labelled, uniqueId} from './dom.js';
import {notice, problemText} from './frame.js';
import {t} from './i18n.js';

function open(title, parts, attributes = {}) {
  const id = uniqueId('dialog');
  const box = el('dialog', {'aria-labelledby': id, ...attributes}, el('h2', {id}, title), parts);
  document.body.append(box);
  box.showModal();
  return box;
}

function closed(box, settle) {
  box.addEventListener('close', () => {
    box.remove();
    settle();
  }, {once: true});
}

function input(field) {
  if (field.options) {
    return el('select', {name: field.name}, field.options.map((one) => {
      const {value, text} = typeof one === 'string' ? {value: one, text: one} : one;
      return el('option', {value, selected: value === field.value}, text);
    }));
  }
  return el('input', {name: field.name, type: field.type ?? 'text', value: field.value ?? '',
    required: field.required, maxlength: field.maxlength, minlength: field.minlength,
    autocomplete: field.autocomplete ?? 'off', spellcheck: 'false', autocapitalize: 'none'});
}

// Resolves with the values of the fields, or null when it was cancelled. fields: {name, label, type,
// value, hint, options, required, autocomplete}. check(values): the text of what is wrong, or
// nothing. run(values): what the action does; while it fails the dialog stays and says why; what it
// gives is `result` of the values. It goes on though the dialog is closed meanwhile: what came of it is told.
export function ask({title, text, action, dangerous = false, fields = [], check, run}) {
  return new Promise((resolve) => {
    let given = null, running = null;
    const error = el('p', {class: 'problem', role: 'alert', hidden: true});
    const submit = el('button', {type: 'submit', class: dangerous ? 'danger' : 'main'}, action);
    const form = el('form', {novalidate: false}, text ? el('p', {}, text) : null,
      fields.map((field) => field.node ?? labelled(field.label, input(field), field.hint)), error,
      el('div', {class: 'actions'}, submit, button(t('dialog.cancel'), () => box.close())));
    const act = async (values) => {
      submit.disabled = true;
      try {
        if (run) values.result = await run(values);
        given = values;
        box.close();
      } catch (problem) {
        if (box.open) say(error, problemText(problem));
        else notice(problemText(problem));
      }
      submit.disabled = false;
    };
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const values = Object.fromEntries(new FormData(form));
      const wrong = check?.(values);
      if (wrong) say(error, wrong);
      else running = act(values);
    });
    const box = open(title, form, {class: dangerous ? 'dangerous' : ''});
    closed(box, async () => {
      await running;
      resolve(given);
    });
  });
}

function say(node, text) {
  node.hidden = false;
  fill(node, text);
}

async function copy(area) {
  if (navigator.clipboard) return navigator.clipboard.writeText(area.value);
  area.select(); // not a secure context: plain http elsewhere than on this machine
  if (!document.execCommand('copy')) throw new Error('copy');
}

// Text to be taken away, with a button that copies it.
export function copyable(label, value, name) {
  const area = el('textarea', {readOnly: true, name, rows: Math.min(8, Math.ceil(value.length / 56)),
    spellcheck: 'false', value});
  const said = el('span', {role: 'status', class: 'hint'});
  const copied = async () => {
    try {
      await copy(area);
      fill(said, t('copy.done'));
    } catch {
      area.select();
      fill(said, t('copy.failed'));
    }
  };
  return el('div', {class: 'copyable'}, labelled(label, area),
    el('div', {class: 'actions'}, button(t('copy', {}), copied, {'data-copies': name}), said));
}

// A secret that is shown this once. lines: [{label, text}], commands to be pasted; actions:
// [{text, run}], other ways on, which close it. A button alone closes it, or the secret would be lost:
// Escape does not, nor what else a device has to close a dialog with, which a browser lets nobody
// refuse more than once or twice; and the browser asks before the page is left.
export function showSecret({title, secret, text, label, lines = [], actions = []}) {
  return new Promise((resolve) => {
    let kept = false;
    const stay = (event) => event.preventDefault();
    const noEscape = (event) => { if (event.key === 'Escape') event.preventDefault(); };
    const end = (run) => {
      kept = true;
      removeEventListener('keydown', noEscape, true);
      removeEventListener('beforeunload', stay);
      box.close();
      run?.();
    };
    const box = open(title, [
      text ? el('p', {}, text) : null,
      copyable(label ?? t('secret.label'), secret, 'secret'),
      lines.map((line, i) => copyable(line.label, line.text, `line${i}`)),
      el('div', {class: 'actions'},
        button(t('secret.done'), () => end(), {class: 'main'}),
        actions.map((one) => button(one.text, () => end(one.run))))], {class: 'secret'});
    addEventListener('keydown', noEscape, true);
    addEventListener('beforeunload', stay);
    box.addEventListener('cancel', stay);
    box.addEventListener('close', () => {
      if (!kept) return box.showModal();
      box.remove();
      return resolve();
    });
  });
}
