"""The nginx module under load: reloads, its memory, and requests of every kind at once."""
import random
from nginx import *


def page(n):
    """A file for nginx to serve by itself: `return` would come before the module."""
    os.mkdir(os.path.join(n.dir, "www"), 0o755)
    with open(os.path.join(n.dir, "www", "a"), "w") as f:
        f.write("page")
    os.chmod(f.name, 0o644)


def storm(n, count, tokens, threads=8):
    """Requests on kept connections, at least so many and until the last but one of the returned is set: what
    runs, what came that was not what should have come, the event, and how many are left."""
    wrong, left, lock, enough = [], [count], threading.Lock(), threading.Event()

    def work(number):
        client = Client(n.socket)
        try:
            while True:
                with lock:
                    left[0] -= 1
                    if left[0] < 0 and enough.is_set():
                        return
                    i = left[0]
                token, want = tokens[i % len(tokens)]
                while True:
                    try:
                        client.send("/a?access_token=%s&n=%d" % (token, i))
                        answer = client.receive()
                        break
                    except (OSError, AssertionError, ValueError):
                        client.close()  # nginx ends what it has kept when it reloads
                        client = Client(n.socket)
                if answer.status not in want:
                    wrong.append((answer.status, want, answer.body))
        except Exception as error:
            wrong.append(repr(error))
        finally:
            client.close()
    running = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
    for each in running:
        each.start()
    return running, wrong, enough, left


@test
def reloads_under_load_fail_no_request():
    """SIGHUP after SIGHUP while requests come: every answer is right, and no worker is left over."""
    n = Nginx("subtoken on; subtoken_policy %(dir)s/policy.json; location / { root %(dir)s/www; }", workers=2)
    policy(n, {"default": "token"})
    page(n)
    with n:
        good = n.token()
        tokens = [(good, (200,)), (forged(good), (401,)), ("key", (401,)), (n.token("--urls", "/b"), (403,))]
        count = 3000 if SANITIZER else 12000
        running, wrong, enough, left = storm(n, count, tokens)
        reloads = 0
        while reloads < 30 or left[0] > 0:
            n.reload()
            reloads += 1
            time.sleep(0.05)
        enough.set()
        for each in running:
            each.join()
        assert not wrong, wrong[:5]
        wait(lambda: len(n.workers()) == 2, "the old workers end")


def resident(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


@test
def no_memory_is_lost():
    """The worker's memory after many requests of every kind is what it was after the first thousands.
    NGINX_REQUESTS=1000000 makes it a million."""
    count = int(os.environ.get("NGINX_REQUESTS", 10000 if SANITIZER else 100000))
    end = Endpoint()
    end.say["Bearer KEY"] = (200, {"X-Subtoken-Sub": "s", "X-Subtoken-Permissions": "account"})
    n = Nginx("""subtoken on; subtoken_fallback /ask; subtoken_policy %(dir)s/policy.json;
      location / { root %(dir)s/www; }
      location = /ask { internal; subtoken off; proxy_pass http://api/v2/authorize; }""", answer=end,
              main="", workers=1)
    policy(n, {"default": "token"})
    page(n)
    with n:
        good = n.token()
        tokens = [(good, (200,)), (forged(good), (401,)), ("KEY", (200,)), (n.token("--urls", "/b"), (403,))]
        marks = []
        for part in range(4):
            running, wrong, enough, left = storm(n, count // 4, tokens)
            enough.set()
            # Files change all the while.
            while any(t.is_alive() for t in running):
                policy(n, {"default": "token", "routes": [{"path": "/x%d" % i} for i in range(500)]})
                n.feed.publish(["nobody"], hashes=range(1, 1 << 64, (1 << 64) // 20000))
                share(n.secrets)
                time.sleep(0.2)
            assert not wrong, wrong[:5]
            marks.append(resident(n.workers()[0]))
        assert n.log().count("\n") >= count, n.log().count("\n")
        # Two snapshots of 180 kB and two policies may lie there at a time; what is lost with each
        # request would be more: a hundred bytes each are ten megabytes.
        slack = 40000 if SANITIZER else 3000
        assert marks[3] - marks[1] < slack, marks
        print("# resident kB after each quarter of %d requests: %s" % (count, marks))


# ---- all of it at once ----

EVERYTHING = """subtoken on; subtoken_fallback /ask; subtoken_policy %(dir)s/policy.json; underscores_in_headers on;
  if ($subtoken_sub) { set $early 1; }
  location / { limit_req zone=z burst=50 nodelay; limit_conn c 100; error_page 401 403 /login; error_page 503 = /busy;
    proxy_pass http://api; }
  location /login { set $to $request_uri; proxy_pass http://api$to; }
  location /busy { return 503 "busy $subtoken_sub"; }
  location /slow { limit_req zone=s burst=20; proxy_pass http://api; }
  location /page { ssi on; ssi_types *; proxy_pass http://api; }
  location /adm/ { rewrite ^/adm/(.*)$ /$1 break; proxy_pass http://api; }
  location /any { satisfy any; deny all; auth_basic x; auth_basic_user_file %(dir)s/users; proxy_pass http://api; }
  location /deny { deny all; error_page 403 /login; proxy_pass http://api; }
  location /front { try_files /none /index; }
  location /asked { auth_request /inner; mirror /mirror; proxy_pass http://api; }
  location /inner { internal; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass http://api; }
  location /mirror { internal; proxy_pass http://api; }
  location /dead { proxy_pass http://unix:%(dir)s/nobody:; error_page 502 = @named; }
  location @named { subtoken_require inventories; proxy_pass http://api; }"""
LIMITS = """limit_req_zone $subtoken_sub zone=z:1m rate=1000r/s; limit_conn_zone $subtoken_sub zone=c:1m;
  limit_req_zone $host zone=s:1m rate=50r/s;"""
PATHS = ["/a", "/login", "/slow", "/page", "/adm/x", "/any", "/deny", "/front/a", "/index", "/accel", "/asked", "/rpc",
         "/dead", "/a//b", "/busy"]


def everything_policy(n, rng):
    routes = [{"path": "/login", "public": True}, {"path": "/adm/*", "needs": ["account"]},
              {"path": "/rpc", "json_rpc": True, "needs": ["account"]}, {"path": "/index", "public": rng.random() < 0.5}]
    policy(n, {"default": "token", "routes": routes})


def at_random(n, rng, credentials, left, wrong):
    """Requests of every kind on kept connections, and callers that leave: until none are left."""
    client = Client(n.socket)
    while left.pop() if left else False:
        method, headers = rng.choice(["GET", "GET", "POST", "HEAD"]), rng.sample(FORGED, rng.randrange(4))
        credential = rng.choice(credentials)
        body = rng.choice([b"", b'{"method":"x","params":[]}', b"x" * 3000]) if method == "POST" else None
        if credential:
            headers.append("Authorization: " + credential)
        if body and rng.random() < 0.2:
            headers.append("Expect: 100-continue")
        leaves = rng.random() < 0.05
        try:
            client.send(rng.choice(PATHS) + rng.choice(["", "?x=1", "?access_token=KEY", "?access_token=%4"]), method, headers, body)
            answer = None if leaves else client.receive(method == "HEAD")
            if answer and answer.status not in (200, 400, 401, 403, 503):
                wrong.append((answer.status, answer.body))
        except (BrokenPipeError, ConnectionResetError, AssertionError):
            leaves = True  # after a refusal without a look at the body, and when nginx reloads
        if leaves or answer.header("Connection") == "close":
            client.close()
            client = Client(n.socket)
    client.close()


@test
def random_requests_of_every_kind_get_their_due_answer():
    """Redirects, subrequests, questions, limits, bodies and callers that leave, while policies change and nginx
    reloads: no forged name reaches an upstream, nothing is answered by accident, and nothing of a request is
    touched when it has ended (which the address sanitizer sees)."""
    rng = random.Random(5)
    n, end = with_endpoint(EVERYTHING, http=LIMITS, workers=2)
    everything_policy(n, rng)
    with open(os.path.join(n.dir, "users"), "w") as f:
        f.write("u:{PLAIN}p\n")
    os.chmod(f.name, 0o644)
    pages = ["/adm/x", "/a/y", "/rpc", "/deny", "/any", "/accel", "/front/z", "/dead", "/login"]

    forged = []

    def answer(asked):
        path = asked["target"].split("?")[0]
        if "root" in identity(asked["headers"]).values():
            forged.append(asked)
        if path == "/page":
            return 200, [("Content-Type", "text/html")], "".join('<!--# include virtual="%s" -->' % p for p in rng.sample(pages, 5))
        if path == "/accel":
            return 200, [("X-Accel-Redirect", rng.choice(["/login", "/adm/q", "/index", "/a"]))], ""
        if path == "/v2/authorize" and rng.random() < 0.05:
            return 500, [], ""
        return end(asked)
    n.upstream.answer = answer
    end.say["Basic dTpw"] = (200, KEY)
    credentials = [None, "Bearer KEY", "Bearer WRONG", "Basic dTpw", "Basic dTpx"]
    for i in range(20):
        end.say["Bearer K%d" % i] = (200, dict(KEY, **{"X-Subtoken-Sub": "k%d" % i}))
        credentials.append("Bearer K%d" % i)
    with n:
        credentials += ["Bearer " + t for t in (n.token(), n.token("--permissions", "account"), n.token() + "x")]
        left, wrong = [True] * (2500 if SANITIZER else 8000), []
        running = [threading.Thread(target=at_random, args=(n, random.Random(i), credentials, left, wrong)) for i in range(8)]
        for each in running:
            each.start()
        while any(each.is_alive() for each in running):
            everything_policy(n, rng)
            n.feed.beat()
            del n.upstream.seen[:-50]
            if rng.random() < 0.1:
                n.reload()
            time.sleep(0.2)
        assert not left and not wrong and not forged, (len(left), wrong[:3], forged[:1])


main()
