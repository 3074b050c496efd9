"""Writes lineage.json: the secrets that are derived for audiences, and tokens with an audience or with the ids of
those that they were made from. It knows RFC 5869, RFC 7515 and the contract, and nothing of the library.
usage: lineage.py [> lineage.json]"""
import base64, hashlib, hmac, json

NOW = 1700000000
SECRETS = {"": bytes(range(100, 132)), "winter": bytes(range(7, 71)), "z" * 31: hashlib.sha256(b"lineage").digest()}
AUDIENCES = ["eu", "A", "a-b_C9", "x" * 32]


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def hkdf(key, audience):
    """RFC 5869: section 2.2 with no salt, section 2.3 with one block."""
    pseudorandom = hmac.new(bytes(32), key, hashlib.sha256).digest()
    return hmac.new(pseudorandom, b"subtoken aud 1:" + audience.encode() + b"\x01", hashlib.sha256).digest()


def sign(key, claims, kid=None, header=None):
    header = header or {"alg": "HS256", "typ": "JWT"} | ({} if kid is None else {"kid": kid})
    text = ".".join(b64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return text + "." + b64(hmac.new(key, text.encode(), hashlib.sha256).digest())


def tid(token):
    return token.rpartition(".")[2][:16]


def claims(aud=None, via=None, sub="s_good", permissions=("account",), **more):
    made = {"sub": sub, "iat": NOW - 10, "exp": NOW + 100}
    if aud is not None:
        made["aud"] = aud
    made |= {"permissions": list(permissions)}
    if via is not None:
        made["via"] = via
    return made | more


def ring(kids, audience=None):
    lines = []
    for kid in kids:
        key = SECRETS[kid] if audience is None else hkdf(SECRETS[kid], audience)
        lines.append("%s%s:%s\n" % (kid, "" if audience is None else "." + audience, b64(key)))
    return "".join(lines)


def rings():
    both = ["", "winter"]
    return {"plain": ring(both), "eu": ring(both, "eu"), "us": ring(both, "us"), "eu unnamed": ring([""], "eu")}


def cases():
    rows = []

    def row(id, ring, aud, token, reason, revoked=(), why=""):
        rows.append({"id": id, "ring": ring, "aud": aud, "revoked": list(revoked), "token": token, "tid": tid(token),
                     "reason": reason, "why": why})

    key, eu = SECRETS["winter"], hkdf(SECRETS["winter"], "eu")
    # ---- the id of a token, and of those that it was made from ----
    root = sign(key, claims(), "winter")
    child = sign(key, claims(via=[tid(root)]), "winter")
    grandchild = sign(key, claims(via=[tid(root), tid(child)]), "winter")
    deepest = sign(key, claims(via=["%016d" % i for i in range(8)]), "winter")
    for name, token, others in (("root", root, []), ("child", child, [root]), ("grandchild", grandchild, [root, child])):
        row("via/%s-good" % name, "plain", None, token, "ok")
        row("via/%s-revoked" % name, "plain", None, token, "revoked", [tid(token)])
        row("via/%s-sub-revoked" % name, "plain", None, token, "revoked", ["s_good"])
        for i, other in enumerate(others):
            row("via/%s-ancestor-%d-revoked" % (name, i), "plain", None, token, "revoked", [tid(other)])
    row("via/child-does-not-end-parent", "plain", None, root, "ok", [tid(child), tid(grandchild)])
    row("via/sibling", "plain", None, child, "ok", [tid(grandchild)])
    row("via/eight", "plain", None, deepest, "ok")
    row("via/eighth-revoked", "plain", None, deepest, "revoked", ["%016d" % 7])
    for name, wrong in (("nine", ["%016d" % i for i in range(9)]), ("empty", []), ("short", ["x" * 15]),
                        ("long", ["x" * 17]), ("dot", ["x" * 15 + "."]), ("number", [1]), ("null", None),
                        ("string", "x" * 16), ("object", {}), ("blank", [""]), ("nested", [["x" * 16]])):
        made = claims()
        made["via"] = wrong
        row("via/" + name, "plain", None, sign(key, made, "winter"), "claims")
    twice = '{"sub":"s_good","iat":%d,"exp":%d,"permissions":[],"via":["%s"],"via":["%s"]}' % (NOW, NOW + 9, "a" * 16, "b" * 16)
    text = b64(b'{"alg":"HS256","typ":"JWT","kid":"winter"}') + "." + b64(twice.encode())
    row("via/twice", "plain", None, text + "." + b64(hmac.new(key, text.encode(), hashlib.sha256).digest()), "malformed")
    row("via/before-urls", "plain", None, sign(key, claims() | {"via": [tid(root)], "urls": ["/*"]}, "winter"), "ok",
        why="the order of claims is free")
    row("via/escaped", "plain", None,
        (lambda t: t + "." + b64(hmac.new(key, t.encode(), hashlib.sha256).digest()))(
            b64(b'{"alg":"HS256","typ":"JWT","kid":"winter"}') + "." + b64(
                json.dumps(claims(via=["~" + "a" * 15]), separators=(",", ":")).encode().replace(b"~", b"\\u0062"))),
        "revoked", ["b" + "a" * 15], "an escape does not hide an id")
    # ---- audiences and derived secrets ----
    good = sign(eu, claims("eu"), "winter.eu")
    unnamed = sign(hkdf(SECRETS[""], "eu"), claims("eu"), ".eu")
    for name, token in (("named", good), ("unnamed", unnamed)):
        row("aud/%s-derived-ring" % name, "eu", None, token, "ok")
        row("aud/%s-derived-ring-told" % name, "eu", "eu", token, "ok")
        row("aud/%s-derived-ring-told-another" % name, "eu", "us", token, "aud")
        row("aud/%s-another-ring" % name, "us", None, token, "kid")
        row("aud/%s-plain-ring" % name, "plain", None, token, "aud", why="nobody told it to be eu")
        row("aud/%s-plain-ring-told" % name, "plain", "eu", token, "ok")
        row("aud/%s-plain-ring-told-another" % name, "plain", "us", token, "aud")
    row("aud/kid-not-in-ring", "eu unnamed", None, good, "kid")
    row("aud/unknown-base", "plain", "eu", sign(eu, claims("eu"), "summer.eu"), "kid")
    for name, ring_name, aud in (("plain-ring", "plain", "eu"), ("plain-ring-untold", "plain", None), ("derived-ring", "eu", None)):
        for what, made in (("another", claims("us")), ("none", claims()), ("two", claims(["eu", "us"])),
                           ("two-alike", claims(["eu", "eu"])), ("empty", claims("")), ("case", claims("EU")),
                           ("longer", claims("eu1")), ("no-list", claims([]))):
            row("aud/%s-claims-%s" % (name, what), ring_name, aud, sign(eu, made, "winter.eu"), "aud",
                why="the secret of eu signs for eu and nothing else")
        row("aud/%s-number" % name, ring_name, aud, sign(eu, claims(1), "winter.eu"), "claims")
    row("aud/list-of-one", "eu", None, sign(eu, claims(["eu"]), "winter.eu"), "ok", why="RFC 7519 section 4.1.3: the same")
    row("aud/edge-mints-plain", "plain", "eu", sign(eu, claims("eu"), "winter"), "mac")
    row("aud/edge-mints-unnamed", "plain", None, sign(eu, claims()), "mac")
    row("aud/edge-mints-for-us", "plain", "us", sign(eu, claims("us"), "winter.us"), "mac")
    row("aud/edge-mints-at-us", "us", None, sign(eu, claims("us"), "winter.us"), "mac")
    row("aud/edge-derives-again", "plain", "us", sign(hkdf(eu, "us"), claims("us"), "winter.us"), "mac")
    row("aud/kid-twice-derived", "plain", "us", sign(hkdf(eu, "us"), claims("us"), "winter.eu.us"), "kid")
    for kid in ("winter.", "winter..eu", ".winter.eu", "winter.e u", "winter.e/u", "winter." + "x" * 33, "."):
        row("aud/kid-%s" % kid, "plain", "eu", sign(eu, claims("eu"), kid), "kid")
    row("aud/plain-secret", "plain", None, sign(key, claims("eu"), "winter"), "ok", why="as ever: aud counts where it is named")
    row("aud/plain-secret-told", "plain", "eu", sign(key, claims("eu"), "winter"), "ok")
    row("aud/plain-secret-at-edge", "eu", None, sign(key, claims("eu"), "winter"), "kid")
    row("aud/plain-at-told", "plain", "eu", sign(key, claims(), "winter"), "aud")
    row("aud/alg-none", "plain", "eu", sign(eu, claims("eu"), header={"alg": "none", "kid": "winter.eu"}), "alg")
    row("aud/revoked", "eu", None, good, "revoked", [tid(good)])
    row("aud/via-revoked", "plain", "eu", sign(eu, claims("eu", [tid(good)]), "winter.eu"), "revoked", [tid(good)])
    row("aud/order-kid-mac", "plain", "eu", good[:-2] + ("AA" if good[-2:] != "AA" else "EA"), "mac")
    return rows


def made():
    answers = [{"kid": kid, "secret": secret.hex(), "audience": audience, "derived_kid": kid + "." + audience,
                "derived": hkdf(secret, audience).hex()} for kid, secret in SECRETS.items() for audience in AUDIENCES]
    return {"note": "Made by lineage.py. reason: what a verifier says that knows `revoked` to be revoked and all else "
                    "good, at `now`, for GET /v2/account with the permission account, with `aud` as its audience.",
            "now": NOW, "hkdf": answers, "rings": rings(), "cases": cases()}


def text():
    file = made()
    lines = ["{", ' "note": %s,' % json.dumps(file["note"]), ' "now": %d,' % NOW]
    for name in ("hkdf", "cases"):
        lines += [' "%s": [' % name, ",\n".join("  " + json.dumps(row) for row in file[name]), " ],"]
    return "\n".join(lines) + '\n "rings": %s\n}\n' % json.dumps(file["rings"])


if __name__ == "__main__":
    print(text(), end="")
