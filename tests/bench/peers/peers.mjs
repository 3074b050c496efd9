// The npm peers: node peers.mjs PEER TOKENFILE SECRETFILE. What the program reads
// and prints is in peer.h. Only the chosen package is loaded.
import { createSecretKey, webcrypto } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

globalThis.crypto ??= webcrypto // Node 18, which Debian 12 has, hides it

function fastJwt (cache) {
  return async (secret) => {
    const { createVerifier } = await import('fast-jwt')
    return createVerifier({ key: secret, algorithms: ['HS256'], requiredClaims: ['exp'], cache })
  }
}

// Each takes the secret and gives a function from a token to its claims that throws
// when the token is not good. jose's gives a promise of them.
const peers = {
  'fast-jwt': fastJwt(false),
  // Its default of 1,000 entries would never hit when 1,024 tokens come in turn.
  'fast-jwt-cache': fastJwt(4096),
  async jose (secret) {
    const { jwtVerify } = await import('jose')
    const key = await crypto.subtle.importKey(
      'raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify'])
    const options = { algorithms: ['HS256'], requiredClaims: ['exp'] }
    return async (token) => (await jwtVerify(token, key, options)).payload
  },
  async jsonwebtoken (secret) {
    const { default: jwt } = await import('jsonwebtoken')
    const key = createSecretKey(secret)
    const options = { algorithms: ['HS256'] }
    return (token) => jwt.verify(token, key, options)
  }
}

function die (what) {
  console.error(what)
  process.exit(1)
}

function changed (token) {
  const at = token.length - 6
  return token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1)
}

async function refuses (verify, token) {
  try {
    await verify(token)
    return false
  } catch {
    return true
  }
}

let at = 0

// Two loops: an await for each token is jose's cost, not that of the others.
function round (verify, tokens, n) {
  for (let i = 0; i < n; i++) {
    if (!verify(tokens[at]).exp) die('no exp')
    if (++at === tokens.length) at = 0
  }
}

async function roundOfPromises (verify, tokens, n) {
  for (let i = 0; i < n; i++) {
    if (!(await verify(tokens[at])).exp) die('no exp')
    if (++at === tokens.length) at = 0
  }
}

const [peer, tokenFile, secretFile] = process.argv.slice(2)
const tokens = readFileSync(tokenFile, 'utf8').trimEnd().split('\n')
const verify = await peers[peer](readFileSync(secretFile))
if (!await refuses(verify, changed(tokens[0]))) die('accepts a changed signature')

for await (const line of createInterface({ input: process.stdin })) {
  const n = Number(line)
  const began = process.hrtime.bigint()
  try {
    if (peer === 'jose') await roundOfPromises(verify, tokens, n)
    else round(verify, tokens, n)
  } catch (error) {
    die('refuses a good token: ' + error.message)
  }
  console.log(String(process.hrtime.bigint() - began))
}
