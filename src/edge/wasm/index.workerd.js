// subtoken in Cloudflare Workers, where a module of WebAssembly is imported, never made.
import module from './subtoken.wasm';
import { start } from './core.js';

start(module);

export * from './api.js';
