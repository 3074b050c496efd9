// subtoken in Node, Deno and Bun: subtoken.wasm is read from beside this file.
import { readFileSync } from 'node:fs';
import { start } from './core.js';

start(new WebAssembly.Module(readFileSync(new URL('./subtoken.wasm', import.meta.url))));

export * from './api.js';
