// Installs what package-lock.json says, unless another test has just done so (fixture.mjs).
import { spawnSync } from 'node:child_process';
import { here, isMissing } from './fixture.mjs';

if (isMissing()) {
  const { status } = spawnSync('npm', ['ci', '--silent', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'],
    { cwd: here, stdio: 'inherit' });
  process.exitCode = status ?? 1;
}
