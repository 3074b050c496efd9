"""Calls of the service by curl, one function each: keys, users, sessions, exchanges."""
from support import *
from urllib.parse import urlencode

INVALID = {"text": "Invalid access token"}
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS, JWT = ("urn:ietf:params:oauth:token-type:" + t for t in ("access_token", "jwt"))
VENDOR = "/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken"


def user(data, *args, **more):
    return run("user", *args, data=data, check=more.pop("check", 0), **more)


def call(server, method, path, credential=None, body=None, *args):
    """One call with curl: body is a dict for JSON; credential is Bearer text, or (username, password)."""
    words = ["-X", method, *args]
    if isinstance(credential, tuple):
        words += ["-u", ":".join(credential)]
    elif credential:
        words += bearer(credential)
    if body is not None:
        words += ["-H", "Content-Type: application/json", "--data-binary", json.dumps(body)]
    return curl(server.url + path, *words)


def log_in(server, name="alice", password=PASSWORD):
    return call(server, "POST", "/v1/auth/login", None, {"login": name, "password": password})


def refresh(server, token):
    return call(server, "POST", "/v1/auth/refresh", None, {"token": token})


def status(server, credential, path="/v2/tokeninfo"):
    return call(server, "GET", path, credential).status


def new_key(server, credential, permissions=("account",), **more):
    return call(server, "POST", "/v2/keys", credential,
                dict({"name": "n", "permissions": list(permissions)}, **more))


def changes_of(key):
    """Of what a manager may ask for: (method, path, body)."""
    path = "/v2/keys/" + key["id"]
    return [("POST", path + "/rotate", {"overlap": "1h"}), ("PATCH", path, {"disabled": False}),
            ("POST", "/v2/keys", {"name": "n", "permissions": ["account"]}), ("DELETE", path, None)]


def made_after_its_end(data, manager):
    """The actions in the audit log by this key that stand after its deletion."""
    lines = run("audit", "--json", data=data, check=0)[1].splitlines()
    entries = sorted((json.loads(l) for l in lines), key=lambda e: e["id"])
    ends = [e["id"] for e in entries if (e["action"], e["target"]) == ("key.delete", manager["id"])]
    assert len(ends) == 1, entries
    return [e["action"] for e in entries if e["id"] > ends[0] and e["who"] == "key " + manager["id"]]


def exchange(server, *args, **parameters):
    asked = {"grant_type": EXCHANGE, "subject_token_type": ACCESS, **parameters}
    return curl(server.url + "/oauth/token", "--data",
                urlencode({n: v for n, v in asked.items() if v is not None}), *args)


def refused(answer, status, text=""):
    assert answer.status == status and text in answer.body, (answer.status, answer.body)
    if status == 401:
        assert answer.json() == INVALID and answer.header("WWW-Authenticate").startswith("Bearer")
    return True


EXAMPLE = {"password_hash_b64": "9e9GF7ooXVb9k4BoSfNIPTelXeGOZ5DrgOYMj94elaY=",
           "password_salt_b64": "INDdM6iCi/8="}


def access_file(*users):
    path = os.path.join(scratch(), "api-access.json")
    with open(path, "w") as f:
        json.dump({"permission_map": [[name, dict(hashes, allowed_apis=apis)]
                                      for name, hashes, apis in users]}, f, indent=1)
    return path


def imported(data, path, *args, check=0):
    code, out, err = run("import", path, *args, data=data, check=check)
    return (out if code == 0 else err).strip()
