// What every index.*.js exports, once it has started core.js.
export {
  Feed, Policy, Ring, SubtokenError, Verifier, explain, inspect, targetPath, urlAllows,
  urlCanonical, urlCovers, version,
} from './core.js';
