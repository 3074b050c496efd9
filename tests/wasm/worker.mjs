// The worker that workerd runs in the tests, and that a page in Chromium runs as well.
import { Policy, Ring, Verifier } from 'subtoken';
import { Revocations } from 'subtoken/revocations';
import { protect } from 'subtoken/workers';

export const settings = ({ RING, AUD, POLICY, KEY, SERVER, ASK, MAX_AGE }) => {
  const ring = Ring.parse(RING);
  const revocations = new Revocations({ ring, from: SERVER, key: KEY, maxAge: Number(MAX_AGE), onEvent() {} });
  return { verifier: new Verifier({ ring, revocations, policy: Policy.parse(POLICY), aud: AUD || null }), ask: ASK };
};

const handler = protect(settings, async (request) => {
  const { method, url, headers, subtoken } = request;
  return Response.json({ method, url: url.slice(url.indexOf('/', 8)), headers: Object.fromEntries(headers), subtoken,
    body: await request.text() });
});

export default { fetch: handler };
