// Applications that call tools, with the packages that they use: one JSON line in, which says what to do, one out, which says
// what the application got to see. In: {"url", "mode": "default", "auto", "pin" or "sdk", "token" (as a header), "login": [] (an
// OAuth provider that knows nothing) or [client_id, client_secret, issuer], "hosts" ({URL: where it is asked}), "release" (to
// ask on the first progress), "headers" (that are put onto each request), "do": [[call, name, arguments] ...]}, where the call
// "with" changes the headers. Out: {"era", "session", "connect" (what was thrown), "results":
// [{"text"} or {"error"} ...], "errors" (of onerror), "requests": [[method, URL without the front's, status] ...], "authorize"
// (where the person is sent)}.
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, ClientCredentialsProvider, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as SdkClient } from '@modelcontextprotocol/sdk/client/index.js';
import { ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { StreamableHTTPClientTransport as SdkTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const about = { name: 'agent', version: '1.0.0' };
const modes = { auto: 'auto', pin: { pin: '2026-07-28' } };

function error(thrown) {
  const { code, status, requiredScope, message } = thrown;
  return { class: thrown.constructor.name, code, status: status ?? thrown.data?.status, scope: requiredScope, message,
    cause: thrown.cause?.message };
}

// A provider as the documents of the packages show it, with nothing to begin with.
function provider(out) {
  let client;
  let verifier;
  return {
    redirectUrl: 'http://127.0.0.1/callback',
    clientMetadata: { client_name: 'agent', redirect_uris: ['http://127.0.0.1/callback'] },
    clientInformation: () => client,
    saveClientInformation: (made) => { client = made; },
    tokens: () => undefined,
    saveTokens: () => {},
    redirectToAuthorization: (url) => { out.authorize = String(url); },
    saveCodeVerifier: (made) => { verifier = made; },
    codeVerifier: () => verifier,
  };
}

// Names of hosts lead to where the test has them.
function place(url, hosts) {
  const [from, to] = Object.entries(hosts ?? {}).find(([name]) => url.startsWith(name)) ?? ['', ''];
  return to + url.slice(from.length);
}

function transport(asked, out) {
  const Transport = asked.mode === 'sdk' ? SdkTransport : StreamableHTTPClientTransport;
  const options = {
    fetch: async (url, init) => {
      const headers = new Headers(init?.headers);
      for (const [name, value] of Object.entries(asked.headers ?? {})) headers.set(name, value);
      const answer = await fetch(place(String(url), asked.hosts), { ...init, headers });
      out.requests.push([init?.method ?? 'GET', String(url).replace(new URL(asked.url).origin, ''), answer.status]);
      return answer;
    },
    requestInit: { headers: {} },
  };
  if (asked.token) options.requestInit.headers.Authorization = `Bearer ${asked.token}`;
  if (asked.login) {
    const [clientId, clientSecret, expectedIssuer] = asked.login;
    options.authProvider = clientId ? new ClientCredentialsProvider({ clientId, clientSecret, expectedIssuer }) : provider(out);
  }
  return new Transport(new URL(asked.url), options);
}

async function call(client, asked, out, [what, name, given]) {
  switch (what) {
    case 'tool': {
      const onprogress = asked.release ? () => { fetch(asked.release); } : undefined;
      const called = { name, arguments: given ?? {} };
      const options = { onprogress, timeout: 20_000 };
      const got = asked.mode === 'sdk' ? await client.callTool(called, undefined, options) : await client.callTool(called, options);
      return got.isError ? { isError: got.content[0].text } : { text: got.content[0].text };
    }
    case 'resource': return { text: (await client.readResource({ uri: name })).contents[0].text };
    case 'prompt': return { text: (await client.getPrompt({ name })).messages[0].content.text };
    case 'tools': return { text: (await client.listTools()).tools.map((tool) => tool.name).join(' ') };
    case 'announce': {
      const listening = out.era === '2026-07-28' ? await client.listen({ toolsListChanged: true }) : undefined;
      while (!listening && !out.requests.some(([method, , status]) => method === 'GET' && status === 200)) await sleep(5);
      const heard = new Promise((resolve) => { out.heard = resolve; });
      await client.callTool({ name: 'announce' });
      const text = await heard;
      await listening?.close();
      return { text };
    }
    case 'with': asked.headers = name; return { text: 'with' };
    case 'end': await client.transport.terminateSession(); return { text: client.transport.sessionId ?? 'ended' };
    default: throw new Error(`what is ${what}?`);
  }
}

async function run(asked) {
  const out = { results: [], requests: [], errors: [] };
  const client = asked.mode === 'sdk' ? new SdkClient(about)
    : new Client(about, modes[asked.mode] ? { versionNegotiation: { mode: modes[asked.mode] } } : {});
  const changed = () => out.heard?.('heard');
  if (asked.mode === 'sdk') client.setNotificationHandler(ToolListChangedNotificationSchema, changed);
  else client.setNotificationHandler('notifications/tools/list_changed', changed);
  client.onerror = (thrown) => out.errors.push(thrown.message);
  try {
    await client.connect(transport(asked, out), { timeout: 20_000 });
    out.era = client.getNegotiatedProtocolVersion?.() ?? client.transport.protocolVersion;
    out.session = Boolean(client.transport.sessionId);
    for (const each of asked.do ?? []) {
      try {
        out.results.push(await call(client, asked, out, each));
      } catch (thrown) {
        out.results.push({ error: error(thrown) });
      }
    }
  } catch (thrown) {
    out.connect = error(thrown);
  }
  await client.close();
  return out;
}

for await (const line of createInterface({ input: process.stdin })) console.log(JSON.stringify(await run(JSON.parse(line))));
