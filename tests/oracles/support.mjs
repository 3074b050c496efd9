// What the oracles in JavaScript share: TAP, and a library from npm.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const oracle = basename(process.argv[1], '.mjs');
let count = 0;
let failed = 0;

export function tap(good, name, why) {
  count += 1;
  if (!good) failed += 1;
  console.log(`${good ? 'ok' : 'not ok'} ${count} - ${oracle}: ${name}`);
  if (!good && why !== undefined) console.log(`# ${JSON.stringify(why)}`);
}

export function plan() {
  console.log(`1..${count}`);
  process.exitCode = failed > 0 ? 1 : 0;
}

// The error that a library throws, or null.
export async function thrown(promise) {
  try {
    await promise;
    return null;
  } catch (error) {
    return error;
  }
}

export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

// What is installed is used; npm is asked only for what is not.
export async function library(name) {
  if (!existsSync(join(here, 'node_modules', name, 'package.json'))) {
    const npm = spawnSync('npm',
      ['ci', '--silent', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'],
      { cwd: here, encoding: 'utf8' });
    if (npm.status !== 0) {
      console.log(`not ok 1 - ${oracle}: npm ci in tests/oracles: ${npm.stderr || npm.error}`);
      process.exit(1);
    }
  }
  return import(name);
}
