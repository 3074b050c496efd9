"""GET /v2/revocations?wait=S over real sockets: an answer that is held until something changes, what ends the wait,
who is answered at once, and that the held ones keep nobody else out."""
import http.client, select, struct
from support import *

THREADS = 16   # of which 4 hold a request, and 2 of one key
SETTLED = 0.5  # seconds; what is asked is held by then, or answered
LONG = 30      # seconds; an answer that took less did not come because they were over


def server(data=None):
    return SmallServer(data, {"threads": THREADS})


class Held:
    """A request, and what comes back when it does."""

    def __init__(self, server, key, query="", tag=None):
        headers = ["If-None-Match: " + tag] if tag else []
        self.socket = socket.create_connection(("127.0.0.1", server.port))
        self.socket.sendall(request("/v2/revocations" + query, headers=headers, key=key))
        self.began = time.time()

    def is_answered(self, seconds=0):
        return select.select([self.socket], [], [], seconds)[0] != []

    def answer(self):
        """(status, headers, body, seconds that it took)"""
        self.socket.settimeout(60)
        response = http.client.HTTPResponse(self.socket)
        response.begin()
        body = response.read()
        return response.status, response.headers, body, time.time() - self.began

    def close(self):
        self.socket.close()


def ask(server, key, query="", tag=None):
    held = Held(server, key, query, tag)
    answer = held.answer()
    held.close()
    return answer


def sequence_of(headers):
    return int(headers["Subtoken-Seq"])


def time_of(headers):
    """T of the heartbeat."""
    return struct.unpack_from("<q", unb64(headers["Subtoken-Heartbeat"]), 24)[0]


def current(server, key):
    """(sequence, ETag)"""
    status, headers, _, _ = ask(server, key)
    assert status == 200, status
    return sequence_of(headers), headers["ETag"]


def edge_key(data, name="edge"):
    return make_key(data, "revocations", name=name)["key"]




@test
def a_change_is_answered_at_once():
    """By this server or by a command on the same data; to those who say `since`, or an ETag, or both."""
    with server() as s:
        key = edge_key(s.data)
        for by_command in (True, False):
            victim = make_key(s.data)
            manager = make_key(s.data, "keys")["key"]
            sequence, tag = current(s, key)
            held = [Held(s, key, "?wait=%d&since=%d" % (LONG, sequence)),
                    Held(s, edge_key(s.data, "other"), "?wait=%d" % LONG, tag),
                    Held(s, edge_key(s.data, "third"), "?since=%d&wait=%d" % (sequence, LONG), tag)]
            assert not any(h.is_answered(SETTLED) for h in held)
            if by_command:
                run("key", "delete", victim["id"], data=s.data, check=0)
            else:
                assert curl(s.url + "/v2/keys/" + victim["id"], "-X", "DELETE", *bearer(manager)).status == 204
            for h in held:
                status, headers, body, seconds = h.answer()
                assert (status, sequence_of(headers) > sequence, seconds < LONG) == (200, True, True), (
                    status, headers, seconds)
                assert headers["ETag"] != tag and len(body) > 0


@test
def without_a_change_it_is_held_to_the_end():
    """And the heartbeat is of that time."""
    with server() as s:
        key = edge_key(s.data)
        sequence, tag = current(s, key)
        before = time.time()
        held = [Held(s, key, "?wait=2", tag), Held(s, key, "?wait=2&since=%d" % sequence)]
        for h, expected in zip(held, (304, 200)):
            status, headers, _, seconds = h.answer()
            assert (status, sequence_of(headers)) == (expected, sequence), (status, headers)
            assert seconds >= 1.9 and time_of(headers) >= int(before) + 2, (seconds, time_of(headers) - before)


@test
def what_is_newer_already_is_not_held():
    with server() as s:
        key = edge_key(s.data)
        first, old_tag = current(s, key)
        run("key", "delete", make_key(s.data)["id"], data=s.data, check=0)
        sequence, tag = current(s, key)
        for query, given, expected in (("?wait=30", None, 200), ("?wait=30&since=%d" % first, None, 200),
                                       ("?wait=30", old_tag, 200),
                                       ("?wait=30&since=%d" % sequence, old_tag, 200),
                                       ("?wait=30&whole=1&since=%d" % sequence, None, 200)):
            status, headers, _, seconds = ask(s, key, query, given)
            assert status == expected and seconds < LONG, (query, given, status, seconds)
        assert ask(s, key, "?wait=30&since=%d" % (sequence + 1))[0] == 409
        assert ask(s, make_key(s.data)["key"], "?wait=30&since=%d" % sequence)[0] == 403


@test
def other_numbers_are_refused():
    with server() as s:
        key = edge_key(s.data)
        for wrong in ("0", "31", "-1", "1.5", "x", "", "01", "+1", "99999999999999999999", "5&wait=5"):
            status, _, body, _ = ask(s, key, "?since=1&wait=" + wrong)
            assert status == 400 and json.loads(body)["text"].startswith("wait: "), (wrong, status, body)
        for good in ("1", "30"):
            assert ask(s, key, "?wait=" + good)[0] == 200


@test
def when_too_many_are_held_the_oldest_is_answered():
    """Of one key, and of all; and everybody else is served meanwhile."""
    with server() as s:
        keys = [edge_key(s.data, "edge %d" % n) for n in range(5)]
        _, tag = current(s, keys[0])
        query = "?wait=%d" % LONG
        first = [Held(s, keys[0], query, tag)]
        assert not first[0].is_answered(SETTLED)
        first += [Held(s, keys[0], query, tag)]
        assert not first[1].is_answered(SETTLED)
        third = Held(s, keys[0], query, tag)
        status, _, _, seconds = first[0].answer()
        assert status == 304 and seconds < LONG, (status, seconds)
        assert not first[1].is_answered(SETTLED) and not third.is_answered()
        others = [Held(s, k, query, tag) for k in keys[1:3]]
        assert not any(h.is_answered(SETTLED) for h in [first[1], third] + others)
        fifth = Held(s, keys[3], query, tag)  # the oldest of all goes
        status, _, _, seconds = first[1].answer()
        assert status == 304 and seconds < LONG, (status, seconds)
        assert not any(h.is_answered(SETTLED) for h in [third, fifth] + others)
        for _ in range(2 * THREADS):
            assert curl(s.url + "/healthz").status == 200
            assert ask(s, keys[4])[0] == 200
        assert not any(h.is_answered() for h in [third, fifth] + others)
        run("key", "delete", make_key(s.data)["id"], data=s.data, check=0)
        assert [h.answer()[0] for h in [third, fifth] + others] == [200] * 4


@test
def a_client_that_leaves_is_noticed():
    with server() as s:
        key = edge_key(s.data)
        sequence, tag = current(s, key)
        count = len(s.requests())
        held = Held(s, key, "?wait=%d" % LONG, tag)
        assert not held.is_answered(SETTLED) and len(s.requests()) == count
        held.close()
        wait(lambda: len(s.requests()) > count, "its line in the log", LONG - 5)
        line = s.requests()[-1]
        assert line["reason"] == "client_left", line


@test
def who_is_held_is_looked_at_again():
    """A key that ends meanwhile gets nothing; another secret signs what comes afterwards."""
    with server() as s:
        made = make_key(s.data, "revocations")
        key = edge_key(s.data)
        sequence, tag = current(s, key)
        held = Held(s, made["key"], "?wait=%d" % LONG, tag)
        assert not held.is_answered(SETTLED)
        run("key", "delete", made["id"], data=s.data, check=0)
        status, headers, _, seconds = held.answer()
        assert (status, headers["Subtoken-Heartbeat"], seconds < LONG) == (401, None, True)
        run("secret", "add", "--kid", "b", data=s.data, check=0)
        sequence, tag = current(s, key)
        held = Held(s, key, "?wait=2", tag)
        assert not held.is_answered(SETTLED)
        run("secret", "promote", "b", data=s.data, check=0)
        status, headers, body, _ = held.answer()
        assert status == 200 and unb64(headers["Subtoken-Heartbeat"])[64:66] == b"b\0", headers
        after, _ = current(s, key)
        assert after == sequence_of(headers), "the sequence is taken once"


@test
def a_server_that_stops_answers_them():
    s = server().start()
    key = edge_key(s.data)
    sequence, tag = current(s, key)
    held = [Held(s, key, "?wait=%d" % LONG, tag) for _ in range(2)]
    assert not any(h.is_answered(SETTLED) for h in held)
    s.process.send_signal(signal.SIGTERM)
    for h in held:
        status, headers, _, seconds = h.answer()
        assert (status, headers["Connection"], seconds < LONG) == (304, "close", True), (status, headers, seconds)
    s.stop()
    assert "drain_timeout" not in s.log(), s.log()


@test
def two_servers_on_one_store_say_the_same():
    """Byte for byte, whoever makes a change, and whoever is asked first; a change through one ends what the other
    holds."""
    with server() as one, server(one.data) as other:
        key = edge_key(one.data)
        manager = make_key(one.data, "keys")["key"]
        keys = [make_key(one.data)["id"] for _ in range(8)]
        for number, victim in enumerate(keys):
            first, second = (one, other) if number % 2 else (other, one)
            sequence, tag = current(second, key)
            held = Held(second, key, "?wait=%d" % LONG, tag)
            assert not held.is_answered(SETTLED)
            how = ("-X", "DELETE") if number % 3 else ("-X", "PATCH", "-d", '{"disabled":true}', "-H",
                                                       "Content-Type: application/json")
            assert curl(first.url + "/v2/keys/" + victim, *how, *bearer(manager)).status in (200, 204)
            status, headers, body, seconds = held.answer()
            assert (status, sequence_of(headers) > sequence, seconds < LONG) == (200, True, True), (status, seconds)
            answers = [ask(s, key) for s in (first, second)]
            assert answers[0][2] == answers[1][2] and answers[0][1]["ETag"] == answers[1][1]["ETag"], number
            assert answers[0][1]["ETag"] == headers["ETag"]
        # One that starts anew takes a sequence, and reads all that the others have made of changes.
        other.stop()
        other.start()
        answers = [ask(s, key) for s in (other, one)]
        assert answers[0][2] == answers[1][2], "after a restart"


main()
