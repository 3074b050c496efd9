// What somebody has filled in, kept in memory while a view is drawn anew: in another language, or
// after the login that ended meanwhile. Never for somebody else, and in no storage.

// What of the forms in an element can be filled in, in its order.
export function taken(node) {
  const list = [...node.querySelectorAll('input[name], select[name], textarea[name]')]
    .filter((one) => !one.readOnly)
    .map((one) => ({name: one.name, type: one.type, value: one.value, checked: one.checked === true}));
  const open = [...node.querySelectorAll('details')].map((one) => one.open);
  const all = (name) => list.filter((one) => one.name === name);
  return {list, open,
    count: (name) => all(name).length,
    value: (name) => all(name)[0]?.value,
    chosen: (name) => all(name).find((one) => one.checked)?.value};
}

function put(control, property, value) {
  if (control === undefined || control[property] === value) return;
  control[property] = value;
  control.dispatchEvent(new Event('input', {bubbles: true}));
  control.dispatchEvent(new Event('change', {bubbles: true}));
}

// Back into what has been drawn: one after the other, for what is filled in may draw the next.
export function putBack(node, {list, open}) {
  const seen = new Map();
  for (const {name, type, value, checked} of list) {
    const controls = [...node.querySelectorAll('input, select, textarea')].filter((one) => one.name === name && !one.readOnly);
    if (type === 'radio' || type === 'checkbox') {
      if (type === 'checkbox' || checked) put(controls.find((one) => one.value === value), 'checked', checked);
      continue;
    }
    const place = seen.get(name) ?? 0;
    seen.set(name, place + 1);
    put(controls[place], 'value', value);
  }
  node.querySelectorAll('details').forEach((one, i) => { one.open ||= open[i] === true; });
}
