"""Each command with a call of it failing: one call of malloc, open, write, fsync, rename … at a time, or all from there
on, or the process killed there; and none of it leaves anything half done (faulty.py). SUBTOKEN_FAULTS=all goes through
every way in the code to such a call, in hours, SUBTOKEN_FAULTS=2 through two of each kind in every command; else a few
of some commands."""
import feed
import postgres
from commands import EXAMPLE
from datadir import *
from faulty import *

LONG = os.environ.get("SUBTOKEN_FAULTS", "")
MOST = int(LONG) if LONG.isdigit() else 40  # of each kind in each command


def template():
    """A site with keys, users, files to import, to copy from, and to verify by."""
    if "template" not in _made:
        root = os.path.join(scratch(), "site")
        os.mkdir(root)
        site = Site(root)
        if STORE == "postgres":
            cluster = postgres.shared()
            site = PostgresSite(root, cluster, cluster.database())
            on_store(site.data, cluster.uri(site.database))
        ids = {}
        for name in ("first", "second", "third"):
            key = make_key(site.data, name=name)
            ids[name] = key["id"]
            write(site.path(name), key["key"])
            write(site.path(name + ".id"), key["id"])
        make_user(site.data, "alice")
        make_user(site.data, "bob")
        write(site.path("token"), issue(site.data, key["key"]))
        run("secret", "add", "--kid", "winter", data=site.data, check=0)
        write(site.path("access.json"), json.dumps({"permission_map": [
            ["carol", dict(EXAMPLE, allowed_apis=["database_api"])], ["dave", dict(EXAMPLE, allowed_apis=[])]]}))
        os.mkdir(site.path("feed"))
        feed.FeedFiles(site.path("feed/revoked"), read_ring(secrets_of(site.data))[0]).publish(
            ["of nobody"], at=time.time() + 30, sequence=int(time.time() * 1e6) + 10 ** 9)
        write(site.path("policy"), '{"default":"deny","routes":[{"path":"/a","needs":["account"]}]}')
        _made["template"] = site
        _made["ids"] = ids
    return _made["template"]


_made, _expected = {}, {}


def word(name):
    return _made["ids"][name]


def of(name):
    return lambda site: site.read(name).decode()


def cases():
    """On PostgreSQL without those about a store in DATA."""
    template()
    every = [
        Case("version", reads=True), Case("help", reads=True), Case("completion bash", reads=True),
        Case("key create --name new --permissions account"),
        Case("key create --name first-of-all --permissions account", fresh=True),
        Case("key hash", stdin="a-string-of-my-own-long-enough", reads=True),
        Case("key list --json", reads=True), Case("key list", reads=True),
        Case("key show " + word("first"), reads=True),
        Case("key disable " + word("first")), Case("key rotate " + word("first")),
        Case("key rotate " + word("first") + " --overlap 24h"),
        Case("key delete " + word("first"), again=1), Case("key revoke-subtokens " + word("first")),
        Case("user create carol --permissions account", stdin=PASSWORD + "\n", again=1),
        Case("user list --json", reads=True), Case("user show alice", reads=True),
        Case("user permissions alice account"), Case("user passwd alice", stdin="another " + PASSWORD + "\n"),
        Case("user disable alice"), Case("user delete alice", again=1),
        Case("issue --permissions account", stdin=of("first")),
        Case("verify", stdin=of("token"), reads=True), Case("inspect", stdin=of("token"), reads=True),
        Case("revoke", stdin=of("token")),
        Case("secret list", reads=True), Case("secret add --kid spring", again=1, apart=("facts", "audit")), Case("secret promote winter", apart=("facts", "audit")),
        Case("secret rotate --kid spring", again=1, apart=("facts", "audit")), Case("secret retire winter --force", again=1, apart=("facts", "audit")),
        Case("secret derive --audience eu", reads=True),
        Case("policy check @policy", reads=True), Case("saltpass", stdin=PASSWORD + "\n"),
        Case("store status --json"), Case("backup @copy.db", again=3),
        Case("store copy --from @var --to @other.db", again=1),
        Case("import @access.json"), Case("import @access.json --dry-run", reads=True),
        Case("feed status @feed/revoked", reads=True), Case("feed restore @feed/revoked"),
        Case("verify --revocations @feed/revoked", stdin=of("token"), reads=True),
        Case("audit --json", reads=True),
    ]
    return [c for c in every if not STORE or not c.fresh and not c.words.startswith("store copy")]


def explore(case, kinds, most, problems, **options):
    """Attempts of a case with a call of these kinds failing, of each kind at most so many: how many there were. What is
    wrong is added to problems."""
    if case.name not in _expected:
        _expected[case.name] = Expected(case, template())
    expected, tried = _expected[case.name], 0
    f = faults.Faults("subtoken")

    def attempt(n):
        site = case.start(template())
        result = case.run(site, f.env())
        f.disarm()
        if n and f.failed():
            where = f.explain(PROGRAM, 32)
            problem = wrong(case, expected, site, result, kind, options.get("action"), where)
            if problem:
                problems.append("%s: %s %d %s: %s\n    at %s" % (case.name, kind, n, options, problem, where))
                print("# " + problems[-1], flush=True)
        site.remove()

    for kind in kinds:
        # libsqlite3 does not look at what pthread_mutex_init says; glibc's never fails like this.
        own = {"object": "-"} if kind == "mutex" else {}
        tried += sum(1 for _ in f.each_site(kind, attempt, most=most, spare_stderr=True, **own, **options))
    return tried


# In CI: a command of each sort, and a few calls of each sort in it.
FEW = ("key create --name new ",) if STORE else ("key create", "key list --json", "secret rotate", "backup")
NETWORK = "socket,connect,resolve,send,recv,poll"
SORTS = ["memory", NETWORK] if STORE else ["memory", "open,read,stat,map,lock,seek,close,mode", "write,sync,truncate,rename,unlink,mkdir,flush,random"]
EVERY = [k for k in faults.KINDS if k not in ("accept", "bind", "fork", "exec")]


def over_all(kinds, most, **options):
    tried, problems = 0, []
    for case in cases():
        if LONG or case.words.startswith(FEW):
            count = explore(case, EVERY if LONG and kinds is SORTS else kinds, MOST if LONG else most, problems, **options)
            tried += count
            if LONG:
                print("# %s: %d" % (case.name, count), flush=True)
    print("# %d faults" % tried)
    assert not problems, "%d of %d faults, the first: %s" % (len(problems), tried, problems[0])
    assert tried >= len(FEW)


@test
def one_call_that_fails_leaves_nothing_half_done():
    over_all(SORTS, 1 if STORE else 2)


@test
def nor_do_all_from_there_on():
    # Without any lock SQLite waits for as long as for another process, twice.
    kinds = [sort.replace(",lock", "") for sort in SORTS[1:]]
    over_all([k for k in EVERY if k != "lock"] if LONG else kinds, 1, times=faults.FOREVER)


@test
def nor_does_a_short_read_or_write():
    over_all(["send,recv" if STORE else "read,write"], 1, action=faults.SHORT)


@test
def nor_does_a_death():
    over_all(["send,recv" if STORE else "write,sync,truncate,rename,unlink"], 1 if STORE else 2, action=faults.KILL_AFTER)


main()
