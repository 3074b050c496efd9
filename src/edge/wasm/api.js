// What every index.*.js exports, once it has started core.js.
export {
  Feed, Policy, Ring, SubtokenError, Verifier, explain, feedResult, inspect, isIdentityHeader, refuse,
  stripQuery, targetPath, urlAllows, urlCanonical, urlCovers, version,
} from './core.js';
export { Revocations } from './revocations.js';
