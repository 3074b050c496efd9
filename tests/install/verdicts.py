"""verdicts.c over the Python binding: the same questions, the same answers. And
`layout STRUCT FIELD`, in the struct's mirror -> its size, the field's offset and size."""
import ctypes, logging, sys

import subtoken

logging.disable(logging.CRITICAL)
STRUCTS = {"subtoken_" + c.__name__.lower().lstrip("_"): c for c in (
    subtoken._Text, subtoken._Slice, subtoken._Claims, subtoken._Secret, subtoken._Ring,
    subtoken._Verifier, subtoken._Request)}
subs = {}
ring = None
verifier = None


def text(field):
    """As str wherever that is the same, since that is what most programs hold."""
    return None if field == "-" else bytes.fromhex(field).decode("utf-8", "surrogateescape")


def raw(field):
    return bytes.fromhex(field)


def texts(field):
    return None if field == "-" else [text(item) for item in field.split(",")[:-1]]


def hexed(value):
    if value is None:
        return "-"
    return (value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")).hex()


def listed(values):
    return "-" if values is None else "".join(hexed(v) + "," for v in values)


def claims_of(c):
    if c is None:
        return "-"
    return ";".join([hexed(c.sub), str(c.iat), str(c.exp), str(c.nbf or 0), hexed(c.iss),
                     listed(c.permissions), listed(c.urls), hexed(c.sid), listed(c.aud),
                     listed(c.via), hexed(c.tid)])


def revoked(name):
    # The names of the tests are no tids but where they mean one.
    state = subs.get(name, "good" if len(name) == 16 else "revoked")
    if state == "raise":
        raise RuntimeError("no list")
    return {"good": False, "revoked": True, "unsure": None}[state]


def do_version():
    subtoken.load()
    return [subtoken._library().c.subtoken_version().decode()]


def do_ring(content):
    global ring
    try:
        ring = subtoken.Ring.from_text(text(content))
    except subtoken.RingError as e:
        return [e.result, str(e.line)]
    return ["ok", "0"]


def do_verifier(leeway, max_life, iss, aud, mode):
    global verifier
    how = {"asks": {"revoked": revoked}, "without": {"without_revocations": True}, "none": {}}
    verifier = subtoken.Verifier(ring, leeway=int(leeway), max_life=int(max_life), iss=text(iss),
                                 aud=text(aud), **how[mode])
    return ["ok"]


def do_sub(sub, state):
    subs[text(sub)] = state
    return ["ok"]


def asked(now, method, target, needs):
    return dict(now=int(now), method=text(method), target=text(target), needs=texts(needs) or ())


def do_verify(now, method, target, needs, token):
    v = verifier.verify(text(token), **asked(now, method, target, needs))
    assert bool(v) == v.ok == (v.result == "ok") == (v.claims is not None)
    return [v.result, str(v.status), hexed(v.challenge), claims_of(v.claims)]


def do_explain(now, method, target, needs, token):
    return [hexed(verifier.explain(text(token), **asked(now, method, target, needs)))]


def do_inspect(token):
    try:
        seen = subtoken.inspect(text(token))
    except subtoken.Error as e:
        return [e.result, "-", "-"]
    return ["ok", hexed(seen.header), claims_of(seen.claims)]


def do_match(urls, method, target):
    of = subtoken.Claims("s", 1, 2, None, None, (), None) if urls == "-" else texts(urls)
    return [subtoken.url_match(of, text(target), text(method)).result]


def do_allows(entry, method, target):
    return [subtoken.url_allows(text(entry), text(target), text(method)).result]


def do_covers(outer, inner):
    return [subtoken.url_covers(text(outer), text(inner)).result]


def canonical(function, value):
    try:
        return ["ok", hexed(function(text(value))), "none"]
    except subtoken.UrlError as e:
        return [e.result, "-", e.fault]


def do_canonical(entry):
    return canonical(subtoken.url_canonical, entry)


def do_path(target):
    return canonical(subtoken.target_path, target)


def do_mac(secret, data):
    try:
        return ["ok", hexed(subtoken.mac(raw(secret), raw(data)))]
    except subtoken.RingError as e:
        return [e.result, "-"]


def do_check(secret, data, mac):
    try:
        return ["ok" if subtoken.mac_check(raw(secret), raw(data), raw(mac)) else "mac"]
    except subtoken.RingError as e:
        return [e.result]


def do_layout(struct, field):
    mirror = STRUCTS[struct]
    at = getattr(mirror, field)
    return [str(ctypes.sizeof(mirror)), str(at.offset), str(at.size)]


for line in sys.stdin:
    verb, *fields = line.rstrip("\n").split("\t")
    print("\t".join(globals()["do_" + verb](*fields)))
