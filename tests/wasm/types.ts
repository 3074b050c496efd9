// Compiled by types.mjs, never run: what a user of the package writes, and what the compiler is to
// refuse.
import { Claims, Feed, Policy, Revocations, Ring, SubtokenError, Verdict, Verifier, inspect, targetPath, urlAllows } from 'subtoken';
import * as inline from 'subtoken/inline';
import { start } from 'subtoken/core';

const ring: Ring = Ring.parse(new Uint8Array());
const policy = Policy.parse('{"default":"deny"}');
const revocations = new Revocations({ ring, from: 'https://keys.example', key: async () => 'key' });
const verifier = new Verifier({ ring, policy, revocations, leeway: 5, cache: 0 });
new Verifier({ ring, withoutRevocations: true, aud: null });
new Verifier({ ring, revocations: new Feed(ring, { maxAge: 10 }) });
new inline.Verifier({ ring: inline.Ring.parse(''), withoutRevocations: true });

const verdict: Verdict = verifier.verify('token', { method: 'GET', target: '/', needs: ['account'] as const });
const claims: Claims | null = verdict.claims;
export const subs: Array<string | undefined> = [claims?.sub, inspect('token').claims.sub, targetPath('/a')];
const allowed: 'ok' | 'url' | 'bad_target' | 'bad_url' = urlAllows('/a/*', 'GET', '/a/b');
const reply = verifier.decide({ method: 'GET', target: '/', authorization: ['Bearer x'] }, { forms: ['bearer'], mayAsk: true });
if (reply.step === 'allow') for (const [name, value] of reply.identity ?? []) console.log(name, value, allowed);
try {
  ring.replace('text');
} catch (error) {
  if (error instanceof SubtokenError) console.log(error.code, error.line);
}
start(new WebAssembly.Module(new Uint8Array()));
{
  using kept = Ring.parse('');
  console.log(kept.audience);
}

// @ts-expect-error: one of revocations and withoutRevocations
new Verifier({ ring });
// @ts-expect-error: not both
new Verifier({ ring, revocations, withoutRevocations: true });
// @ts-expect-error: it is made by parse
new Ring();
// @ts-expect-error: a list
verifier.verify('token', { needs: 'account' });
// @ts-expect-error: it may be null
verdict.claims.sub;
// @ts-expect-error: no such form
verifier.decide({ method: 'GET', target: '/' }, { forms: ['cookie'] });
