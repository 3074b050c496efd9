// Installs what package-lock.json says, unless another test has just done so (fixture.mjs).
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

// npm writes .package-lock.json when all else is there.
export function isMissing() {
  const wanted = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8')).dependencies;
  return !existsSync(join(here, 'node_modules', '.package-lock.json')) || Object.entries(wanted).some(([name, version]) => {
    const path = join(here, 'node_modules', name, 'package.json');
    return !existsSync(path) || JSON.parse(readFileSync(path, 'utf8')).version !== version;
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url) && isMissing()) {
  const { status } = spawnSync('npm', ['ci', '--silent', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'],
    { cwd: here, stdio: 'inherit' });
  process.exitCode = status ?? 1;
}
