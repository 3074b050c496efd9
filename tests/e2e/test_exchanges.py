"""Access tokens for keys and tokens: RFC 8693, and the path that existing scripts know."""
from calls import *


@test
def an_exchange_follows_rfc_8693():
    with Server(config={"access_life": "5m"}) as server:
        key = make_key(server.data, "account,wallet")
        made = exchange(server, subject_token=key["key"])
        answer = made.json()
        assert made.status == 200 and answer["token_type"] == "Bearer", made.body
        assert answer["issued_token_type"] == ACCESS and answer["scope"] == "account wallet"
        assert answer["expires_in"] == 300 and made.header("Cache-Control") == "no-store"
        claims = payload(answer["access_token"])
        assert claims["sub"] == key["sub"] and claims["exp"] - claims["iat"] == 300
        assert status(server, answer["access_token"]) == 200
        less = exchange(server, subject_token=key["key"], scope="wallet",
                        requested_token_type=JWT).json()
        assert less["scope"] == "wallet" and less["issued_token_type"] == JWT
        narrow = issue(server.data, key["key"], "--permissions", "account", "--urls",
                       "/v2/account,/oauth/token")
        kept = exchange(server, "-u", "client:secret", subject_token=narrow, subject_token_type=JWT)
        assert payload(kept.json()["access_token"])["urls"] == ["/v2/account", "/oauth/token"]
        closed = issue(server.data, key["key"], "--urls", "/v2/account")
        for error, parameters in (
                ("invalid_request", {}), ("invalid_request", {"subject_token": closed}),
                ("invalid_request", {"subject_token": "nobody"}),
                ("invalid_request", {"subject_token": key["key"], "subject_token_type": None}),
                ("invalid_request", {"subject_token": key["key"], "subject_token_type": "x"}),
                ("invalid_request", {"subject_token": key["key"], "actor_token": "x"}),
                ("invalid_request", {"subject_token": key["key"], "requested_token_type": "x"}),
                ("invalid_request", {"subject_token": key["key"], "grant_type": None}),
                ("unsupported_grant_type", {"subject_token": key["key"], "grant_type": "password"}),
                ("invalid_target", {"subject_token": key["key"], "resource": "https://x"}),
                ("invalid_target", {"subject_token": key["key"], "audience": "https://x"}),
                ("invalid_scope", {"subject_token": key["key"], "scope": "guilds"}),
                ("invalid_scope", {"subject_token": key["key"], "scope": 'a"b'})):
            bad = exchange(server, **parameters)
            assert (bad.status, bad.json()["error"]) == (400, error), (parameters, bad.body)
        run("key", "delete", key["id"], data=server.data, check=0)
        for token in (answer["access_token"], less["access_token"]):
            assert status(server, token) == 401


@test
def exchanges_over_the_rate_are_refused():
    with Server(config={"rate": {"per_second": 1, "burst": 3}}) as server:
        key = make_key(server.data)["key"]
        made = [exchange(server, subject_token=key).status,
                curl(server.url + VENDOR, "-X", "POST", *bearer(key)).status,
                call(server, "GET", "/v2/createsubtoken", key).status]
        assert made == [200] * 3
        refused(over_the_rate(lambda: exchange(server, subject_token=key)), 429, "temporarily_unavailable")
        slow = over_the_rate(lambda: curl(server.url + VENDOR, "-X", "POST", *bearer(key)))
        assert int(slow.header("Retry-After")) >= 1


@test
def the_vendor_path_gives_a_raw_token():
    with Server(config={"access_life": "5m"}) as server:
        key = make_key(server.data, "account,wallet")
        for path, args in ((VENDOR, ()), (VENDOR + "/", ("-d", "")),
                           (VENDOR, ("-H", "Content-Type: application/json", "-d", "{}"))):
            made = curl(server.url + path, "-X", "POST", *bearer(key["key"]), *args)
            assert made.status == 200 and set(made.json()) == {"RawToken", "LifeTime"}, made.body
            claims = payload(made.json()["RawToken"])
            assert claims["permissions"] == ["account", "wallet"] and claims["sub"] == key["sub"]
            assert made.json()["LifeTime"] == time.strftime("%Y-%m-%dT%H:%M:%SZ",
                                                            time.gmtime(claims["exp"]))
            assert claims["exp"] - claims["iat"] == 300
        refused(curl(server.url + VENDOR, "-X", "POST"), 401)
        refused(curl(server.url + VENDOR, *bearer(key["key"]), "-H",
                     "Content-Type: application/json", "-d", "[]"), 400)
        assert curl(server.url + VENDOR, *bearer(key["key"])).status == 405
        token = made.json()["RawToken"]
        for step, expected in (("disable", 401), ("enable", 200), ("delete", 401)):
            run("key", step, key["id"], data=server.data, check=0)
            assert status(server, token) == status(server, key["key"]) == expected

main()
