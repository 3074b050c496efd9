// A whole key that has just been made, on its way to the view that makes subtokens with it: in
// memory alone, and taken once.
let handed = null;

export function handOver(key) {
  handed = key;
}

export function takeOver() {
  const key = handed;
  handed = null;
  return key;
}
