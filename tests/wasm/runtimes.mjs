// The same requests in Deno and Bun, with their own servers and with node:http. Not a part of `make
// test`, because the two are 190 MB: SUBTOKEN_DENO and SUBTOKEN_BUN name the programs.
//
// usage: SUBTOKEN_DENO=deno SUBTOKEN_BUN=bun node runtimes.mjs PROGRAM
import { bearer, holds, POLICY } from './cases.mjs';
import { end, freePort, here, installPackages, plan, request, Server, start, tap, until } from './fixture.mjs';

installPackages();
const server = await Server.start();
const parent = server.key('parent', 'account,inventories,history_api');
const key = server.key('whole', 'account,history_api', '--owner', 'Zoë & Co');
const tokens = {
  all: server.issue(parent, '--permissions', 'account,inventories,history_api'),
  account: server.issue(parent, '--permissions', 'account'),
  restricted: server.issue(parent, '--permissions', 'account', '--urls', '/v2/account,/v2/characters/*'),
};
const env = { ...process.env, RING: server.ring, POLICY, KEY: server.key('edge', 'revocations'), SERVER: server.address,
  ASK: server.address, MAX_AGE: '60' };

const runtimes = [
  ['deno', process.env.SUBTOKEN_DENO, ['run', '-A', '--no-lock', '--node-modules-dir=manual']],
  ['bun', process.env.SUBTOKEN_BUN, ['run']],
].filter(([, program]) => program !== undefined);
tap(runtimes.length > 0, 'there is a runtime to try');

for (const [name, program, words] of runtimes) {
  for (const kind of ['serve', 'http']) {
    const deleted = server.key(`deleted ${name} ${kind}`, 'account');
    const ended = server.issue(deleted, '--permissions', 'account');
    const port = await freePort();
    const child = start(program, [...words, 'runtime.mjs', kind, String(port)], { cwd: here, env });
    const up = await until(() => request(port, { target: '/public/x' }).then(() => true, () => child.exitCode !== null), 30);
    if (up === Infinity || child.exitCode !== null) {
      tap(false, `${name}, ${kind}: starts`, child.text);
      continue;
    }
    const send = (sent) => request(port, sent);
    const how = kind === 'http' ? {} : { rewrites: true, resolves: name === 'bun' };
    await holds(`${name}, ${kind}`, send, { tokens, key, owner: 'Zo%C3%AB%20&%20Co', ...how });
    server.delete(deleted);
    const took = await until(async () => (await send({ target: '/v2/account', headers: bearer(ended) })).status === 401, 10);
    tap(took < 5, `${name}, ${kind}: a deleted key ends its tokens within seconds`, took);
    child.kill();
  }
}
plan();
end();
process.exit();
