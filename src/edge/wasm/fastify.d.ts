import type { Options } from './middleware.js';

export type { Ask, Decision, Identity, Options } from './middleware.js';

/** await app.register(subtoken, { verifier }): request.subtoken says whom a request stands for. */
export function subtoken(app: any, options: Options): Promise<void>;
export default subtoken;
