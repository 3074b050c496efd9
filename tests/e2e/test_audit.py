"""The audit log: a line for every change, by whom and from where."""
from calls import *


def after_the_ring(lines):
    """In a database that others may share the first line is that of the ring."""
    if STORE:
        assert lines[0]["action"] == "secret.add" and re.fullmatch("the first ring of this store: [0-9a-f]{16}", lines[0]["detail"]), lines[0]
        return lines[1:]
    return lines


@test
def every_change_is_in_the_audit_log():
    with Server() as server:
        make_user(server.data, "root", "keys,users,audit,account")
        pair = log_in(server, "root").json()
        token = pair["access_token"]
        key = new_key(server, token, name="worker").json()
        call(server, "PATCH", "/v2/keys/" + key["id"], token, {"disabled": True})
        call(server, "PATCH", "/v2/keys/" + key["id"], token, {"disabled": False})
        call(server, "PATCH", "/v2/keys/" + key["id"], token, {"name": "other"})
        call(server, "POST", "/v2/keys/%s/revoke-subtokens" % key["id"], token)
        call(server, "POST", "/v1/user", token, {"login": "eve", "password": PASSWORD})
        call(server, "DELETE", "/v2/keys/" + key["id"], token)
        user(server.data, "delete", "eve")
        lines = [json.loads(l) for l in run("audit", "--json", data=server.data, check=0)[1].splitlines()]
        every, lines = lines, after_the_ring(lines)
        actions = [l["action"] for l in lines]
        assert actions == ["user.create", "login.begin", "key.create", "key.disable", "key.enable",
                           "key.rename", "key.revoke_subtokens", "user.create", "key.delete",
                           "user.delete"], actions
        assert lines[2]["who"] == "person root" and lines[2]["from"] == "127.0.0.1"
        assert lines[2]["target"] == key["id"] and "worker" in lines[2]["detail"]
        assert lines[0]["from"] == "command line" and lines[0]["who"].startswith("user ")
        pages, before = [], ""
        while before is not None:
            page = call(server, "GET", "/v2/audit?limit=4" + before, token).json()
            pages += page["entries"]
            before = "&before=%d" % page["next"] if "next" in page else None
        assert [e["id"] for e in pages] == [l["id"] for l in every][::-1]
        assert pages[0]["action"] == "user.delete"
        refused(call(server, "GET", "/v2/audit", make_key(server.data)["key"]), 403, "audit")
        refused(call(server, "GET", "/v2/audit", issue(server.data, token, "--permissions", "audit")), 403)
        refused(call(server, "GET", "/v2/audit"), 401)
        for words in (("add", "--kid", "winter"), ("promote", "winter"), ("rotate", "--kid", "spring"),
                      ("retire", "winter", "--force")):
            run("secret", *words, data=server.data, check=0)
        last = run("audit", "--limit", "4", "--json", data=server.data, check=0)[1].splitlines()
        assert [(json.loads(l)["action"], json.loads(l)["target"]) for l in last] == [
            ("secret.add", "winter"), ("secret.promote", "winter"), ("secret.rotate", "spring"),
            ("secret.retire", "winter")]
        text = run("audit", data=server.data, check=0)[1] + json.dumps(pages)
        for secret in (PASSWORD, token, pair["refresh_token"], key["key"], "argon2"):
            assert secret not in text


@test
def the_audit_log_has_ring_changes_and_escapes_odd_names():
    data = data_dir()
    forged = "eve  by key 0 from 192.0.2.1"
    make_user(data, forged, "")
    for words in (("add", "--kid", "a"), ("promote", "a"), ("rotate", "--kid", "b"),
                  ("retire", "a", "--force"), ("retire", "-", "--force")):
        run("secret", *words, data=data, check=0)
    run("secret", "retire", "b", data=data, check=1)  # it signs: nothing was changed
    lines = [json.loads(l) for l in run("audit", "--json", data=data, check=0)[1].splitlines()]
    assert [(l["action"], l["target"]) for l in after_the_ring(lines)] == [
        ("user.create", forged), ("secret.add", "a"), ("secret.promote", "a"),
        ("secret.rotate", "b"), ("secret.retire", "a"), ("secret.retire", "-")], lines
    assert all(l["who"].startswith("user ") and l["from"] == "command line" for l in lines)
    # a username with spaces is told apart from what follows it
    text = run("audit", data=data, check=0)[1].splitlines()[1 if STORE else 0]
    assert '"%s"  by user ' % forged in text, text

main()
