// The types of `subtoken`; those of the middleware lie beside each.
export {
  Answer, Claims, DecideRequest, Disposable, Feed, FeedOptions, How, Policy, Reply, Ring, SubtokenError, Verdict, Verifier,
  VerifierOptions, VerifyRequest, explain, feedResult, inspect, isIdentityHeader, refuse, stripQuery, targetPath, urlAllows,
  urlCanonical, urlCovers, version,
} from './core.js';
export { Revocations, RevocationsOptions, RevocationsStatus } from './revocations.js';
