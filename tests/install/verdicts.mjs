// Node's http with the npm package, for edges.json: the first line of the output is the port, each
// further one the name of a decision. What passes is answered with what the handler saw.
//
// usage: RING=... AUD=... POLICY=... KEY=... SERVER=... node verdicts.mjs PACKAGE
import http from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const load = (name) => import(pathToFileURL(join(process.argv[2], name)));
const { Policy, Ring, Verifier } = await load('index.node.js');
const { Revocations } = await load('revocations.js');
const { protect } = await load('node.js');

const { RING, AUD, POLICY, KEY, SERVER } = process.env;
const ring = Ring.parse(RING);
const revocations = new Revocations({ ring, from: SERVER, key: KEY, onEvent() {} });
await revocations.start();
const verifier = new Verifier({ ring, revocations, policy: Policy.parse(POLICY), aud: AUD || null });
const server = http.createServer(protect({ verifier, ask: SERVER, onDecision: ({ name }) => console.log(name) },
  ({ method, url, rawHeaders }, response) => {
    const headers = [];
    for (let i = 0; i < rawHeaders.length; i += 2) headers.push([rawHeaders[i], rawHeaders[i + 1]]);
    const text = JSON.stringify({ method, target: url, headers });
    response.writeHead(200, { 'Content-Length': Buffer.byteLength(text) }).end(text);
  }));
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
