// subtoken for bundlers: the bytes of subtoken.wasm stand in this file, so that nothing has to be
// found beside it. Not for Cloudflare Workers, which make no WebAssembly of bytes.
import { start } from './core.js';

const text = `
@WASM@
`;
const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
start((await WebAssembly.instantiate(bytes)).instance);

export * from './api.js';
