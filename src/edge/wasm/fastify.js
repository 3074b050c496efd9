// The plugin for Fastify 4 and 5.
//
//   await app.register(subtoken, { verifier })
//
// It decides about every request of the instance that it is registered with, also where there is no
// route. The policy reads a path as it is, and so must the router.
import { createEdge, decide } from './edge.js';
import { nodeMessage, passNode } from './node.js';

// A semicolon in a path is refused, so that useSemicolonDelimiter may be what it is.
const ROUTING = { caseSensitive: true, ignoreTrailingSlash: false, ignoreDuplicateSlashes: false };

function checkRouting(config) {
  for (const [name, wanted] of Object.entries(ROUTING)) {
    const set = config.routerOptions?.[name] ?? config[name];
    if (set !== undefined && set !== wanted) {
      throw new Error(`${name}: ${set}: with it Fastify takes other paths for a route than the policy does`);
    }
  }
}

function refuse(reply, decision) {
  for (const [name, value] of decision.headers) reply.header(name, value);
  return reply.code(decision.status).send(decision.body);
}

/** request.subtoken = { sub, tid, key, owner, permissions, expires } for what passes. */
export async function subtoken(app, options) {
  const edge = createEdge(options);
  checkRouting(app.initialConfig);
  app.decorateRequest('subtoken', null);
  app.addHook('onRequest', (request, reply, done) => {
    const apply = (decision) => {
      if (!decision.allowed) {
        refuse(reply, decision);
        return;
      }
      passNode(edge, request.raw, decision);
      request.subtoken = decision.subtoken;
      if (decision.target !== request.raw.url) stripQuery(request, decision.target);
      done();
    };
    const decision = decide(edge, nodeMessage(request.raw));
    if (decision instanceof Promise) decision.then(apply).catch(done);
    else apply(decision);
  });
}

// Fastify has read the query before any hook runs.
function stripQuery(request, target) {
  request.raw.url = target;
  for (const name of Object.keys(request.query ?? {})) {
    if (name === 'access_token') delete request.query[name];
  }
}

// Its hook is for the instance that registers it, not for one of its own (as fastify-plugin does).
subtoken[Symbol.for('skip-override')] = true;
subtoken[Symbol.for('fastify.display-name')] = 'subtoken';

export default subtoken;
