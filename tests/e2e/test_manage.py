"""Ending and suspending keys over HTTP: who may, what it says, and that it is in force."""
from support import *


def management(path, server, credential, method="DELETE", *args):
    return curl(server.url + "/v2/keys/" + path, "-X", method, *bearer(credential), *args)


def patched(server, credential, id, body, kind="application/json"):
    return management(id, server, credential, "PATCH", "-H", "Content-Type: " + kind,
                      "--data-binary", body)


def info(server, credential):
    return curl(server.url + "/v2/tokeninfo", *bearer(credential)).status


@test
def a_deletion_is_in_force_before_it_is_answered():
    with Server() as server:
        manager = make_key(server.data, "keys")["key"]
        last = 0
        for _ in range(20):
            victim = make_key(server.data)
            token = issue(server.data, victim["key"], "--permissions", "account")
            assert info(server, victim["key"]) == info(server, token) == 200
            answer = management(victim["id"], server, manager)
            assert answer.status == 204 and answer.body == "", answer.body
            assert int(answer.header("Subtoken-Seq")) > last
            last = int(answer.header("Subtoken-Seq"))
            assert info(server, victim["key"]) == info(server, token) == 401
            assert management(victim["id"], server, manager).status == 404
        assert abs(last / 1e6 - time.time()) < 60


@test
def disabled_and_enabled_again():
    with Server() as server:
        manager, victim = make_key(server.data, "keys")["key"], make_key(server.data)
        token = issue(server.data, victim["key"])
        off = patched(server, manager, victim["id"], '{"disabled":true}')
        told = off.json()
        assert off.status == 200 and (told["id"], told["state"]) == (victim["id"], "disabled")
        assert info(server, token) == info(server, victim["key"]) == 401
        again = patched(server, manager, victim["id"], '{"disabled":true}', "application/json; x=y")
        assert again.status == 200
        assert again.header("Subtoken-Seq") == off.header("Subtoken-Seq")
        on = patched(server, manager, victim["id"], '{"other":[{}],"disabled":false}')
        assert on.status == 200 and on.json()["disabled"] is False
        assert int(on.header("Subtoken-Seq")) > int(off.header("Subtoken-Seq"))
        assert info(server, token) == info(server, victim["key"]) == 200


@test
def subtokens_are_revoked_and_the_key_lives_on():
    with Server() as server:
        manager, victim = make_key(server.data, "keys")["key"], make_key(server.data)
        token = issue(server.data, victim["key"])
        answer = management(victim["id"] + "/revoke-subtokens", server, manager, "POST")
        assert answer.status == 204 and int(answer.header("Subtoken-Seq")) > 0
        assert info(server, token) == 401 and info(server, victim["key"]) == 200
        assert info(server, issue(server.data, victim["key"])) == 200


@test
def only_a_parent_key_with_the_permission_manages():
    with Server() as server:
        manager, plain = make_key(server.data, "keys")["key"], make_key(server.data)
        derived = issue(server.data, manager, "--permissions", "keys")
        for credential, status, text in ((plain["key"], 403, "requires scope keys"),
                                         (derived, 403, "parent key"), ("nobody", 401, "Invalid")):
            for answer in (management(plain["id"], server, credential),
                           patched(server, credential, plain["id"], '{"disabled":true}'),
                           management(plain["id"] + "/revoke-subtokens", server, credential,
                                      "POST")):
                assert answer.status == status and text in answer.json()["text"], answer.body
                assert answer.header("WWW-Authenticate").startswith("Bearer error=")
        assert curl(server.url + "/v2/keys/" + plain["id"], "-X", "DELETE").status == 401
        assert info(server, plain["key"]) == 200
        assert '"escalation"' in server.log()


@test
def what_cannot_be_read_changes_nothing():
    with Server() as server:
        manager, victim = make_key(server.data, "keys")["key"], make_key(server.data)
        id = victim["id"]
        for body, named in (("", "JSON object"), ("[]", "JSON object"), ("{}", "disabled"),
                            ('{"disabled":1}', "disabled"), ('{"disabled":null}', "one of them is required"),
                            ('{"disabled":true,"disabled":true}', "JSON object"),
                            ('{"disabled":true} x', "JSON object"), ('{"disabled":true', "JSON")):
            answer = patched(server, manager, id, body)
            assert answer.status == 400 and named in answer.json()["text"], (body, answer.body)
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
            assert patched(server, manager, id, '{"disabled":true}', kind).status == 415
        assert management(id + "/revoke-subtokens", server, manager, "POST", "-d", "x").status == 400
        by_query = curl(server.url + "/v2/keys/%s/revoke-subtokens?access_token=%s" % (id, manager),
                        "-X", "POST")
        assert by_query.status == 400 and "access_token" in by_query.json()["text"]
        for path in (id[:-1], id + "x", id + "/", id + "/other", id + "/revoke-subtokens/x",
                     id.lower(), "0" * 36, "%00" * 12, "x" * 500, ""):
            assert management(path, server, manager).status == 404, path
        for method in ("POST", "PUT"):
            answer = management(id, server, manager, method)
            assert answer.status == 405 and answer.header("Allow") == "GET, HEAD, DELETE, PATCH, OPTIONS"
        assert management(id + "/revoke-subtokens", server, manager, "DELETE").status == 405
        token = issue(server.data, victim["key"])
        assert info(server, token) == info(server, victim["key"]) == 200


@test
def browsers_may_ask_first():
    with Server() as server:
        answer = curl(server.url + "/v2/keys/" + "0" * 36, "-X", "OPTIONS", "-H", "Origin: https://x",
                      "-H", "Access-Control-Request-Method: DELETE")
        assert answer.status == 204
        assert answer.header("Access-Control-Allow-Methods") == "GET, HEAD, DELETE, PATCH, OPTIONS"
        assert answer.header("Access-Control-Allow-Credentials") is None


main()
