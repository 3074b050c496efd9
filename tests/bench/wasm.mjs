// The npm package and fast-jwt in one process: node wasm.mjs PACKAGE NPM SECRET ROUNDS ROUND_MS REVOKED
// TOKENS... prints, as JSON, what each verify of each file of tokens took in each round: nanoseconds
// of the process's time, all threads, so that what a garbage collector does beside it counts.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { heartbeatOf, snapshotOf } from '../wasm/feed_format.mjs'

const [packageDir, npm, secretFile, rounds, roundMs, revoked, ...files] = process.argv.slice(2)
const { Feed, Ring, Verifier } = await import(pathToFileURL(join(resolve(packageDir), 'index.node.js')))
const { createVerifier } = createRequire(join(resolve(npm), 'package.json'))('fast-jwt')

const secret = readFileSync(secretFile)
const ring = Ring.parse(`:${secret.toString('base64url')}\n`)
const now = Math.floor(Date.now() / 1000)

// As many listed as on a large server; made by the tests' own writer, which takes some seconds.
function feedOf (count) {
  const subs = Array.from({ length: count }, (_, i) => `revoked-${i}`)
  const about = { sequence: 1n, kid: '', key: secret }
  const snapshot = snapshotOf({ ...about, subs, made: now })
  const feed = new Feed(ring, { maxAge: 86400 })
  const result = feed.take(heartbeatOf({ ...about, snapshot, time: now }), snapshot, false, now, performance.now() / 1000)
  if (result !== 'ok') throw new Error(`the snapshot: ${result}`)
  return feed
}

const revocations = feedOf(Number(revoked))
const request = { method: 'GET', target: '/v2/account/home/cats?v=latest', needs: [] }

function subtoken (cache) {
  const verifier = new Verifier({ ring, revocations, cache })
  return (token) => {
    const verdict = verifier.verify(token, request)
    return verdict.ok ? verdict.claims : null
  }
}

function fastJwt (cache) {
  const verify = createVerifier({ key: secret, algorithms: ['HS256'], requiredClaims: ['exp'], cache })
  return (token) => {
    try {
      return verify(token)
    } catch {
      return null
    }
  }
}

const rows = {
  'fast-jwt, without its cache': fastJwt(false),
  'fast-jwt, its cache': fastJwt(4096),
  'subtoken, without a cache': subtoken(0),
  'subtoken, from its cache': subtoken(4 << 20)
}

function changed (token) {
  const at = token.length - 6
  return token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1)
}

// Its claims are read: who wants to know them pays for them.
let sink = 0
function run (verify, tokens, n) {
  const began = process.cpuUsage()
  for (let i = 0, at = 0; i < n; i++) {
    const claims = verify(tokens[at])
    if (claims === null) throw new Error('a good token is refused')
    sink += claims.sub.length + claims.permissions.length + (claims.exp & 1)
    if (++at === tokens.length) at = 0
  }
  const { user, system } = process.cpuUsage(began)
  return 1000 * (user + system)
}

function measure (file) {
  const tokens = readFileSync(file, 'utf8').trimEnd().split('\n').map((line) => Buffer.from(line).toString('latin1'))
  const taken = {}
  const counts = {}
  for (const [name, verify] of Object.entries(rows)) {
    if (verify(changed(tokens[0])) !== null) throw new Error(`${name}: accepts a changed signature`)
    taken[name] = []
    let n = tokens.length
    let took = 0
    // Warm, and long enough for the processor's clock; whole passes over the tokens.
    for (let spent = 0; spent < 20e6 * Number(roundMs) || took < 0.5e6 * Number(roundMs); spent += took) {
      took = Math.max(run(verify, tokens, n), 1000)
      n = Math.max(1, Math.round(Math.min(4, 1e6 * Number(roundMs) / took) * n / tokens.length)) * tokens.length
    }
    counts[name] = n
  }
  for (let round = 0; round < Number(rounds); round++) {
    const names = Object.keys(rows)
    for (let i = 0; i < names.length; i++) {
      const name = names[(round + i) % names.length]
      taken[name].push(run(rows[name], tokens, counts[name]) / counts[name])
    }
  }
  return { tokens: tokens.length, taken }
}

const measured = files.map(measure)
console.log(JSON.stringify({ node: process.version, measured, sink: sink > 0 }))
