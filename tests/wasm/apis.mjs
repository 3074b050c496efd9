// An API for each kind of server in Node, behind the middleware. Each answers with what it was given
// of a request, so that the test sees what an API behind an edge sees.
import http from 'node:http';

export const echo = ({ method, url, headers, subtoken, body }) => JSON.stringify({ method, url, headers, subtoken, body });

const listening = (server) => new Promise((done) => {
  server.listen(0, '127.0.0.1', () => done({ port: server.address().port, stop: () => {
    server.close();
    server.closeAllConnections();
  } }));
});

// By its events, as most programs do: an `end` that has come before is one that never comes.
function whole(stream) {
  return new Promise((done, failed) => {
    const pieces = [];
    stream.on('data', (piece) => pieces.push(piece));
    stream.on('end', () => done(Buffer.concat(pieces).toString()));
    stream.on('error', failed);
  });
}

// What a program may see of the headers in Node, in each of the ways that it has.
export function headersOf(request) {
  const { headers, rawHeaders, headersDistinct } = request;
  const names = new Set(Object.keys(headers));
  for (let i = 0; i < rawHeaders.length; i += 2) names.add(rawHeaders[i].toLowerCase());
  for (const name of Object.keys(headersDistinct ?? {})) names.add(name);
  return Object.fromEntries([...names].map((name) => {
    const raw = rawHeaders.flatMap((each, i) => (i % 2 === 0 && each.toLowerCase() === name ? [rawHeaders[i + 1]] : []));
    const all = [headers[name], ...(headersDistinct === undefined ? [] : headersDistinct[name] ?? ['(not distinct)']), ...raw];
    return [name, new Set(all).size === 1 ? headers[name] : all];
  }));
}

export async function plainHttp(options) {
  const { protect } = await import('subtoken/node');
  return listening(http.createServer(protect(options, async (request, response) => {
    const { method, url, subtoken } = request;
    response.setHeader('Content-Type', 'application/json');
    response.end(echo({ method, url, headers: headersOf(request), subtoken, body: await whole(request) }));
  })));
}

export async function withExpress(options) {
  const { default: express } = await import('express');
  const { subtoken } = await import('subtoken/express');
  const app = express();
  app.enable('case sensitive routing');
  app.enable('strict routing');
  app.set('x-powered-by', false);
  app.use(subtoken(options));
  app.use(express.text({ type: '*/*', limit: 1000000 }));
  app.use((request, response) => {
    const { method, originalUrl, query, body } = request;
    const url = 'access_token' in query ? `${originalUrl} and in the query` : originalUrl;
    response.type('application/json').send(echo({ method, url, headers: headersOf(request), subtoken: request.subtoken,
      body: typeof body === 'string' ? body : '' }));
  });
  return listening(http.createServer(app));
}

export async function withFastify(options) {
  const { default: fastify } = await import('fastify');
  const { default: subtoken } = await import('subtoken/fastify');
  const app = fastify({ forceCloseConnections: true, bodyLimit: 1000000 });
  await app.register(subtoken, options);
  app.addContentTypeParser('*', { parseAs: 'string' }, (request, body, done) => done(null, body));
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => done(null, body));
  app.all('/*', async (request, reply) => {
    const { method, url, query, body } = request;
    reply.type('application/json');
    return echo({ method, url: 'access_token' in query ? `${url} and in the query` : url,
      headers: headersOf(request.raw), subtoken: request.subtoken, body: body ?? '' });
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  return { port: app.server.address().port, stop: () => app.close() };
}

export async function withHono(options) {
  const { Hono } = await import('hono');
  const { serve } = await import('@hono/node-server');
  const { subtoken } = await import('subtoken/hono');
  const app = new Hono();
  app.use(subtoken(options));
  app.all('*', async (c) => c.json({ method: c.req.method, url: c.req.url.slice(c.req.url.indexOf('/', 8)),
    headers: c.req.header(), subtoken: c.get('subtoken'), body: await c.req.text() }));
  return new Promise((done) => {
    const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => done({ port, stop: () => {
      server.close();
      server.closeAllConnections();
    } }));
  });
}
