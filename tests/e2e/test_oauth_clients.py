"""OAuth clients of others, each used as its own page says, against a server behind TLS: requests-oauthlib, Authlib,
golang.org/x/oauth2 and Ruby's oauth2, from Debian (those from npm: tests/oracles/oauth_clients.mjs). They log in with a
key as client credentials, refresh sessions by themselves, ask for an audience, revoke, introspect."""
import functools

from calls import *
from tls_front import TlsFront

CLIENTS = os.path.join(TESTS, "clients")


@functools.lru_cache(None)
def service():
    front = TlsFront()
    server = Server(config={"issuer": front.url, "behind_tls": True, "access_life": "5m"})
    key, asker = make_key(server.data, "account,wallet"), make_key(server.data, "introspect")
    make_user(server.data, permissions="account,wallet")
    server.start()
    front.port = server.port
    return front, server, key, asker


def client(*command, env=None):
    front = service()[0]
    env = dict(os.environ, SSL_CERT_FILE=front.cert, REQUESTS_CA_BUNDLE=front.cert, **(env or {}))
    p = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)
    assert p.returncode == 0, (command[:2], p.stdout[-2000:], p.stderr[-4000:])
    return json.loads(p.stdout)


def login():
    return json.dumps(log_in(service()[1]).json())


@test
def requests_oauthlib_logs_in_and_refreshes_by_itself():
    front, _, key, _ = service()
    told = client("/usr/bin/python3", os.path.join(CLIENTS, "requests_oauthlib.py"), front.url, key["id"], key["key"], login())
    assert told == {"body": [["account", "wallet"], ["account", "wallet"]], "basic": [["account"], ["account"]],
                    "revoked": [200, {}, 401], "wrong": 401, "refreshed": ["account", "wallet"],
                    "kept": [1, True, True]}, told


@test
def authlib_logs_in_refreshes_asks_and_revokes():
    front, _, key, asker = service()
    told = client("/usr/bin/python3", os.path.join(CLIENTS, "authlib.py"), front.url, key["id"], key["key"], login(),
                  asker["id"], asker["key"])
    each = ["account", ["account"], True, key["id"], 200, {"active": False}]
    assert told == {"client_secret_basic": each, "client_secret_post": each, "again": [["account", "wallet"], 1],
                    "refreshed": [["account", "wallet"], True], "ended": 401}, told


@test
def x_oauth2_logs_in_and_refreshes_by_itself():
    front, _, key, _ = service()
    path = os.environ.get("PATH", "") + ":/usr/lib/go-1.19/bin"
    cache = scratch()
    told = client(shutil.which("go", path=path), "run", os.path.join(CLIENTS, "xoauth2.go"), front.url, key["id"], key["key"],
                  json.loads(login())["refresh_token"],
                  env={"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": cache, "HOME": cache})
    claims = payload(told.pop("audience"))
    assert claims["aud"] == "eu" and claims["sub"] == key["sub"], claims
    assert told == {"header": ["account"], "params": ["account"], "detect": ["account"], "scope": "account wallet",
                    "valid": True, "wrong": 401, "refreshed": ["account", "wallet"], "kept": True}, told


@test
def ruby_oauth2_logs_in_and_refreshes():
    front, _, key, _ = service()
    told = client("ruby", os.path.join(CLIENTS, "oauth2.rb"), front.url, key["id"], key["key"], login())
    assert told == {"request_body": ["account", ["account"], True, "invalid_client", 400],
                    "basic_auth": ["account", ["account"], True, "invalid_client", 401], "expired": True,
                    "refreshed": [["account", "wallet"], False]}, told


@test
def the_server_stops_and_its_log_has_no_secret():
    front, server, key, asker = service()
    front.close()
    server.stop()
    for secret in (key["key"], asker["key"], PASSWORD):
        assert secret not in server.log()

main()
