"""What the tests of the commands share: `verify` and its explanation as (status, reason), tokens signed by hand, rings
with known secrets, access files, and texts that no terminal may be shown."""
import sqlite3
from support import *


NOW = 1800000000  # 2027-01-15T08:00:00Z
DAY = 86400


def claims(**other):
    c = {"sub": "s" * 43, "iat": NOW, "exp": NOW + DAY, "permissions": ["account"]}
    c.update(other)
    return {k: v for k, v in c.items() if v is not None}


def ring_of(data):
    return dict(read_ring(os.path.join(data, "secrets")))


def ring_file(lines):
    return private_file("".join("%s:%s\n" % (kid, b64(secret)) for kid, secret in lines), "ring")


K0, K1, K2 = (hashlib.sha256(b"test key %d" % i).digest() for i in range(3))
RING = ring_file([("", K0), ("k1", K1), ("long_name-2", K2)])


def verdict(token, *options, data=None, secrets=RING, stdin=None):
    """(status, reason) of one token, asked in both forms, which must agree."""
    if secrets:
        options += ("--secrets", secrets)
    if data is None:
        options += ("--no-revocations",)
    stdin = token if stdin is None else stdin
    code, out, err = run("verify", *options, data=data, stdin=stdin)
    assert code in (0, 1), (options, code, out, err)
    said = re.match(r"refused (\d+) ([a-z_]+)", out)
    got = (200, "ok") if out.startswith("good until ") else (int(said[1]), said[2])
    assert (code == 0) == (got[0] == 200) and out.count("\n") == 1, (code, out)
    code2, out2, _ = run("verify", "--json", *options, data=data, stdin=stdin)
    want = {"ok": True} if got[0] == 200 else {"ok": False, "status": got[0], "reason": got[1]}
    assert code2 == code and json.loads(out2) == want, (out2, want)
    return got


def is_(got, status, reason):
    assert got == (status, reason), "%s, wanted %s" % (got, (status, reason))


# What makes a terminal reorder the rest of the line, or start another one.
CONTROLS = re.compile("[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]")


def explain(token, *options, data=None, secrets=RING):
    """What stands behind `refused STATUS REASON: `, or all of it."""
    options += ("--secrets", secrets) if secrets else ()
    options += ("--no-revocations",) if data is None else ()
    p = subprocess.run([PROGRAM, "verify", *options] + (["--data", data] if data else []),
                       input=token.encode(), capture_output=True)
    out = p.stdout.decode()  # strictly: no half of a character
    assert p.returncode in (0, 1) and out.count("\n") == 1 and out.endswith("\n"), (options, p)
    assert not CONTROLS.search(out) and not re.search("[\u200e\u200f\u061c]", out), out
    said = re.match(r"refused \d\d\d ([a-z_]+): (.*)\n", out)
    return (said[1], said[2]) if said else ("ok", out[:-1])


HOSTILE = "\x1b[31m\u202e\u0085\u200f\n"
SHOWN = r"\x1b[31m\xe2\x80\xae\xc2\x85\xe2\x80\x8f\x0a"
SHOWN_LINE = SHOWN[:-4]  # without the line's end, which no argument of ours has


EXAMPLE = {"password_hash_b64": "9e9GF7ooXVb9k4BoSfNIPTelXeGOZ5DrgOYMj94elaY=",
           "password_salt_b64": "INDdM6iCi/8="}


def access_file(names):
    path = os.path.join(scratch(), "api-access.json")
    with open(path, "w") as f:
        json.dump({"permission_map": [[l, dict(EXAMPLE, allowed_apis=["database_api"])] for l in names]}, f)
    return path


def edited(data, statement, *values):
    with sqlite3.connect(db_of(data)) as db:
        db.execute(statement, values)
    db.close()
