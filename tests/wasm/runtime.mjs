// What runtimes.mjs runs in Deno and Bun: the worker behind their own server, or an API of node:http.
// arguments: serve or http, and the port
import { env } from 'node:process';
import worker, { settings } from './worker.mjs';

const [kind, port] = process.argv.slice(2);
if (kind === 'http') {
  const { default: http } = await import('node:http');
  const { protect } = await import('subtoken/node');
  const { echo, headersOf } = await import('./apis.mjs');
  const options = settings(env);
  await options.verifier.revocations.start();
  http.createServer(protect(options, async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const { method, url, subtoken } = request;
    response.setHeader('Content-Type', 'application/json');
    response.end(echo({ method, url, headers: headersOf(request), subtoken, body: Buffer.concat(pieces).toString() }));
  })).listen(Number(port), '127.0.0.1');
} else if (globalThis.Deno !== undefined) {
  Deno.serve({ port: Number(port), hostname: '127.0.0.1' }, (request) => worker.fetch(request, env));
} else {
  Bun.serve({ port: Number(port), hostname: '127.0.0.1', fetch: (request) => worker.fetch(request, env) });
}
