// An MCP server for the tests of edges, of the packages that applications use. It prints its port. Of one set of tools:
//   /mcp      @modelcontextprotocol/server as it comes: every revision, no sessions
//   /strict   the same, which refuses bodies of revisions before 2026-07-28
//   /session  the same package, with sessions, of the revisions before
//   /sdk      @modelcontextprotocol/sdk with sessions
// /seen tells the requests that came since it was asked last; /release lets the tool `slow` end.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { createMcpHandler, McpServer, ResourceTemplate, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server';
import { McpServer as SdkServer, ResourceTemplate as SdkTemplate } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { z } from 'zod';

console.warn = () => {}; // about the name `größe`
let seen = [];
let release = () => {};
let released = Promise.resolve();
const text = (said) => ({ content: [{ type: 'text', text: said }] });

// The same calls in both lines of packages; `slow` sends one progress and waits until it is released.
function fill(server, Template, notify) {
  server.registerTool('search', { inputSchema: z.object({ q: z.string() }) }, ({ q }) => text(`found ${q}`));
  server.registerTool('admin', {}, () => text('done'));
  server.registerTool('größe', {}, () => text('groß'));
  server.registerTool('announce', {}, async () => {
    handlers['/mcp'].notify.toolsChanged(); // to those that listen, as of 2026-07-28
    await server.server.sendToolListChanged(); // on the stream of the session
    return text('announced');
  });
  server.registerTool('slow', {}, async (context) => {
    await notify(context);
    await released;
    return text('slept');
  });
  server.registerResource('doc', new Template('doc://{name}', { list: undefined }), {},
    (uri) => ({ contents: [{ uri: uri.href, text: 'words' }] }));
  server.registerPrompt('greet', {}, () => ({ messages: [{ role: 'user', content: { type: 'text', text: 'hi' } }] }));
  return server;
}

const about = { name: 'test', version: '1.0.0' };
const progress = (token) => ({ method: 'notifications/progress', params: { progressToken: token, progress: 1 } });
const make = () => fill(new McpServer(about), ResourceTemplate,
  (context) => context.mcpReq.notify(progress(context.mcpReq._meta?.progressToken)));
const makeSdk = () => fill(new SdkServer(about), SdkTemplate,
  (context) => context.sendNotification(progress(context._meta?.progressToken)));

const handlers = { '/mcp': createMcpHandler(make), '/strict': createMcpHandler(make, { legacy: 'reject' }) };
const transports = new Map();

async function session(Transport, server, id) {
  if (transports.has(id)) return transports.get(id);
  const transport = new Transport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (made) => { transports.set(made, transport); },
    onsessionclosed: (ended) => { transports.delete(ended); },
  });
  await server().connect(transport);
  return transport;
}

async function answer(request, response, body) {
  const { pathname } = new URL(request.url, 'http://localhost');
  const id = request.headers['mcp-session-id'];
  if (pathname === '/sdk') {
    const transport = await session(StreamableHTTPServerTransport, makeSdk, id);
    return transport.handleRequest(request, response, body ? JSON.parse(body) : undefined);
  }
  if (pathname !== '/session' && !handlers[pathname]) return response.writeHead(404).end();
  const asked = new Request(new URL(request.url, 'http://localhost'), {
    method: request.method, headers: new Headers(Object.entries(request.headers)), body: body || undefined,
  });
  const reply = pathname === '/session'
    ? await (await session(WebStandardStreamableHTTPServerTransport, make, id)).handleRequest(asked)
    : await handlers[pathname].fetch(asked);
  response.writeHead(reply.status, Object.fromEntries(reply.headers));
  response.flushHeaders();
  if (!reply.body) return response.end();
  const stream = Readable.fromWeb(reply.body);
  response.on('close', () => stream.destroy());
  stream.on('error', () => {});
  return stream.pipe(response);
}

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString();
  if (request.url === '/seen') {
    response.end(JSON.stringify(seen));
    seen = [];
    return;
  }
  if (request.url === '/release') {
    release();
    response.end();
    return;
  }
  seen.push({ method: request.method, target: request.url, headers: request.headers, body });
  if (body.includes('"slow"')) released = new Promise((resolve) => { release = resolve; });
  try {
    await answer(request, response, body);
  } catch (error) {
    response.writeHead(500).end(String(error.stack));
  }
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit()).resume(); // the test has ended
