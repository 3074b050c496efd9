"""What applications get to see of each refusal of an MCP request: the tables of subtoken_mcp(7), each cell with the real client. For
test_mcp.py."""
from mcp_front import *

PAGE = os.path.join(os.path.dirname(TESTS), "src", "man", "subtoken_mcp.7")
MODES = {"default": "default", "auto": "auto", "pinned": "pin", "sdk": "sdk"}
# Answers that others give, nginx's own limits among them; the client's request asks for them.
OTHERS = """if ($http_x_answer = 429) { return 429 '{"text":"too many requests"}'; }
    if ($http_x_answer = 413) { return 413 '{"text":"too long"}'; }
    if ($http_x_answer = 503) { return 503 '{"text":"try again later"}'; }"""


def tables():
    """Of each: {answer: {mode: word}}."""
    with open(PAGE) as f:
        found = re.findall(r"^\.Bd -literal\n(answer .*?)^\.Ed", f.read(), re.S | re.M)
    for block in found:
        head, *rows = [re.split(r"  +", line.strip()) for line in block.splitlines()]
        assert head == ["answer", *MODES]
        yield {row[0]: dict(zip(MODES, row[1:])) for row in rows}


def check(word, answer, error, mode):
    """Is this error what the page says?"""
    status = int(answer[:3])
    if word == "shown":
        assert error["class"] == ("StreamableHTTPError" if mode == "sdk" else "SdkHttpError"), error
        assert (error["code"] if mode == "sdk" else error["status"]) == status, error
        assert '{"text":"' in error["message"] or "jsonrpc" in error["message"] and answer == "400 mismatch", error
    elif word == "scope":
        assert error["class"] == "InsufficientScopeError", error
        assert error.get("scope") == ("admin" if answer == "403 with a scope" else None), error
    elif word == "rpc":
        assert (error["class"], error["code"]) == ("ProtocolError", -32020), error
    else:
        code = {"login": "CLIENT_HTTP_AUTHENTICATION", "failed": "ERA_NEGOTIATION_FAILED", "no offer": "ERA_NEGOTIATION_FAILED"}[word]
        kind, told = ("SdkError", None) if word == "no offer" else ("SdkHttpError", status)
        assert (error["class"], error["code"], error.get("status")) == (kind, code, told), error


def provoke(n):
    """What a request of the application has to have for each answer: headers, and the length of what it searches; and the headers
    of one that passes."""
    token = n.agent_token()
    good = {"Authorization": "Bearer " + token}
    return {"401": ({"Authorization": "Bearer " + token[:-2]}, 1),
            "403 with a scope": (good, 1), "403 for the URL": ({"Authorization": "Bearer " + n.agent_token(urls="/other")}, 1),
            "403 by the policy": (good, 1), "400 mismatch": (dict(good, **{"Mcp-Name": "admin"}), 1),
            "400 credentials": (dict(good, **{"X-API-Key": "another"}), 1), "413": (good, 300000),
            "415": (dict(good, **{"Content-Encoding": "gzip"}), 1), "429": (dict(good, **{"X-Answer": "429"}), 1),
            "503": (dict(good, **{"X-Answer": "503"}), 1)}, good


@test
def while_it_connects():
    connecting, _ = tables()
    assert len(connecting) == 9
    with front(server=OTHERS) as n:
        headers, good = provoke(n)
        headers["413"] = (dict(good, **{"X-Answer": "413"}), 1)  # what a client begins with is never long
        headers["403 with a scope"] = ({"Authorization": "Bearer " + n.agent_token("admin")}, 1)
        for answer, words in connecting.items():
            for name, word in words.items():
                path = "/nowhere" if answer == "403 by the policy" else "/mcp"
                said = mcp.agent(n.url(path), MODES[name], headers=headers[answer][0])
                posts = [status for method, _, status in said["requests"] if method == "POST"]
                assert posts == [int(answer[:3])] * (2 if word == "old" else 1), (answer, name, said)
                error = dict(said["connect"], scope="admin") if said["connect"].get("scope") == "mcp" else said["connect"]
                check("shown" if word == "old" else word, answer, error, name)


@test
def in_a_call():
    _, calls = tables()
    assert len(calls) == 9
    with front(server=OTHERS) as n:
        headers, good = provoke(n)
        do = []
        for answer in calls:
            with_it, length = headers[answer]
            do += [["with", with_it], ["tool", "admin" if answer == "403 with a scope" else "search", {"q": "x" * length}],
                   ["with", good], ["tool", "search", {"q": "y"}]]
        for name, mode in MODES.items():
            said = mcp.agent(n.url(), mode, *do, headers=good)
            results = [r for r in said["results"] if r.get("text") != "with"]
            assert len(results) == 2 * len(calls), said
            for (answer, words), refused, after in zip(calls.items(), results[::2], results[1::2]):
                assert "error" in refused, (answer, name, refused)
                check(words[name], answer, refused["error"], name)
                assert after == {"text": "found y"}, (answer, name, after)
