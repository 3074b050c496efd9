// subtoken in browsers, and wherever a file beside a module is fetched: subtoken.wasm is loaded when
// this module is. Node, Deno and Bun get index.node.js, Cloudflare's workerd index.workerd.js.
import { start } from './core.js';

async function load(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`subtoken: ${url}: status ${response.status}`);
  // A server that does not know the type of .wasm cannot be streamed from.
  if (response.headers.get('content-type')?.startsWith('application/wasm')) {
    return (await WebAssembly.instantiateStreaming(response)).instance;
  }
  return (await WebAssembly.instantiate(await response.arrayBuffer())).instance;
}

start(await load(new URL('./subtoken.wasm', import.meta.url)));

export * from './api.js';
