// Elements. Every string becomes a text node or an attribute: nothing of what somebody named is ever
// read as markup, and the Content-Security-Policy forbids it as well.

const properties = new Set(['value', 'checked', 'disabled', 'selected', 'readOnly', 'open']);

// el('button', {type: 'button', on: {click: f}}, 'Text', node, null, [more])
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (properties.has(name)) {
      node[name] = value;
    } else {
      node.setAttribute(name, value === true ? '' : String(value));
    }
  }
  node.append(...nodes(children));
  return node;
}

function nodes(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => child instanceof Node ? child : document.createTextNode(String(child)));
}

export function fill(node, ...children) {
  node.replaceChildren(...nodes(children));
  return node;
}

let last = 0;

// An id that no other element has.
export function uniqueId(prefix) {
  last += 1;
  return `${prefix}-${last}`;
}

// A label, what it labels, and what is said about it, tied together for screen readers.
export function labelled(label, input, hint) {
  const id = input.id || uniqueId(input.getAttribute('name') ?? 'field');
  input.id = id;
  const note = hint ? el('p', {class: 'hint', id: `${id}-hint`}, hint) : null;
  if (note) input.setAttribute('aria-describedby', note.id);
  return el('div', {class: 'field'}, el('label', {for: id}, label), input, note);
}

export function button(text, listener, attributes = {}) {
  return el('button', {type: 'button', on: {click: listener}, ...attributes}, text);
}
