// Logging in with a name and a password, or with a key that stays in this tab.
import {call, logIn, Problem, settings, useKey} from './api.js';
import {ask} from './dialog.js';
import {button, el, fill, labelled} from './dom.js';
import {afterLogin, alertOf, notice, view} from './frame.js';
import {language, t} from './i18n.js';
import {KEY_SHAPE, pasted} from './token.js';

// wrong: the text of a 401.
function form({title, fields, action, run, note, wrong}) {
  const error = el('div', {});
  const submit = el('button', {type: 'submit', class: 'main'}, action);
  const node = el('form', {class: 'panel'}, el('h2', {}, title), note ? el('p', {class: 'hint'}, note) : null,
    fields, error, el('div', {class: 'actions'}, submit));
  node.addEventListener('submit', async (event) => {
    event.preventDefault();
    submit.disabled = true;
    fill(error);
    try {
      await run(new FormData(node));
      node.reset();
      afterLogin();
    } catch (problem) {
      fill(error, alertOf(problem.status === 401 ? new Problem(401, t(wrong)) : problem));
    }
    submit.disabled = false;
  });
  return node;
}

async function useShaped(key) {
  if (!KEY_SHAPE.test(key)) throw new Problem(400, t('login.key.shape'));
  await useKey(key);
}

async function register() {
  const values = await ask({title: t('register.title'), text: t('register.text'), action: t('register.action'),
    fields: [{name: 'login', label: t('login.name'), required: true, autocomplete: 'username'},
      {name: 'password', label: t('login.password'), type: 'password', required: true, autocomplete: 'new-password', hint: t('register.hint')}],
    run: (given) => call('POST', 'v1/user', {credential: null, body: {login: given.login, password: given.password, locale: language()}})});
  if (values !== null) notice(t('register.done', {login: values.login}));
}

function show(node) {
  const login = el('input', {name: 'login', required: true, autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false'});
  const password = el('input', {name: 'password', type: 'password', required: true, autocomplete: 'current-password'});
  const key = el('input', {name: 'key', type: 'password', required: true, autocomplete: 'off', spellcheck: 'false'});
  fill(node, el('h1', {tabindex: '-1'}, t('login.title')), el('p', {}, t('login.intro')),
    el('div', {class: 'columns'},
      form({title: t('login.with_password'), action: t('login.action'), wrong: 'login.wrong',
        fields: [labelled(t('login.name'), login), labelled(t('login.password'), password)],
        run: (data) => logIn(data.get('login'), data.get('password'))}),
      form({title: t('login.with_key'), action: t('login.key.action'), wrong: 'login.key.wrong', note: t('login.key.hint'),
        fields: [labelled(t('login.key'), key)], run: (data) => useShaped(pasted(data.get('key')))})),
    settings()?.registration === 'open' ? el('p', {}, button(t('register.title'), register)) : null);
}

view({name: 'login', title: 'login.title', needs: null, show});
