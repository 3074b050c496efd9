import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Identity, Options } from './middleware.js';

// Express's own types take this in.
declare global {
  namespace Express {
    interface Request {
      subtoken: Identity;
    }
  }
}

export type { Ask, Decision, Identity, Options } from './middleware.js';

/** app.use(subtoken({ verifier })): request.subtoken says whom a request stands for. */
export function subtoken(options: Options): (
  request: IncomingMessage & { originalUrl: string },
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;
export default subtoken;
