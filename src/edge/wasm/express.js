// The middleware for Express 4 and 5.
//
//   app.use(subtoken({ verifier }))
//
// The policy reads a path as it is, and so must the router: one that takes /V2/Admin and /v2/admin/
// for /v2/admin lets a request reach a route by a name that the policy gives to another.
import { createEdge, decide } from './edge.js';
import { nodeMessage, passNode, refuseNode } from './node.js';

// Where an app is mounted in another, each routes a part of the path.
function checkRouting(app) {
  for (let each = app; each; each = each.parent) checkApp(each);
}

function checkApp(app) {
  for (const setting of ['case sensitive routing', 'strict routing']) {
    if (app?.enabled(setting) === false) {
      throw new Error(`app.enable(${JSON.stringify(setting)}) is missing: without it Express takes other paths for a `
        + 'route than the policy does');
    }
  }
}

// req.url where the middleware is mounted, and req.originalUrl.
function strip(request, decision) {
  const cut = (target) => target.split('?', 1)[0];
  const query = decision.target.slice(cut(decision.target).length);
  request.url = cut(request.url) + query;
  request.originalUrl = decision.target;
  // Express 4 has read the query already; 5 does so when it is asked for.
  if (Object.hasOwn(request, 'query')) delete request.query.access_token;
}

/** request.subtoken = { sub, tid, key, owner, permissions, expires } for what passes. */
export function subtoken(options) {
  const edge = createEdge(options);
  return function subtokenMiddleware(request, response, next) {
    const apply = (decision) => {
      if (!decision.allowed) {
        if (!response.headersSent && !response.destroyed) refuseNode(request, response, decision);
        return;
      }
      passNode(edge, request, decision);
      if (decision.target !== request.originalUrl) strip(request, decision);
      next();
    };
    const message = nodeMessage(request, request.originalUrl);
    message.check = () => checkRouting(request.app);
    const decision = decide(edge, message);
    if (decision instanceof Promise) decision.then(apply).catch(next);
    else apply(decision);
  };
}

export default subtoken;
