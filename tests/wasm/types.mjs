// The types of the npm package, by TypeScript's compiler: a program that uses them, and that they
// name what the package exports.
//
// usage: node types.mjs PROGRAM
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { here, installPackages, packageDir, plan, same } from './fixture.mjs';

installPackages();
const made = spawnSync(process.execPath, [join(here, 'node_modules/typescript/bin/tsc'), '--project', here], { encoding: 'utf8' });
same([made.stdout, made.status], ['', 0], 'a program that uses the package');

// What a class has by itself stands in its prototype and itself.
const types = readFileSync(join(packageDir, 'core.d.ts'), 'utf8');
const library = await import(join(packageDir, 'core.js'));
const missing = Object.keys(library).filter((name) => !new RegExp(`^export (class|function) ${name}\\b`, 'm').test(types));
for (const name of ['Feed', 'Policy', 'Ring', 'Verifier']) {
  const [, body] = new RegExp(`^export class ${name}\\b[^{]*\\{\\n(.*?)^\\}`, 'ms').exec(types);
  const own = [...Object.getOwnPropertyNames(library[name].prototype), ...Object.getOwnPropertyNames(library[name])]
    .filter((member) => !['constructor', 'length', 'name', 'prototype'].includes(member));
  missing.push(...own.filter((member) => !new RegExp(`^  (static |readonly )*${member}\\b`, 'm').test(body)).map((member) => `${name}.${member}`));
}
same(missing, [], 'all that the library exports has a type');
plan();
