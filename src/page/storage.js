// The browser's storage, which may be forbidden: then nothing is remembered.

function tried(use) {
  try {
    return use();
  } catch {
    return null;
  }
}

// Language and colours, for all tabs; null forgets.
export function preference(name) {
  return tried(() => localStorage.getItem(name));
}

export function setPreference(name, value) {
  tried(() => value === null ? localStorage.removeItem(name) : localStorage.setItem(name, value));
}

// Of this tab alone. Taken out, so that it is there no more.
export function takeOfTab(name) {
  return tried(() => {
    const value = sessionStorage.getItem(name);
    sessionStorage.removeItem(name);
    return value;
  });
}

// Could it be written down?
export function leaveForTab(name, value) {
  return tried(() => {
    sessionStorage.setItem(name, value);
    return true;
  }) === true;
}
