#!/bin/sh
# A JWT access token says `"typ":"at+jwt"` (RFC 9068 section 2.1), and whoever takes one has to look
# for that (section 4). Of eleven JWT libraries, given one that is signed and in force, three refuse
# it as no JWT: they take `JWT` alone, or no typ at all, though RFC 7519 section 5.1 only recommends
# `JWT` for a token that stands among other things. Hono takes it when told to (`typ: 'at+jwt'`), and
# then `JWT` no more; the two for C and C++ cannot be told. So a server whose tokens are to be read
# by whatever library its clients have writes `JWT`.
#
# Seen 2026-11-30 (Debian 12, node 20): at+jwt is
#   refused by hono 4.13.19 (JwtHeaderInvalid), libjwt 1.10.2 (EINVAL), cpp-jwt 1.4 (type mismatch)
#   taken by jose 6.2.18, jsonwebtoken 9.0.3, fast-jwt 6.3.6, njwt 2.0.1, @hapi/jwt 3.2.4,
#   PyJWT 2.6.0, Authlib 1.2.0, ruby-jwt 2.5.0
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >npm.log
npm install --silent --no-audit --no-fund jose@6.2.18 jsonwebtoken@9.0.3 fast-jwt@6.3.6 \
	njwt@2.0.1 @hapi/jwt@3.2.4 hono@4.13.19 >>npm.log 2>&1
apt-get download -qq libjwt0=1.10.2-1+deb12u1 libjwt-dev=1.10.2-1+deb12u1 libjansson4 libcpp-jwt-dev=1.4+ds-3 \
	nlohmann-json3-dev libssl-dev libssl3 python3-jwt=2.6.0-1+deb12u1 python3-authlib=1.2.0-1+deb12u2 \
	python3-cryptography python3-cffi-backend ruby-jwt=2.5.0-1+deb12u1 ruby3.1 libruby3.1 rubygems-integration \
	libyaml-0-2 libgmp10 libffi8 >apt.log 2>&1
for deb in *.deb; do dpkg -x "$deb" root; done
lib=$(ls -d root/usr/lib/*-linux-gnu | head -n 1)
cat >make.mjs <<'JS'
import { SignJWT } from 'jose';
for (const typ of ['JWT', 'at+jwt'])
  console.log(await new SignJWT({ sub: 'someone' }).setProtectedHeader({ alg: 'HS256', typ }).setExpirationTime('10m')
    .sign(new TextEncoder().encode('0123456789abcdef0123456789abcdef')));
JS
cat >look.mjs <<'JS'
import { readFileSync } from 'node:fs';
import * as jose from 'jose';
import jsonwebtoken from 'jsonwebtoken';
import { createVerifier } from 'fast-jwt';
import njwt from 'njwt';
import Hapi from '@hapi/jwt';
import { verify } from 'hono/jwt';
const secret = '0123456789abcdef0123456789abcdef';
const tokens = readFileSync('tokens', 'utf8').trim().split('\n');
async function look(name, check) {
  const seen = [];
  for (const token of tokens)
    try { await check(token); seen.push('takes'); } catch (e) { seen.push('refuses'); }
  console.log(name, ...seen);
}
await look('jose', token => jose.jwtVerify(token, new TextEncoder().encode(secret)));
await look('jsonwebtoken', token => jsonwebtoken.verify(token, secret));
await look('fast-jwt', token => createVerifier({ key: secret })(token));
await look('njwt', token => njwt.verify(token, secret));
await look('hapi', token => Hapi.token.verify(Hapi.token.decode(token),
  { key: secret, algorithm: 'HS256' }, { aud: false, iss: false, sub: false }));
await look('hono', token => verify(token, secret, 'HS256'));
await look('hono-typ', token => verify(token, secret, { alg: 'HS256', typ: 'at+jwt' }));
JS
cat >look.py <<'PY'
import authlib.jose, jwt
secret = '0123456789abcdef0123456789abcdef'
tokens = open('tokens').read().split()
def look(name, check):
    seen = []
    for token in tokens:
        try:
            check(token)
            seen.append('takes')
        except Exception:
            seen.append('refuses')
    print(name, *seen)
look('pyjwt', lambda token: jwt.decode(token, secret, algorithms=['HS256']))
look('authlib', lambda token: authlib.jose.jwt.decode(token, secret).validate())
PY
cat >look.rb <<'RB'
require 'jwt'
seen = File.read('tokens').split.map do |token|
  JWT.decode(token, '0123456789abcdef0123456789abcdef', true, { algorithm: 'HS256' }) && 'takes'
rescue JWT::DecodeError
  'refuses'
end
puts "ruby-jwt #{seen.join(' ')}"
RB
cat >look.c <<'C'
#include <jwt.h>
#include <stdio.h>
int main(void) {
  static char token[4096];
  printf("libjwt");
  while (scanf("%4095s", token) == 1) {
    jwt_t *jwt = NULL;
    int result = jwt_decode(&jwt, token, (const unsigned char *)"0123456789abcdef0123456789abcdef", 32);
    printf(result == 0 ? " takes" : " refuses");
    jwt_free(jwt);
  }
  puts("");
}
C
cat >look.cpp <<'CPP'
#include <jwt/jwt.hpp>
#include <iostream>
int main() {
  std::cout << "cpp-jwt";
  for (std::string token; std::cin >> token;) {
    std::error_code error;
    jwt::decode(token, jwt::params::algorithms({"HS256"}), error,
                jwt::params::secret("0123456789abcdef0123456789abcdef"), jwt::params::verify(true));
    std::cout << (error ? " refuses" : " takes");
  }
  std::cout << "\n";
}
CPP
gcc -Iroot/usr/include look.c -o look-c "$lib"/libjwt.so.0 -Wl,-rpath,"$lib",--allow-shlib-undefined
g++ -std=c++17 -w -Iroot/usr/include -I"root/usr/include/$(basename "$lib")" look.cpp -o look-cpp \
	"$lib"/libcrypto.so.3 -Wl,-rpath,"$lib",--allow-shlib-undefined
node make.mjs >tokens
node look.mjs >seen
# The interpreters that the packages were built for, not the first in PATH.
PYTHONPATH=root/usr/lib/python3/dist-packages /usr/bin/python3 look.py >>seen
LD_LIBRARY_PATH=$lib RUBYLIB=root/usr/lib/ruby/3.1.0:$(ls -d "$lib"/ruby/3.1.0):root/usr/share/rubygems-integration/all/gems/jwt-2.5.0/lib \
	root/usr/bin/ruby3.1 --disable-gems look.rb >>seen
LD_LIBRARY_PATH=$lib ./look-c <tokens >>seen
LD_LIBRARY_PATH=$lib ./look-cpp <tokens >>seen
cat seen
# JWT, at+jwt
cat >expected <<'TEXT'
jose takes takes
jsonwebtoken takes takes
fast-jwt takes takes
njwt takes takes
hapi takes takes
hono takes refuses
hono-typ refuses takes
pyjwt takes takes
authlib takes takes
ruby-jwt takes takes
libjwt takes refuses
cpp-jwt takes refuses
TEXT
diff -u expected seen
