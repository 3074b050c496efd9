import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Decision, Identity, Options } from './middleware.js';

export type { Ask, Decision, Identity, Options } from './middleware.js';

export type ProtectedRequest = IncomingMessage & { subtoken: Identity };

/** Wraps a handler of http.createServer: it is called for the requests that pass. */
export function protect<Response extends ServerResponse>(
  options: Options,
  handler: (request: ProtectedRequest, response: Response) => unknown,
): (request: IncomingMessage, response: Response) => unknown;

/** For what has no response, such as the event `upgrade`: decides, and never rejects. */
export function authorizer(options: Options): (request: IncomingMessage) => Promise<Decision>;
