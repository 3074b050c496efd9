import type { FetchOptions } from './middleware.js';

export type { Ask, Decision, Identity, Options } from './middleware.js';

/** app.use(subtoken({ verifier })): c.get('subtoken') says whom a request stands for. */
export function subtoken(
  options: FetchOptions<any> | ((c: any) => FetchOptions<any> | Promise<FetchOptions<any>>),
): (c: any, next: () => Promise<void>) => Promise<Response | void>;
export default subtoken;
