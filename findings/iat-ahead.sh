#!/bin/sh
# A token whose iat is half a minute ahead, as when the issuer's clock is ahead of the verifier's:
# of ten JWT libraries with their defaults, two refuse it and eight take it. RFC 7519 section 4.1.6
# gives iat no rule to refuse by; section 4.1.5 (nbf) has one, and allows a leeway.
#
# Seen 2026-11-29 (Debian 12, its Node 18):
#   PyJWT 2.6.0     refuses (ImmatureSignatureError); its leeway is 0 by default
#   hono 4.13.19    refuses (JwtTokenIssuedAt)
#   jose 6.2.18     accepts, and refuses the same token once maxTokenAge is given
#   Authlib 1.2.0 (decode and validate), python-jose 3.3.0, Crypt::JWT 0.034,
#   jsonwebtoken 9.0.3, fast-jwt 6.3.6, njwt 2.0.1, @hapi/jwt 3.2.4   accept
# So an issuer whose fresh tokens are to be good everywhere at once must not run ahead of anybody's
# clock; and a test with one of the eight says nothing about the two.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >npm.log
npm install --silent --no-audit --no-fund jose@6.2.18 jsonwebtoken@9.0.3 fast-jwt@6.3.6 \
	njwt@2.0.1 @hapi/jwt@3.2.4 hono@4.13.19 >>npm.log 2>&1
apt-get download -qq python3-jwt=2.6.0-1+deb12u1 python3-authlib=1.2.0-1+deb12u2 \
	python3-jose=3.3.0+dfsg-4 python3-ecdsa=0.18.0-3 python3-rsa=4.8-1 python3-pyasn1 \
	python3-six=1.16.0-4 python3-cryptography python3-cffi-backend libcrypt-jwt-perl=0.034-1 \
	libcryptx-perl=0.077-1+b1 libtommath1 libtomcrypt1 libjson-perl >apt.log 2>&1
for deb in *.deb; do dpkg -x "$deb" root; done
lib=$(ls -d root/usr/lib/*-linux-gnu | head -n 1)

cat >make.mjs <<'JS'
import jsonwebtoken from 'jsonwebtoken';
const now = Math.floor(Date.now() / 1000);
console.log(jsonwebtoken.sign({ sub: 'someone', iat: now + 30, exp: now + 600 },
  '0123456789abcdef0123456789abcdef', { algorithm: 'HS256' }));
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
const bytes = new TextEncoder().encode(secret);
const token = readFileSync('token', 'utf8').trim();
const look = async (name, check) => {
  try { await check(); console.log(name, 'accepts'); } catch (e) { console.log(name, 'refuses'); }
};
await look('jose', () => jose.jwtVerify(token, bytes));
await look('jose-maxTokenAge', () => jose.jwtVerify(token, bytes, { maxTokenAge: '1h' }));
await look('jsonwebtoken', () => jsonwebtoken.verify(token, secret));
await look('fast-jwt', () => createVerifier({ key: secret })(token));
await look('njwt', () => njwt.verify(token, secret));
await look('hapi', () => Hapi.token.verify(Hapi.token.decode(token),
  { key: secret, algorithm: 'HS256' }, { aud: false, iss: false, sub: false }));
await look('hono', () => verify(token, secret, 'HS256'));
JS
cat >look.py <<'PY'
import authlib.jose, jose.jwt, jwt
secret = '0123456789abcdef0123456789abcdef'
token = open('token').read().strip()
def look(name, check):
    try:
        check()
        print(name, 'accepts')
    except Exception:
        print(name, 'refuses')
look('pyjwt', lambda: jwt.decode(token, secret, algorithms=['HS256']))
look('authlib-decode', lambda: authlib.jose.jwt.decode(token, secret))
look('authlib-validate', lambda: authlib.jose.jwt.decode(token, secret).validate())
look('python-jose', lambda: jose.jwt.decode(token, secret, algorithms=['HS256']))
PY
cat >look.pl <<'PL'
use Crypt::JWT qw(decode_jwt);
open my $file, '<', 'token' or die; my $token = <$file>; chomp $token;
my $good = eval { decode_jwt(token => $token, key => '0123456789abcdef0123456789abcdef'); 1 };
print 'crypt-jwt ', $good ? "accepts\n" : "refuses\n";
PL
node make.mjs >token
node look.mjs >seen
# The interpreter that the packages were built for, not the first in PATH.
PYTHONPATH=root/usr/lib/python3/dist-packages /usr/bin/python3 look.py >>seen
LD_LIBRARY_PATH=$lib PERL5LIB=root/usr/share/perl5:$(ls -d "$lib"/perl5/*) perl look.pl >>seen
cat seen
cat >expected <<'TEXT'
jose accepts
jose-maxTokenAge refuses
jsonwebtoken accepts
fast-jwt accepts
njwt accepts
hapi accepts
hono refuses
pyjwt refuses
authlib-decode accepts
authlib-validate accepts
python-jose accepts
crypt-jwt accepts
TEXT
diff -u expected seen
