#!/usr/bin/python3
"""PyJWT (python3-jwt from Debian) and subtoken, each reading what the other wrote.

usage: test_pyjwt.py PROGRAM
"""
import base64
import hashlib
import hmac
import json
import os
import random
import subprocess
import sys
import tempfile
import time

import jwt

PROGRAM = os.path.abspath(sys.argv[1])
PERMISSIONS = ["account", "guilds", "inventories", "progression", "a.b:c/d", "~!*"]
URLS = ["/v2/account", "/v2/characters/My%20Cool%20Character", "/v2/characters/*", "GET:/v2/a+b",
        "/v2/Zo%C3%AB", "POST:/v2/mail/*"]
RANDOM = random.Random(20261122)
done = {"count": 0, "failed": 0}


def tap(good, name, why=""):
    done["count"] += 1
    if not good:
        done["failed"] += 1
    print(f"{'ok' if good else 'not ok'} {done['count']} - pyjwt: {name}")
    if not good and why:
        print("# " + str(why).replace("\n", "\n# "))


def run(*words, given="", data=None):
    command = [PROGRAM, *words] + (["--data", data] if data else [])
    made = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60)
    if made.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: exit {made.returncode}: {made.stderr}")
    return made.stdout


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def ring_of(data):
    """kid -> secret, from the secrets file; the unnamed one is ''."""
    with open(os.path.join(data, "secrets"), encoding="ascii") as file:
        return {line.split(":")[0]: unbase64url(line.split(":")[1].strip()) for line in file}


def pyjwt_reads(token, secret):
    """The claims, or None. Held to what our verifier holds tokens to."""
    try:
        if jwt.get_unverified_header(token).get("typ", "JWT") != "JWT":
            return None
        return jwt.decode(token, secret, algorithms=["HS256"], leeway=60,
                          options={"require": ["exp", "iat", "sub"], "verify_aud": False})
    except jwt.PyJWTError:
        return None


def subtoken_reads(lines, secrets):
    """One answer for each line of verify --jsonl."""
    given = "".join(json.dumps(line) + "\n" for line in lines)
    out = run("verify", "--secrets", secrets, "--no-revocations", "--jsonl", given=given)
    answers = [json.loads(line) for line in out.splitlines()]
    if len(answers) != len(lines):
        raise RuntimeError(f"{len(lines)} lines in, {len(answers)} out")
    return answers


def ours_to_them(data, key):
    """Tokens of `subtoken issue`, read by PyJWT: the claims are those asked for."""
    wrong = []
    for _ in range(40):
        permissions = RANDOM.sample(PERMISSIONS, RANDOM.randint(0, len(PERMISSIONS)))
        urls = RANDOM.sample(URLS, RANDOM.randint(0, 3))
        life = RANDOM.randint(100, 300 * 86400)
        expire = int(time.time()) + life
        words = ["issue", "--permissions", ",".join(permissions), "--expire",
                 time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expire))]
        if urls:
            words += ["--urls", ",".join(urls)]
        before = int(time.time())
        token = run(*words, given=key + "\n", data=data).strip()
        kid = jwt.get_unverified_header(token).get("kid", "")
        claims = pyjwt_reads(token, ring_of(data)[kid])
        want = {"permissions": permissions, "exp": expire}
        if urls:
            want["urls"] = urls
        got = {name: value for name, value in (claims or {}).items() if name not in ("sub", "iat")}
        order = ["sub", "iat", "exp", "permissions"] + (["urls"] if urls else [])
        if got != want or not before <= claims["iat"] <= time.time() or list(claims) != order:
            wrong.append((words, token, claims))
    return wrong


def random_claims(now):
    claims = {
        "sub": "".join(RANDOM.choices("abcXYZ019_-", k=RANDOM.randint(1, 128))),
        "iat": now - RANDOM.randint(0, 1000),
        "exp": now + RANDOM.randint(30, 10**6),
        "permissions": RANDOM.sample(PERMISSIONS, RANDOM.randint(0, 6)),
    }
    if RANDOM.random() < 0.4:
        claims["urls"] = RANDOM.sample(URLS, RANDOM.randint(1, 6))
    if RANDOM.random() < 0.2:
        claims["nbf"] = claims["iat"]
    if RANDOM.random() < 0.2:
        claims["sid"] = "".join(RANDOM.choices("abcXYZ019_-", k=RANDOM.randint(1, 64)))
    if RANDOM.random() < 0.2:
        claims["iss"] = "https://example.com/\u00e9"
    if RANDOM.random() < 0.2:
        claims["x-" + "\U0001F600" * RANDOM.randint(1, 3)] = {"any": [1.5, None, True, "\\\"\n"]}
    names = list(claims)
    RANDOM.shuffle(names)
    return {name: claims[name] for name in names}


def theirs_to_us(secret, secrets):
    """Random claims, signed by PyJWT."""
    now, lines, all_claims = int(time.time()), [], []
    for _ in range(400):
        claims = random_claims(now)
        token = jwt.encode(claims, secret, algorithm="HS256")
        line = {"token": token, "require": claims["permissions"]}
        if "urls" in claims:
            entry = claims["urls"][0]
            method, _, path = entry.rpartition(":")
            line["method"] = method or "GET"
            line["url"] = path.replace("*", "x/y") + "?q=1"
        lines.append(line)
        all_claims.append(claims)
    answers = subtoken_reads(lines, secrets)
    return [(claims, line, answer) for claims, line, answer in zip(all_claims, lines, answers)
            if answer != {"ok": True} or pyjwt_reads(line["token"], secret) != claims]


def signed(header, payload, secret, digest=hashlib.sha256):
    """Parts that PyJWT would not write."""
    text = base64url(header.encode()) + "." + base64url(payload.encode())
    return text + "." + base64url(hmac.new(secret, text.encode(), digest).digest())


def wrong_tokens(secret):
    """(name, token) that both have to refuse."""
    now = int(time.time())
    good = {"sub": "s", "iat": now, "exp": now + 600, "permissions": ["account"]}
    text, header = json.dumps(good), '{"alg":"HS256","typ":"JWT"}'

    def made(**changes):
        claims = {**good, **changes}
        return jwt.encode({n: v for n, v in claims.items() if v is not None}, secret,
                          algorithm="HS256")

    token = made()
    head, body, mac = token.split(".")
    other = base64url(json.dumps({**good, "permissions": ["account", "admin"]}).encode())
    yield "alg none, no signature", jwt.encode(good, None, algorithm="none")
    yield "alg none, the old signature", base64url(b'{"alg":"none"}') + f".{body}.{mac}"
    yield "alg None", signed('{"alg":"None"}', text, secret)
    yield "no alg", signed("{}", text, secret)
    yield "alg null", signed('{"alg":null}', text, secret)
    yield "alg hs256", signed('{"alg":"hs256"}', text, secret)
    yield "alg of another kind", signed('{"alg":"RS256"}', text, secret)
    yield "HS384", jwt.encode(good, secret, algorithm="HS384")
    yield "HS512", jwt.encode(good, secret, algorithm="HS512")
    yield "HS256 with the MAC of SHA-512", signed(header, text, secret, hashlib.sha512)
    yield "typ of another kind", signed('{"alg":"HS256","typ":"at+jwt"}', text, secret)
    yield "another secret", jwt.encode(good, secret[::-1], algorithm="HS256")
    yield "the empty secret", jwt.encode(good, b"", algorithm="HS256")
    yield "expired", made(iat=now - 1000, exp=now - 61)
    yield "iat ahead", made(iat=now + 90)
    yield "nbf ahead", made(nbf=now + 90)
    yield "no exp", made(exp=None)
    yield "no iat", made(iat=None)
    yield "no sub", made(sub=None)
    yield "exp is text", made(exp="soon")
    yield "exp is null", signed(header, json.dumps({**good, "exp": None}), secret)
    yield "iat is text", made(iat="now")
    yield "nbf is text", made(nbf="now")
    yield "claims are a list", signed(header, "[]", secret)
    yield "claims are text", signed(header, '"x"', secret)
    yield "claims are no JSON", signed(header, text[:-1], secret)
    yield "header is no JSON", signed(header[:-1], text, secret)
    yield "header is a list", signed("[]", text, secret)
    yield "claims are no UTF-8", f"{head}.{base64url(b'{' + bytes([255]) + b'}')}.{mac}"
    yield "payload exchanged", f"{head}.{other}.{mac}"
    yield "payload left out", f"{head}..{mac}"
    yield "signature left out", f"{head}.{body}."
    yield "two parts", f"{head}.{body}"
    yield "four parts", f"{token}.{mac}"
    yield "nothing", ""
    yield "only dots", ".."
    yield "signature cut", token[:-4]
    yield "signature longer", token + "AAAA"
    for at in range(0, len(token), 7):
        if token[at] != "." and at != len(token) - 1:
            yield f"character {at} exchanged", (token[:at] + ("A" if token[at] != "A" else "B")
                                                + token[at + 1:])


def refused_by_both(secret, secrets):
    wrong = list(wrong_tokens(secret))
    answers = subtoken_reads([{"token": token} for _, token in wrong], secrets)
    bad = [name for (name, token), answer in zip(wrong, answers)
           if answer.get("ok") is not False or answer.get("status") not in (400, 401)
           or pyjwt_reads(token, secret) is not None]
    return len(wrong), bad


def main():
    with tempfile.TemporaryDirectory() as scratch:
        data = os.path.join(scratch, "data")
        key = json.loads(run("key", "create", "--name", "oracle", "--permissions",
                             ",".join(PERMISSIONS), "--json", data=data))["key"]
        secrets = os.path.join(data, "secrets")
        wrong = ours_to_them(data, key)
        tap(not wrong, "40 tokens of ours are read with the claims asked for", wrong[:2])
        token = run("issue", "--permissions", "account", given=key, data=data).strip()
        tap(unbase64url(token.split(".")[0]) == b'{"alg":"HS256","typ":"JWT"}',
            "the header is exactly the one that clients know", token)
        secret = ring_of(data)[""]
        wrong = theirs_to_us(secret, secrets)
        tap(not wrong, "400 tokens of theirs are accepted", wrong[:2])
        count, wrong = refused_by_both(secret, secrets)
        tap(not wrong, f"{count} wrong tokens are refused by both", wrong)
        run("secret", "rotate", data=data)
        kids = [kid for kid in ring_of(data) if kid]
        wrong = ours_to_them(data, key)
        tap(len(kids) == 1 and not wrong, "and after a rotation, under its kid", wrong[:2])
        token = run("issue", "--permissions", "account", given=key, data=data).strip()
        tap(jwt.get_unverified_header(token).get("kid") == kids[0], "which the header names", token)
        line = {"token": jwt.encode(random_claims(int(time.time())) | {"urls": ["/a"]},
                                    ring_of(data)[kids[0]], algorithm="HS256",
                                    headers={"kid": kids[0]}), "url": "/a"}
        tap(subtoken_reads([line], secrets) == [{"ok": True}], "theirs with a kid is accepted")
        line["token"] = jwt.encode(random_claims(int(time.time())), secret, algorithm="HS256",
                                   headers={"kid": kids[0]})
        answer = subtoken_reads([line], secrets)[0]
        tap(answer == {"ok": False, "status": 401, "reason": "mac"},
            "but not one of another secret under that kid", answer)
    print(f"1..{done['count']}")
    return 1 if done["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
