"""subtoken_cache of the nginx module: its sizes, what it holds and when that is wiped, and that nothing which is decided
about a token is remembered. What the library promises of a cache is in tests/unit/test_cache.c."""
import random
from nginx import *

KIB = 1024
# The end of a mapping tells what it held: the address sanitizer's own come first, so they are called last.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
int munmap(void *memory, size_t size) {
  int (*next)(void *, size_t) = (int (*)(void *, size_t))dlsym(RTLD_NEXT, "munmap");
  if (size == 3 * 64 * 1024) {
    size_t held = 0;
    for (size_t i = 0; i < size; i++) held += ((char *)memory)[i] != 0;
    char text[64];
    int len = snprintf(text, sizeof text, "cache %zu bytes held\n", held);
    if (write(2, text, (size_t)len) != len) return -1;
  }
  return next(memory, size);
}
"""


def hidden(pid):
    """The worker's mappings that a core dump leaves out: [(start, end)]. Those of the address sanitizer are huge."""
    found, span = [], None
    for line in open("/proc/%d/smaps" % pid):
        at = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) ", line)
        if at:
            span = (int(at.group(1), 16), int(at.group(2), 16)) if at.group(3) == "rw-p" else None
        elif span and line.startswith("VmFlags:") and " dd" in line and span[1] - span[0] < 64 << 20:
            found.append(span)
    return found


def held(n, text):
    """How often the workers' hidden mappings hold this text."""
    count = 0
    for pid in n.workers():
        with open("/proc/%d/mem" % pid, "rb") as memory:
            for start, end in hidden(pid):
                memory.seek(start)
                count += memory.read(end - start).count(text.encode())
    return count


def size(n):
    """Bytes of the hidden mappings without those of the keyrings, which are less than 64 KiB together."""
    total = sum(end - start for pid in n.workers()[:1] for start, end in hidden(pid))
    return total // (64 * KIB) * 64 * KIB


@test
def sizes_are_read_and_wrong_ones_named():
    n = Nginx(ON)
    for good in ("off", "0", "16k", "16384", "512K", "4m", "1g"):
        n.configure(server="subtoken_cache %s; %s" % (good, ON))
        assert n.check()[0] == 0, (good, n.check())
    for bad, text in (("16383", '"16383" is too small: the minimum is 16k, and off is none'), ("15k", '"15k" is too small: the minimum is 16k'),
                      ("1", "the minimum is 16k"), ("2g", "is larger than 1g"), ("some", "takes a size, such as 512k or 4m, or off"),
                      ("-1", "takes a size"), ("1x", "takes a size"), ("99999999999999999999", "takes a size"), ("''", "takes a size"),
                      ("16k 16k", "invalid number of arguments"), ("16k; subtoken_cache off", "is duplicate")):
        n.configure(server="subtoken_cache %s; %s" % (bad, ON))
        code, out = n.check()
        assert code != 0 and text in out and "nginx.conf:" in out, (bad, out)


@test
def a_ring_has_the_largest_cache_that_a_location_asks_for():
    n = Nginx("""subtoken on; location / { proxy_pass http://api; }
      location /large { subtoken_cache 256k; proxy_pass http://api; }
      location /off { subtoken_cache off; proxy_pass http://api; }
      location /not { subtoken off; subtoken_cache 8m; proxy_pass http://api; }
      location /other { subtoken_secrets %(dir)s/other; subtoken_revocations off; subtoken_cache 128k; proxy_pass http://api; }""",
              http="subtoken_cache 64k;")
    other = ("other", os.urandom(32))
    with open(os.path.join(n.dir, "other"), "w") as f:
        f.write("other:" + base64.urlsafe_b64encode(other[1]).rstrip(b"=").decode() + "\n")
    share(f.name)
    now = int(time.time())
    of_other = jwt(other, {"sub": "s" * 43, "iat": now, "exp": now + 600, "permissions": []})
    with n:
        wait(lambda: size(n) == (256 + 128) * KIB, "the memory of a worker that has started")
        first, second = n.token(), n.token("--permissions", "account")
        for _ in range(2):
            assert n.status("/off", token=first) == 200
        assert held(n, first) == 0, "nothing is remembered where it is off"
        assert n.status("/", token=first) == 200 and held(n, first) == 1
        assert n.status("/large", token=first) == 200 and held(n, first) == 1, "the locations of a ring share it"
        assert n.status("/off", token=second) == 200 and n.status("/large", token=second) == 200 and held(n, second) == 1
        # Each ring has its own, and what one holds is nothing to the other.
        assert n.status("/other", token=of_other) == 200 and held(n, of_other) == 1
        for _ in range(2):
            assert n.status("/", token=of_other) == 401 and result(n) == "kid"
            assert n.status("/other", token=first) == 401 and result(n) == "kid"
        assert held(n, of_other) == held(n, first) == 1
    with n.configure(http="", server=ON):
        wait(lambda: size(n) == KIB * KIB, "the default")
    with n.configure(server="subtoken_cache off; subtoken on; location / { root /; }"):
        assert n.status("/", token=n.token()) in (403, 404), "nginx has no such file"
        assert size(n) == 0 and len(hidden(n.workers()[0])) > 0, "that of the keyring"


@test
def nothing_that_was_decided_is_remembered():
    n = Nginx("""subtoken on; location / { proxy_pass http://api; } location /need { subtoken_require characters; proxy_pass http://api; }
      location /short { subtoken_max_life 10; proxy_pass http://api; } location /now { subtoken_leeway 0; proxy_pass http://api; }
      location /policy { subtoken_policy %(dir)s/policy.json; proxy_pass http://api; }""")
    policy(n, {"default": "token"})
    with n:
        t, now = n.token("--urls", "/a,/need,/short,/policy,/now"), int(time.time())
        for _ in range(2):
            assert identity_sent(n.ask("/a", token=t)) == of_token(t) and held(n, t) == 1
            assert n.status("/b", token=t) == 403 and result(n) == "url"
            assert n.ask("/need", token=t).body == '{"text":"requires scope characters"}'
            assert n.status("/short", token=t) == 401 and result(n) == "ttl"
            assert n.status("/policy", token=t) == 200
            assert n.status("/a/../b", token=t) == 400
        policy(n, {"default": "deny"})
        wait(lambda: n.status("/policy", token=t) == 403, "the new policy")
        # Revoked while it is held, and no longer revoked.
        n.feed.publish([sub_of(t)])
        wait(lambda: n.status("/a", token=t) == 401, "the revocation")
        assert result(n) == "revoked" and n.status("/policy", token=t) == 401 and held(n, t) == 1
        n.feed.publish(["nobody"])
        wait(lambda: n.status("/a", token=t) == 200, "the end of the revocation")
        # It ends while it is held.
        short = jwt(n.signer, {"sub": "s" * 43, "iat": now, "exp": int(time.time()) + 2, "permissions": []})
        assert n.status("/now", token=short) == 200 and held(n, short) == 1
        wait(lambda: n.status("/now", token=short) == 401, "its end", 10)
        assert result(n) == "expired" and n.status("/a", token=short) == 200, "within the leeway of that location"
        # Nothing but the token itself is found, in whatever form it comes.
        assert n.status("/a", "X-API-Key: " + t) == 200 and n.status("/a?access_token=" + t) == 200 and held(n, t) == 1
        rng = random.Random(3)
        for at in [0, len(t) - 1, t.index("."), t.rindex(".")] + [rng.randrange(len(t)) for _ in range(40)]:
            wrong = t[:at] + ("A" if t[at] != "A" else "B") + t[at + 1:]
            assert n.status("/a", token=wrong) == 401 and held(n, wrong) == 0, wrong
        assert n.status("/a", token=t[:-1]) == 401 and n.status("/a", token=t + "A") == 401
        assert n.status("/a", token=t) == 200 and held(n, t) == 1


@test
def a_changed_ring_wipes_it():
    n = Nginx("subtoken_cache 16k; " + ON, http=WORKER, workers=2)
    old = open(n.secrets).read()
    fresh = ("k2", os.urandom(32))
    line = "k2:" + base64.urlsafe_b64encode(fresh[1]).rstrip(b"=").decode() + "\n"
    with n:
        t = n.token()
        while held(n, t) < 2:
            assert n.status("/a", token=t) == 200
        replace(n.secrets, (old + line).encode()), share(n.secrets)
        wait(lambda: held(n, t) == 0, "no request is needed for that")
        assert all(n.status("/a", token=t) == 200 for _ in range(8)) and held(n, t) > 0
        # Its secret goes while requests with it come.
        replace(n.secrets, line.encode()), share(n.secrets)
        n.feed.signer = fresh
        n.feed.publish(["x"])
        wait(lambda: of_both(n, 401, t), "its secret is gone")
        assert held(n, t) == 0 and result(n) == "kid"
        # A bad file changes nothing: the ring in use stays, and what is held under it.
        now = int(time.time())
        second = jwt(fresh, {"sub": "s" * 43, "iat": now, "exp": now + 600, "permissions": []})
        while held(n, second) < 2:
            assert n.status("/a", token=second) == 200
        replace(n.secrets, b"rubbish\n"), share(n.secrets)
        wait(lambda: n.errors().count("the loaded one stays in use") == 2, "the bad ring is said")
        assert held(n, second) == 2 and n.status("/a", token=second) == 200


@test
def many_tokens_pass_through_a_small_one():
    """More than it can hold, in turns and at random: each gets its own verdict and identity."""
    n = Nginx("subtoken_cache 16k; subtoken on; location / { proxy_pass http://api; }")
    now, rng = int(time.time()), random.Random(7)
    with n:
        tokens = [jwt(n.signer, {"sub": ("s%d" % i).ljust(43, "x"), "iat": now, "exp": now + 600 + i,
                                 "permissions": rng.sample(["account", "inventories", "characters", "wallet"], rng.randrange(5))},
                      ) for i in range(60)]
        client = Client(n.socket)
        for t in tokens + tokens + [rng.choice(tokens) for _ in range(300)]:
            client.send("/a", "GET", ["Authorization: Bearer " + t])
            of = {name: value for name, value in of_token(t).items() if value}
            assert identity_sent(client.receive()) == of, t
        client.close()
        assert 0 < sum(held(n, t) for t in tokens) < 40


@test
def a_worker_that_ends_has_wiped_it():
    """When nginx reloads, and when it ends: asked at the moment at which the memory is given back."""
    n = Nginx("subtoken_cache 192k; " + ON)
    source, library = os.path.join(n.dir, "shim.c"), os.path.join(n.dir, "shim.so")
    with open(source, "w") as f:
        f.write(SHIM)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    os.chmod(library, 0o755)
    command = n.command

    def with_shim():
        cmd, env = command()
        env["LD_PRELOAD"] = " ".join(filter(None, [env.get("LD_PRELOAD"), library]))
        return cmd, env
    n.command = with_shim
    with n:
        t = n.token()
        assert n.status("/a", token=t) == 200 and held(n, t) == 1
        n.reload()
        wait(lambda: "cache 0 bytes held" in n.errors(), "the end of the first worker")
        wait(lambda: len(n.workers()) == 1, "the second worker")
        assert n.status("/a", token=t) == 200 and held(n, t) == 1
    assert n.errors().count("cache 0 bytes held") == 2 and n.errors().count("bytes held") == 2, n.errors()


main()
