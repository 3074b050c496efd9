"""What `make install` leaves behind, used by programs that stand outside the tree: C and
C++, each against the archive and the shared library, Python, LuaJIT, and nginx."""
import functools, stat, threading

from support import *

ROOT = os.path.dirname(TESTS)
HERE = os.path.join(TESTS, "install")
PYTHON = sys.executable
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]

if SANITIZER:  # the library needs the sanitizer's own program around it
    print("1..1\nok 1 - what is installed is the plain build # SKIP under sanitizers")
    sys.exit(0)


def sh(*command, **named):
    p = subprocess.run(command, capture_output=True, text=True, **named)
    assert p.returncode == 0, (command, p.returncode, p.stdout[-3000:], p.stderr[-3000:])
    return p.stdout


def read(*path):
    with open(os.path.join(*path), errors="surrogateescape") as f:
        return f.read()


def vectors(name):
    return json.load(open(os.path.join(TESTS, "vectors", name), encoding="utf-8"))


VERSION = re.search(r'define SUBTOKEN_VERSION "(.*)"', read(ROOT, "include/subtoken/common.h"))[1]
# The minor version is part of it until 1.0: a program that was built for another is not run.
SONAME = "libsubtoken.so." + ".".join(VERSION.split(".")[:2 if VERSION.startswith("0.") else 1])


# ---- installing ----


def install(prefix, destdir=""):
    """As the strictest umask has it: what others may read must not hang on it."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    sh("make", "install", "B=" + os.path.relpath(os.path.dirname(PROGRAM), ROOT),
       "PREFIX=" + prefix, "DESTDIR=" + destdir, cwd=ROOT, env=env,
       preexec_fn=lambda: os.umask(0o077))


@functools.lru_cache(None)
def staged():
    """DESTDIR, as a distribution installs."""
    d = os.path.join(scratch(), "dest")
    install("/usr/local", d)
    return d


@functools.lru_cache(None)
def prefix():
    """Somewhere else, in use."""
    d = os.path.join(scratch(), "x")
    install(d)
    return d


def listing(root):
    """path -> (kind, mode, target of a link)"""
    found = {}
    for folder, dirs, files in os.walk(root):
        for name in dirs + files:
            path = os.path.join(folder, name)
            s = os.lstat(path)
            kind = "l" if stat.S_ISLNK(s.st_mode) else "d" if stat.S_ISDIR(s.st_mode) else "f"
            found[os.path.relpath(path, root)] = (
                kind, None if kind == "l" else stat.S_IMODE(s.st_mode),
                os.readlink(path) if kind == "l" else None)
    return found


def laid_out(root):
    found = listing(root)
    expected = {
        "bin/subtoken": 0o755,
        "lib/libsubtoken.a": 0o644,
        "lib/libsubtoken.so.%s" % VERSION: 0o644,
        "lib/pkgconfig/subtoken.pc": 0o644,
        "lib/python3/dist-packages/subtoken.py": 0o644,
        "share/lua/5.1/subtoken.lua": 0o644,
    }
    for name in os.listdir(os.path.join(ROOT, "include/subtoken")):
        expected["include/subtoken/" + name] = 0o644
    for name in os.listdir(os.path.join(ROOT, "src/man")):
        expected["share/man/man%s/%s" % (name[-1], name)] = 0o644
    for path, (kind, mode, _) in found.items():
        assert kind != "d" or mode == 0o755, (path, oct(mode))
    files = {p: v[1] for p, v in found.items() if v[0] == "f"}
    for path in sorted(set(files) - set(expected)):
        # A man page of several names has one that says where the text is.
        if path.startswith("share/man/"):
            page = re.fullmatch(r"\.so (man\d/\S+)\n", read(root, path))
            assert page and "share/man/" + page[1] in expected, path
            expected[path] = 0o644
    wrong = {p: (files.get(p), expected.get(p)) for p in set(files) | set(expected)
             if files.get(p) != expected.get(p)}
    assert not wrong, {p: [m and oct(m) for m in modes] for p, modes in wrong.items()}
    links = {p: v[2] for p, v in found.items() if v[0] == "l" and not p.startswith("share/man/")}
    assert links == {"lib/libsubtoken.so": SONAME,
                     "lib/" + SONAME: "libsubtoken.so." + VERSION}, links
    for path, (kind, _, _) in found.items():  # none leads out, none into nothing
        real = os.path.realpath(os.path.join(root, path))
        assert os.path.exists(real) and real.startswith(os.path.realpath(root) + "/"), path
    return found


@test
def the_tree_is_as_distributions_lay_it_out():
    before = laid_out(os.path.join(staged(), "usr/local"))
    assert set(listing(staged())) - {"usr/local/" + p for p in before} == {"usr", "usr/local"}
    laid_out(prefix())
    install("/usr/local", staged())  # once more changes nothing
    assert laid_out(os.path.join(staged(), "usr/local")) == before
    for folder, _, files in os.walk(staged()):
        for name in files:
            data = open(os.path.join(folder, name), "rb").read()
            assert staged().encode() not in data, (name, "tells where it was staged")
    for name in os.listdir(os.path.join(ROOT, "include/subtoken")):
        assert read(ROOT, "include/subtoken", name) == read(prefix(), "include/subtoken", name)
    assert sh(os.path.join(prefix(), "bin/subtoken"), "--version").split()[-1] == VERSION


@test
def the_bindings_mirror_this_version():
    assert '__version__ = "%s"' % VERSION in read(prefix(), "lib/python3/dist-packages/subtoken.py")
    assert '_VERSION = "%s"' % VERSION in read(prefix(), "share/lua/5.1/subtoken.lua")
    assert '_SONAME = "%s"\n' % SONAME in read(prefix(), "lib/python3/dist-packages/subtoken.py")
    assert 'local SONAME = "%s"\n' % SONAME in read(prefix(), "share/lua/5.1/subtoken.lua")


def library():
    return os.path.join(prefix(), "lib", SONAME)


@test
def the_library_exports_the_committed_names_and_needs_only_libc():
    names = read(TESTS, "symbols.txt").split()
    assert names == sorted(set(names))
    shared = sh("nm", "-D", "--defined-only", "--format=posix", library())
    exported, nodes = set(), set()
    for line in shared.splitlines():
        if line.split()[1] == "A":  # the name of a version
            nodes.add(line.split()[0])
            continue
        name, node = line.split()[0].split("@@")
        exported.add((name, node))
    assert sorted(name for name, _ in exported) == names, shared
    assert "SUBTOKEN_" + SONAME.split(".so.")[1] in nodes, shared
    assert {node for _, node in exported} == nodes, shared
    archive = sh("nm", "-g", "--defined-only", "--format=posix",
                 os.path.join(prefix(), "lib/libsubtoken.a"))
    defined = [l.split()[0] for l in archive.splitlines() if l.strip() and not l.endswith(":")]
    assert sorted(defined) == names, set(defined) ^ set(names)
    declared = set()
    for name in os.listdir(os.path.join(prefix(), "include/subtoken")):
        text = re.sub(r"/\*.*?\*/", "", read(prefix(), "include/subtoken", name), flags=re.S)
        for declaration in re.findall(r"SUBTOKEN_EXPORT [^;{]*;", text):
            declared.add(re.search(r"(subtoken_\w+)\s*\(", declaration)[1])
    assert sorted(declared) == names, declared ^ set(names)
    dynamic = sh("objdump", "-p", library())
    assert re.findall(r"SONAME +(\S+)", dynamic) == [SONAME], dynamic
    assert set(re.findall(r"NEEDED +(\S+)", dynamic)) <= {"libc.so.6"}, dynamic
    assert "RPATH" not in dynamic and "RUNPATH" not in dynamic and "TEXTREL" not in dynamic
    undefined = sh("nm", "-u", "--format=posix", os.path.join(prefix(), "lib/libsubtoken.a"))
    needs = {l.split()[0] for l in undefined.splitlines() if " " in l.strip()}
    ours = {"memcpy", "memmove", "memcmp", "memset", "strlen", "__stack_chk_fail",
            "_GLOBAL_OFFSET_TABLE_"} | {n for n in needs if re.match("__.*_chk$", n)}
    files = {"open", "close", "pread", "lseek", "stat", "fstat", "statx", "mmap", "munmap", "madvise", "nanosleep", "strnlen",
             "__errno_location"}  # of feed_file.c, which alone asks the system
    assert needs <= ours | files | {"free"}, needs - ours  # free: of an mbedTLS function nobody calls


# ---- stack ----


def frames(directory):
    """{function: bytes} and {function: functions that it calls}, as GCC compiles the library."""
    sources = [os.path.join(root, f) for folder in ("base", "core", "feed")
               for root, _, files in os.walk(os.path.join(ROOT, "src", folder))
               for f in files if f.endswith(".c")]
    objects = [os.path.join(directory, os.path.relpath(s, ROOT))[:-2] + ".o" for s in sources]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    sh("make", "-s", "-j2", "B=" + directory, "OPT=-O2 -g -fcallgraph-info=su", *objects, cwd=ROOT,
       env=env)
    size, calls = {}, {}
    for path in objects:
        graph = read(path[:-2] + ".ci")
        for name, label in re.findall(r'node: \{ title: "([^"]+)" label: "([^"]*)"', graph):
            found = re.search(r"(\d+) bytes", label)
            if found:
                size[name] = int(found[1])
        for caller, called in re.findall(r'sourcename: "([^"]+)" targetname: "([^"]+)"', graph):
            calls.setdefault(caller, set()).add(called)
    return size, calls


@test
def no_function_takes_more_stack_than_its_page_says():
    if os.uname().machine != "x86_64":
        return "the table is for x86-64"
    size, calls = frames(os.path.join(scratch(), "stack"))

    def deepest(name, above=()):
        if name in above:  # of the sort: as often as a hash has bytes
            return 0
        return 8 + size.get(name, 0) + max([deepest(c, above + (name,)) for c in calls.get(name, ())],
                                           default=0)

    page = read(ROOT, "src/man/libsubtoken.3")
    said = {n: int(k) for n, k in re.findall(r"^\.It Fn (subtoken_\w+) Ta (\d+)$", page, re.M)}
    assert len(said) > 15 and len(size) > 200, (said, len(size))
    for name in read(TESTS, "symbols.txt").split():
        most = deepest(name)
        if name == "subtoken_revocations_sort":
            most *= 8
        # What is below the table's 4 KiB leaves 1 KiB to mbedTLS, which is not measured here.
        assert most <= 1024 * said.get(name, 3), (name, most)
        assert name not in said or 1024 * said[name] < 1.5 * most, (name, most)


# ---- pkg-config ----


def pkg_config(*args, root=None, **env):
    path = os.path.join(root or prefix(), "lib/pkgconfig")
    return sh("pkg-config", *args, "subtoken",
              env=dict(os.environ, PKG_CONFIG_PATH=path, **env)).split()


@test
def pkg_config_says_where_it_is():
    p = prefix()
    sh("pkg-config", "--validate", os.path.join(p, "lib/pkgconfig/subtoken.pc"))
    assert pkg_config("--modversion") == [VERSION]
    assert pkg_config("--cflags", "--libs") == ["-I%s/include" % p, "-L%s/lib" % p, "-lsubtoken"]
    assert pkg_config("--libs", "--static") == ["-L%s/lib" % p, "-lsubtoken"]
    moved = os.path.join(scratch(), "y")
    shutil.copytree(p, moved, symlinks=True)
    assert pkg_config("--cflags", "--libs", "--define-variable=prefix=" + moved) == [
        "-I%s/include" % moved, "-L%s/lib" % moved, "-lsubtoken"]
    # What was staged: told by the sysroot where it is now, else by its PREFIX.
    local = os.path.join(staged(), "usr/local")
    assert pkg_config("--variable=prefix", root=local) == ["/usr/local"]
    flags = pkg_config("--cflags", "--libs", root=local, PKG_CONFIG_SYSROOT_DIR=staged())
    assert flags == ["-I%s/include" % local, "-L%s/lib" % local, "-lsubtoken"], flags
    for these in (flags, pkg_config("--cflags", "--libs", "--define-variable=prefix=" + moved)):
        program = os.path.join(scratch(), "p")
        sh("gcc", os.path.join(HERE, "verdicts.c"), *these, "-o", program)
        where = dict(os.environ, LD_LIBRARY_PATH=[f[2:] for f in these if f[:2] == "-L"][0])
        assert sh(program, input="version\n", env=where) == VERSION + "\n"


# ---- headers ----


@test
def each_header_compiles_first_and_alone():
    more = ["-Wshadow", "-Wconversion", "-Wundef", "-Wcast-qual", "-Wwrite-strings", "-pedantic-errors"]
    d = scratch()
    for name in sorted(os.listdir(os.path.join(prefix(), "include/subtoken"))):
        source = "#include <subtoken/%s>\n#include <subtoken/%s>\n" % (name, name)
        # What a header only defines when it is used.
        if name in ("common.h", "verify.h", "issue.h"):
            source += ("subtoken_text piece(const subtoken_claims *c);\n"
                       "subtoken_text piece(const subtoken_claims *c) {"
                       " return subtoken_claims_text(c, c->sub); }\n")
        for header, kind in (("verify.h", "verifier"), ("verify.h", "request"),
                             ("issue.h", "issue_request"), ("issue.h", "limits"),
                             ("issue.h", "narrow_report"), ("policy.h", "decision"),
                             ("feed.h", "feed_settings"), ("revocations.h", "feed")):
            if name == header:
                source += "extern const subtoken_%s a_%s;\n" % (kind, kind)
                source += "const subtoken_%s a_%s = SUBTOKEN_%s_DEFAULT;\n" % (kind, kind, kind.upper())
        source += "int end(void);\nint end(void) { return 0; }\n"
        for compiler, std, suffix, extra in (
                ("gcc", "c11", "c", ["-Wstrict-prototypes"]),
                ("gcc", "c17", "c", []),
                ("g++", "c++17", "cc", ["-Wold-style-cast", "-Wzero-as-null-pointer-constant"]),
                ("g++", "c++20", "cc", ["-Wold-style-cast"])):
            path = os.path.join(d, "h." + suffix)
            with open(path, "w") as f:
                f.write(source)
            # -I, not a system folder: there gcc is silent.
            flags = ["-I" + os.path.join(prefix(), "include"), *WARNINGS, *more, *extra]
            if "_DEFAULT;" in source and "-Wzero-as-null-pointer-constant" in flags:
                flags.remove("-Wzero-as-null-pointer-constant")  # NULL, of the system
            sh(compiler, "-std=" + std, *flags, "-c", path, "-o", os.path.join(d, "h.o"))


# ---- programs that were built with earlier headers ----

EARLIER = """\
narrow url_wider
narrow ok dropped 1 clamped 0
issue ok
nobody to ask: 503 feed_stale explained
good: 200 ok explained
another url: 403 url explained
another need: 403 perm explained
too late: 401 expired explained
zeroed: 500 invalid_argument
policy ok access 1 needs account
policy 403 url
start ok
poll io
"""


@test
def a_program_of_earlier_headers_runs_with_this_library():
    libs = pkg_config("--libs")
    for compiler, std, suffix in (("gcc", "c11", "c"), ("g++", "c++17", "cc")):
        d = scratch()
        source = os.path.join(d, "earlier." + suffix)
        shutil.copy(os.path.join(HERE, "earlier.c"), source)
        text = read(HERE, "subtoken_0_1.h")
        with open(os.path.join(d, "subtoken_0_1.h"), "w") as f:
            f.write(text if suffix == "c" else 'extern "C" {\n' + text + "}\n")
        for these in (libs, ["-Wl,-Bstatic", *libs, "-Wl,-Bdynamic"]):
            sh(compiler, "-std=" + std, *WARNINGS, source, *these, "-o", os.path.join(d, "earlier"))
            env = dict(os.environ, LD_LIBRARY_PATH=os.path.join(prefix(), "lib"))
            assert sh(os.path.join(d, "earlier"), env=env) == EARLIER


def layout(header, flags):
    """What a compiler makes of a header: sizes, offsets and numbers, by name."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    lines = []
    for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\n\} \1;", text, re.S):
        lines.append('printf("sizeof %s %%zu\\n", sizeof(%s));' % (name, name))
        for line in body.split(";"):
            for field in line.split(","):
                found = re.search(r"(\w+)(?:\[[^;]*\])*\s*$", field)
                if found and line.strip():
                    what = "((%s *)0)->%s" % (name, found[1])
                    lines.append('printf("%s.%s %%zu %%zu\\n", offsetof(%s, %s), sizeof(%s));'
                                 % (name, found[1], name, found[1], what))
    for body in re.findall(r"\benum \w* ?\{(.*?)\}", text, re.S):
        for name in re.findall(r"\bSUBTOKEN_\w+", body):
            lines.append('printf("%s %%d\\n", (int)%s);' % (name, name))
    d = scratch()
    with open(os.path.join(d, "layout.c"), "w") as f:
        f.write("#include <stdio.h>\n%s\nint main(void) {\n%s\nreturn 0; }\n"
                % (header if not flags else "#include <subtoken/feed.h>\n#include <subtoken/issue.h>\n"
                   "#include <subtoken/policy.h>", "\n".join(lines)))
    sh("gcc", "-std=c11", *WARNINGS, *flags, os.path.join(d, "layout.c"), "-o", os.path.join(d, "layout"))
    return dict(l.split(" ", 1) if l[:7] != "sizeof " else l.rsplit(" ", 1)
                for l in sh(os.path.join(d, "layout")).splitlines())


@test
def what_earlier_headers_say_is_where_it_was():
    """Structures without a size do not change, those with one get longer at their end, and no
    number of an enumeration is another's."""
    before = layout(read(HERE, "subtoken_0_1.h"), [])
    now = layout("".join(read(prefix(), "include/subtoken", n)
                         for n in sorted(os.listdir(os.path.join(prefix(), "include/subtoken")))),
                 pkg_config("--cflags"))
    sized = {name.split(".")[0] for name in now if name.endswith(".size") and now[name][:2] == "0 "}
    assert len(sized) == 7 and len(before) > 150, (sized, len(before))
    longer = 0
    for name, value in before.items():
        if name[:7] == "sizeof " and name[7:] in sized:
            assert int(value) <= int(now[name]), name
            longer += int(value) < int(now[name])
        else:
            assert now.get(name) == value, (name, value, now.get(name))
    assert longer >= 3  # or earlier.c has nothing to show


# ---- the programs ----


@functools.lru_cache(None)
def programs():
    """name -> (command, environment)"""
    d = scratch()
    shutil.copy(os.path.join(HERE, "verdicts.c"), os.path.join(d, "verdicts.c"))
    shutil.copy(os.path.join(HERE, "verdicts.c"), os.path.join(d, "verdicts.cc"))
    cflags, libs = pkg_config("--cflags"), pkg_config("--libs")
    shared = dict(os.environ, LD_LIBRARY_PATH=os.path.join(prefix(), "lib"))
    alone = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
    made = {}
    for name, compiler, std, source in (("C", "gcc", "c11", "verdicts.c"),
                                        ("C++", "g++", "c++17", "verdicts.cc")):
        for kind in ("shared", "static"):
            out = os.path.join(d, name + kind)
            these = libs if kind == "shared" else ["-Wl,-Bstatic", *libs, "-Wl,-Bdynamic"]
            sh(compiler, "-std=" + std, *WARNINGS, *cflags, os.path.join(d, source), *these,
               "-o", out)
            needed = re.findall(r"NEEDED +(\S+)", sh("objdump", "-p", out))
            assert (SONAME in needed) == (kind == "shared"), needed
            made[name + " " + kind] = ([out], shared if kind == "shared" else alone)
    plain = {k: v for k, v in alone.items() if k not in ("SUBTOKEN_LIBRARY", "LUA_PATH", "PYTHONPATH")}
    # No word to the bindings about the library: they find that of their own PREFIX.
    made["Python"] = ([PYTHON, "-B", "-W", "error", os.path.join(HERE, "verdicts.py")], dict(
        plain, PYTHONPATH=os.path.join(prefix(), "lib/python3/dist-packages")))
    made["Lua"] = (["luajit", os.path.join(HERE, "verdicts.lua")], dict(
        plain, LUA_PATH=os.path.join(prefix(), "share/lua/5.1/?.lua")))
    return made


def text(value):
    if value is None:
        return "-"
    return (value if isinstance(value, bytes) else value.encode()).hex()


def texts(values):
    return "-" if values is None else "".join(text(v) + "," for v in values)


def ask(lines, only=None):
    """The answers, once all programs have given the same ones."""
    given = "".join("\t".join(map(str, l)) + "\n" for l in lines)
    first, answers = None, None
    for name, (command, env) in programs().items():
        if only is not None and name not in only:
            continue
        p = subprocess.run(command, input=given, capture_output=True, text=True, env=env,
                           timeout=300)
        assert p.returncode == 0 and p.stderr == "", (name, p.returncode, p.stderr[-2000:])
        got = p.stdout.splitlines()
        assert len(got) == len(lines), (name, len(got), len(lines))
        if answers is None:
            first, answers = name, got
        for line, mine, theirs in zip(lines, answers, got):
            assert mine == theirs, (line, {first: mine, name: theirs})
    return [a.split("\t") for a in answers]


STATUS = {"ok": 200, "feed_stale": 503, "bad_target": 400, "url": 403, "perm": 403,
          "invalid_argument": 500}  # else 401
CHALLENGE = {401: 'Bearer error="invalid_token"', 403: 'Bearer error="insufficient_scope"'}


def decision(answer, token, what):
    """What has to hold for any answer to verify; returns the result."""
    result, status, challenge, claims = answer
    assert int(status) == STATUS.get(result, 401), (what, answer)
    assert challenge == text(CHALLENGE.get(int(status))), (what, answer)
    if result != "ok":
        assert claims == "-", (what, answer)
        return result
    said = json.loads(unb64((token if isinstance(token, str) else token.decode()).split(".")[1]))
    expected = [text(said["sub"]), str(said["iat"]), str(said["exp"]), str(said.get("nbf", 0)),
                text(said.get("iss")), texts(said["permissions"]), texts(said.get("urls")),
                text(said.get("sid"))]
    assert claims.split(";") == expected, (what, claims, expected)
    return result


# ---- tokens.json ----

FILE = vectors("tokens.json")
ENV = FILE["env"]
NOW = ENV["now"]
KEY = bytes.fromhex(ENV["keys"]["k1"])


def ring_text():
    lines = [":" + b64(bytes.fromhex(ENV["keys"][ENV["default_kid"]]))]
    lines += ["%s:%s" % (kid, b64(bytes.fromhex(key))) for kid, key in ENV["keys"].items()]
    return "\n".join(lines) + "\n"


def setup(mode="asks", iss=None, aud=None, **parents):
    states = {"active": "good", "revoked": "revoked"}
    lines = [("ring", text(ring_text()))]
    lines += [("sub", text(s), states[p]) for s, p in ENV["parents"].items()]
    lines += [("sub", text(s), p) for s, p in parents.items()]
    return lines + [settings(mode, iss, aud)]


def settings(mode="asks", iss=None, aud=None):
    return ("verifier", ENV["skew"], ENV["max_ttl"], text(iss), text(aud), mode)


def question(verb, token, now=NOW, method="GET", target=ENV["default_request"],
             needs=(ENV["default_need_permission"],)):
    return (verb, now, text(method), text(target), texts(needs), text(token))


def token_of(row):
    if "generate" in row:
        assert row["generate"]["kind"] == "repeat"
        return row["generate"]["text"] * row["generate"]["count"]
    return base64.b64decode(row["token_b64"]) if "token_b64" in row else row["token"]


def question_of(verb, row):
    need = row.get("need_permission", ENV["default_need_permission"])
    return question(verb, token_of(row), now=row.get("now", NOW),
                    target=row.get("request", ENV["default_request"]),
                    needs=() if need is None else (need,))


@test
def all_languages_decide_about_tokens_as_the_vectors_say():
    lines = setup()
    begin = len(lines)
    for row in FILE["cases"]:
        lines += [settings("asks", row.get("need_issuer"), row.get("need_audience")),
                  question_of("verify", row), question_of("explain", row),
                  ("inspect", text(token_of(row)))]
    answers = ask(lines)
    assert answers[0] == ["ok", "0"] and all(a == ["ok"] for a in answers[1:begin])
    count = accepted = 0
    for row, i in zip(FILE["cases"], range(begin, len(lines), 4)):
        verdict, (words,), inspected = answers[i + 1:i + 4]
        result = decision(verdict, token_of(row), row["id"])
        assert (result == "ok") == (row["expect"] == "accept"), (row["id"], result)
        reasons = [row["reason"], *row.get("reasons", [])]
        if row["id"] == "claims/urls-star-mid":
            reasons.append("url")  # older than stars that are segments: its entry is good now
        assert result in reasons, (row["id"], result, row["reason"])
        said = bytes.fromhex(words).decode()
        assert len(said) > 8 and said.isprintable(), (row["id"], said)
        if result == "ok":
            assert inspected[0] == "ok" and inspected[2] == verdict[3], row["id"]
            assert bytes.fromhex(inspected[1]) == unb64(token_of(row).split(".")[0]), row["id"]
        count += 1
        accepted += result == "ok"
    assert (count, accepted) == (376, 14)


def mutants(base):
    """All of them, in the order of the file's operators."""
    base, made = base.encode(), {}

    def put(op, data):
        made[op] = made.get(op, 0) + 1
        return data

    size = range(len(base))
    for i in size:
        for bit in range(8):
            yield put("bitflip", base[:i] + bytes([base[i] ^ 1 << bit]) + base[i + 1:])
    for i in size:
        for c in range(256):
            if c != base[i]:
                yield put("substitute", base[:i] + bytes([c]) + base[i + 1:])
    for i in range(len(base) + 1):
        for c in range(256):
            yield put("insert", base[:i] + bytes([c]) + base[i:])
    for i in size:
        yield put("delete", base[:i] + base[i + 1:])
    for i in size:
        yield put("truncate", base[:i])
    for i in range(len(base) - 1):
        if base[i] != base[i + 1]:
            yield put("transpose", base[:i] + base[i + 1:i + 2] + base[i:i + 1] + base[i + 2:])
    for i in size:
        if base[i:i + 1].isalpha():
            yield put("case", base[:i] + bytes([base[i] ^ 0x20]) + base[i + 1:])
    assert made == {o["op"]: o["count"] for o in FILE["mutation"]["operators"]}, made


@test
def all_languages_refuse_every_fiftieth_mutation_for_the_same_reason():
    base = FILE["mutation"]["base"]
    everything = list(mutants(base))
    assert len(everything) == FILE["mutation"]["total"]
    sample = everything[::50]
    assert len(sample) >= 3000
    lines = setup()
    begin = len(lines)
    answers = ask(lines + [question("verify", base)] + [question("verify", m) for m in sample])
    assert decision(answers[begin], base, "base") == "ok"
    for data, answer in zip(sample, answers[begin + 1:]):
        assert decision(answer, data, data) in ("malformed", "mac", "alg", "header", "kid"), (data, answer)


@test
def all_languages_show_a_sid_that_decides_nothing():
    base = {"sub": "p_good", "iat": NOW - 10, "exp": NOW + 100, "permissions": ["account"]}
    good = [base | {"sid": "L-1_z"}, {"sid": "x"} | base, base | {"sid": "x" * 64},
            base | {"urls": ["/v2/account"], "sid": "9"}, base]
    bad = [base | {"sid": wrong} for wrong in ("", "x" * 65, "a b", "a.b", 1, None, ["a"])]
    tokens = [sign(KEY, claims) for claims in good + bad]
    lines = setup(p_good="good")
    begin = len(lines)
    for token in tokens:
        lines += [question("verify", token), ("inspect", text(token))]
    answers = ask(lines)[begin:]
    for i, token in enumerate(tokens):
        verdict, inspected = answers[2 * i:2 * i + 2]
        assert decision(verdict, token, token) == ("ok" if i < len(good) else "claims"), verdict
        if i < len(good):
            assert inspected[0] == "ok" and inspected[2] == verdict[3], inspected


@test
def all_languages_apply_the_rules_in_one_order():
    """Each way for a request to be wrong, with each state of the parent."""
    parents = {"p_good": "good", "p_revoked": "revoked", "p_unsure": "unsure", "p_raise": "raise"}
    states = {"p_good": None, "p_revoked": "revoked", "p_unsure": "feed_stale",
              "p_raise": "feed_stale", "p_unknown": "revoked"}
    lines, expected = setup(**parents), []
    begin = len(lines)
    for mode in ("asks", "without", "none"):
        for iss in (None, "us", "them"):
            lines.append(settings(mode, iss))
            expected.append(None)
            for sub, state in states.items():
                for urls in (None, ["/v2/account", "POST:/v2/items"]):
                    claims = {"sub": sub, "iat": NOW - 10, "exp": NOW + 100, "iss": "us",
                              "permissions": ["account"]}
                    if urls is not None:
                        claims["urls"] = urls
                    token = sign(KEY, claims)
                    for now in (NOW, NOW + 160, NOW - 71):
                        for method, target in (("GET", "/v2/account"), ("GET", "/v2/../account"),
                                               ("GET", "/v2/items"), ("POST", "/v2/items"),
                                               (None, "/v2/items"), ("GET", None), (None, "")):
                            for needs in ((), ("account",), ("account", "bank"), ("",)):
                                lines.append(question("verify", token, now, method, target, needs))
                                if now != NOW:
                                    want = "expired" if now > NOW else "iat_future"
                                elif iss == "them":
                                    want = "iss"
                                elif mode == "none":
                                    want = "feed_stale"
                                elif mode == "asks" and state:
                                    want = state
                                elif target in ("/v2/../account", ""):
                                    want = "bad_target"
                                elif urls and (method, target) not in (
                                        ("GET", "/v2/account"), ("POST", "/v2/items")):
                                    want = "url"
                                else:
                                    want = "ok" if set(needs) <= {"account"} else "perm"
                                expected.append((want, token))
    for line, answer, want in zip(lines[begin:], ask(lines)[begin:], expected):
        if want is not None:
            assert decision(answer, want[1], line) == want[0], (line, want[0], answer)
    assert len(expected) > 5000


@test
def all_languages_refuse_times_out_of_range():
    lines = setup()
    begin = len(lines)
    outside = (-1, -(2**63), 2**53, 2**63 - 1)
    answers = ask(lines + [question("verify", ENV["golden"], now=now) for now in outside])
    for now, answer in zip(outside, answers[begin:]):
        assert decision(answer, ENV["golden"], now) == "invalid_argument", (now, answer)


# ---- URLs ----


def octets(string):
    return string.encode("latin-1")


@test
def all_languages_match_urls_as_the_vectors_say():
    cases = vectors("url-match.json")["cases"]
    wanted = {"allow": "ok", "deny": "url", "reject": "bad_target", "badlist": "claims"}
    lines = setup()
    begin, places = len(lines), []
    for row in cases:
        entries = row["entries"]
        claims = {"sub": "pk_active", "iat": NOW, "exp": NOW + 1, "permissions": []}
        if entries is not None:
            claims["urls"] = entries
        target = octets(row["target"])
        places.append(len(lines))
        lines += [question("verify", sign(KEY, claims), target=target, needs=()),
                  ("match", "-" if entries is None else texts(map(octets, entries)), text("GET"),
                   text(target)),
                  ("path", text(target))]
        for entry in entries or ():
            lines += [("canonical", text(octets(entry))),
                      ("allows", text(octets(entry)), text("GET"), text(target))]
    answers = ask(lines)
    for row, at in zip(cases, places):
        verdict, (match,), path = answers[at:at + 3]
        entries = row["entries"] or []
        canonical = answers[at + 3:at + 3 + 2 * len(entries):2]
        allows = [a[0] for a in answers[at + 4:at + 4 + 2 * len(entries):2]]
        assert verdict[0] == wanted[row["verdict"]], (row["id"], verdict)
        assert (path[0] == "ok") == (path[2] == "none") == (path[1] != "-"), (row["id"], path)
        if row["verdict"] == "badlist":
            faults = [c[2] for c in canonical if c[2] != "none"]
            counted = row["entries"] == [] or len(entries) > 64
            assert (faults + ["count"] if counted else faults)[0] == row["reason"], (row["id"], faults)
            assert all(a == "bad_url" for a, c in zip(allows, canonical) if c[0] != "ok"), row["id"]
            continue
        assert match == verdict[0], (row["id"], match)
        assert path[2] == row.get("reason", "none"), (row["id"], path)
        assert all(c[0] == "ok" for c in canonical), (row["id"], canonical)
        if entries:
            one_by_one = "ok" if "ok" in allows else allows[0]
            assert one_by_one == match, (row["id"], allows)
        # What is canonical stays, and opens the same.
        for entry, (_, own, _) in zip(entries, canonical):
            assert ask([("canonical", own)], only=("C shared",)) == [["ok", own, "none"]], entry
    assert len(cases) == 115


@test
def all_languages_compare_lists_and_methods_alike():
    entries = ["/v2/account", "/v2/account/*", "GET:/v2/account", "POST:/v2/*", "/v2/*", "/*", "/",
               "HEAD:/v2/account", "/v2/%41", "/v2/A", "/v2/a%20b", "/*/account", "/v2/*/x", "*", "", "/v2/../x", "get:/v2"]
    lines = [("covers", text(a), text(b)) for a in entries for b in entries]
    methods = [None, "", "GET", "HEAD", "POST", "get"]
    targets = ["/v2/account", "/v2/account?x=1", "/v2/account/", "/v2/account/x", "/v2/A", "/", "/%2e"]
    lines += [("allows", text(e), text(m), text(t)) for e in entries for m in methods
              for t in targets]
    lines += [("match", texts(entries[:13]), text(m), text(t)) for m in methods
              for t in targets + [None]]
    lines += [("match", "", text("GET"), text(targets[0])), ("match", "-", "-", "-"),
              ("match", texts(["/v2/account"] * 64), "-", text(targets[0])),
              ("match", texts(["/v2/account"] * 65), "-", text(targets[0])),
              ("match", texts(["/" + "a" * 1000] * 7), "-", text(targets[0]))]
    answers = dict(zip(lines, (a[0] for a in ask(lines))))
    assert answers[("covers", text("/v2/*"), text("GET:/v2/account"))] == "ok"
    assert answers[("covers", text("GET:/v2/account"), text("/v2/account"))] == "url_wider"
    for a in entries:  # "covers" is never said of what is wider
        for b in entries:
            if answers[("covers", text(a), text(b))] == "ok":
                for m in methods:
                    for t in targets:
                        inner, outer = (answers[("allows", text(e), text(m), text(t))] for e in (b, a))
                        assert inner != "ok" or outer == "ok", (a, b, m, t)
    assert answers[("covers", text("/v2/%41"), text("/v2/A"))] == "ok"
    assert answers[("covers", text("/v2/*"), text("*"))] == "bad_url"
    assert answers[("allows", text("GET:/v2/account"), text("HEAD"), text("/v2/account"))] == "ok"
    assert answers[("allows", text("GET:/v2/account"), "-", text("/v2/account"))] == "url"
    assert answers[("allows", text("/v2/account"), "-", text("/v2/account?x=1"))] == "ok"
    assert list(answers[l] for l in lines[-5:]) == [
        "url", "ok", "ok", "invalid_argument", "invalid_argument"]


# ---- MACs and known answers ----


@test
def macs_are_those_of_hmac_sha256():
    lines, wanted, blob = [], [], hashlib.sha512(b"seed").digest() * 5
    for key_len in range(30, 67):
        for data_len in (0, 1, 55, 56, 63, 64, 65, 200):
            key, data = blob[:key_len], blob[64:64 + data_len]
            mac = hmac.new(key, data, hashlib.sha256).digest()
            wrong = mac[:31] + bytes([mac[31] ^ 1])
            lines += [("mac", text(key), text(data))] + [
                ("check", text(key), text(data), text(m)) for m in (mac, wrong, mac[:31], b"")]
            good = 32 <= key_len <= 64
            wanted += [["ok", text(mac)] if good else ["weak_secret", "-"]]
            wanted += [[r if good else "weak_secret"] for r in ("ok", "mac", "mac", "mac")]
    for line, answer, want in zip(lines, ask(lines), wanted):
        assert answer == want, (line, answer, want)


@test
def the_known_answers_hold():
    lines, checks = setup(), []
    for row in vectors("jws-hs256-known-answers.json")["cases"]:
        token, key = row["token"], row["key_b64url"]
        lines += [question("verify", token), ("inspect", text(token))]
        checks.append((len(lines) - 2, row))
        if key is not None:  # public or too short: no ring takes it, and no secret
            lines += [("ring", text(":" + key)), ("mac", text(unb64(key)), text("x")),
                      ("ring", text(ring_text()))]
    answers = ask(lines)
    for at, row in checks:
        assert decision(answers[at], row["token"], row["id"]) == "mac", (row["id"], answers[at])
        result, header, claims = answers[at + 1]
        if row["key_b64url"] is not None:
            assert result == "claims" and claims == "-", (row["id"], result)
            assert answers[at + 2:at + 4] == [["weak_secret", "1"], ["weak_secret", "-"]], row["id"]
        else:
            c = row["claims"]
            assert result == "ok" and json.loads(bytes.fromhex(header)) == row["header"], row["id"]
            assert claims.split(";") == [text(c["sub"]), str(c["iat"]), str(c["exp"]), "0", "-",
                                         texts(c["permissions"]), texts(c.get("urls")), "-"], row["id"]
    assert len(checks) == 5


@test
def all_languages_refuse_the_same_rings():
    good = ring_text()
    line = good.split("\n")[0]
    bad = {"": ["no_secret", "0"], good + "x": ["malformed", "4"], line + "\n" + line: ["kid_taken", "2"],
           "a b" + line: ["bad_kid", "1"], ":" + b64(b"a" * 32): ["weak_secret", "1"],
           ":AAAA": ["weak_secret", "1"], line + "=": ["malformed", "1"]}
    answers = ask([("ring", text(b)) for b in bad] + [("ring", text(good)), ("version",)])
    for given, answer in zip(bad, answers):
        assert answer == bad[given], (given, answer)
    assert answers[-2:] == [["ok", "0"], [VERSION]]


# ---- what the bindings mirror ----


def structs():
    """[(struct, [field])] of the headers, for those that a binding mirrors."""
    source = "".join(read(prefix(), "include/subtoken", n) for n in ("common.h", "verify.h"))
    source = re.sub(r"/\*.*?\*/", "", source, flags=re.S)
    found = []
    for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\n\} \1;", source, re.S):
        fields = [re.search(r"(\w+)(?:\[[^\]]*\])?$", d.strip())[1]
                  for d in body.split(";") if d.strip()]
        found.append((name, fields))
    return found


@test
def every_mirrored_struct_has_the_compilers_layout():
    names = [name for name, _ in structs()]
    assert names == ["subtoken_text", "subtoken_slice", "subtoken_claims", "subtoken_secret",
                     "subtoken_ring", "subtoken_verifier", "subtoken_request"], names
    lines = [("layout", s, f) for s, fields in structs() for f in fields]
    assert len(lines) >= 39
    d = scratch()
    with open(os.path.join(d, "layout.c"), "w") as f:
        f.write("#include <subtoken/verify.h>\n#include <stdio.h>\nint main(void) {\n")
        for _, s, m in lines:
            f.write('  printf("%%zu\\t%%zu\\t%%zu\\n", sizeof(%s), offsetof(%s, %s),'
                    ' sizeof(((%s *)0)->%s));\n' % (s, s, m, s, m))
        f.write("  return 0;\n}\n")
    sh("gcc", "-std=c11", *WARNINGS, *pkg_config("--cflags"), os.path.join(d, "layout.c"), "-o",
       os.path.join(d, "layout"))
    compiled = [l.split("\t") for l in sh(os.path.join(d, "layout")).splitlines()]
    mirrored = ask(lines, only=("Python", "Lua"))
    for line, here, there in zip(lines, compiled, mirrored):
        assert here == there, (line, here, there)
    python = read(prefix(), "lib/python3/dist-packages/subtoken.py")
    lua = read(prefix(), "share/lua/5.1/subtoken.lua")
    for name, fields in structs():  # no member more than there is, either
        mirror = re.search(r"class _%s\(ctypes.Structure\):\n    _fields_ = \[(.*?)\]\n\n" %
                           name.replace("subtoken_", "").title(), python, re.S)[1]
        assert re.findall(r'\("(\w+)",', mirror) == fields, name
        body = re.search(r"typedef struct %s \{(.*?)\n\} %s;" % (name, name), lua, re.S)[1]
        body = re.sub(r"/\*.*?\*/", "", body)
        assert re.findall(r"(\w+)(?:\[\d+\])?;", body) == fields, name


@test
def explanations_are_those_of_the_command():
    data = data_dir()
    os.mkdir(data, 0o700)
    secrets = os.path.join(data, "secrets")
    with open(os.open(secrets, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write(ring_text())
    lines, rows = [("ring", text(ring_text()))], []
    for row in FILE["cases"]:
        token = token_of(row)
        # What can come in on standard input as it is.
        if isinstance(token, bytes) or token.strip() != token or not token:
            continue
        rows.append((row, token))
        lines += [settings("without", row.get("need_issuer"), row.get("need_audience")),
                  question_of("verify", row), question_of("explain", row)]
    answers = ask(lines)
    for (row, token), i in zip(rows, range(1, len(lines), 3)):
        args = ["verify", "--no-revocations", "--secrets", secrets, "--at", str(row.get("now", NOW)),
                "--method", "GET", "--url", row.get("request", ENV["default_request"]),
                "--leeway", str(ENV["skew"]), "--max-life", str(ENV["max_ttl"])]
        need = row.get("need_permission", ENV["default_need_permission"])
        args += ["--require", need] if need is not None else []
        args += ["--iss", row["need_issuer"]] if "need_issuer" in row else []
        args += ["--aud", row["need_audience"]] if "need_audience" in row else []
        code, out, err = run(*args, stdin=token, data=data)
        result, status = answers[i + 1][:2]
        words = bytes.fromhex(answers[i + 2][0]).decode()
        front = "" if result == "ok" else "refused %s %s: " % (status, result)
        assert (code, out) == (0 if result == "ok" else 1, front + words + "\n"), (row["id"], out, words, err)
    assert len(rows) >= 350, len(rows)


# ---- what only one binding promises ----


@functools.lru_cache(None)
def corner():
    """A ring file, a library of another version and one that is something else."""
    d = scratch()
    ring, fake, none = (os.path.join(d, n) for n in ("secrets", "fake.so", "none.so"))
    with open(os.open(ring, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write(ring_text())
    for path, source in ((fake, 'const char *subtoken_version(void);\n'
                                'const char *subtoken_version(void) { return "9.9.9"; }\n'),
                         (none, "int nothing(void);\nint nothing(void) { return 0; }\n")):
        with open(path + ".c", "w") as f:
            f.write(source)
        sh("gcc", "-shared", "-fPIC", path + ".c", "-o", path)
    claims = json.loads(unb64(ENV["golden"].split(".")[1]))
    fresh = dict(claims, iat=int(time.time()), exp=int(time.time()) + 3600)
    return ring, fake, none, {"now": NOW, "good": ENV["golden"], "fresh": sign(KEY, fresh),
                              "other": sign(KEY, dict(claims, sub="pk_other"))}


@test
def the_python_binding_keeps_its_promises():
    ring, fake, none, case = corner()
    _, env = programs()["Python"]
    out = sh(PYTHON, "-B", "-W", "error", os.path.join(HERE, "binding.py"), ring, fake, none,
             input=json.dumps(case), env=env, timeout=300)
    assert out.count("ok ") == 8, out


@test
def the_lua_binding_keeps_its_promises():
    ring, fake, none, case = corner()
    _, env = programs()["Lua"]
    for mode in ("-O3", "-joff"):
        out = sh("luajit", mode, os.path.join(HERE, "binding.lua"), ring, fake, none, str(NOW),
                 case["good"], case["other"], case["fresh"], env=env, timeout=300)
        assert out == "ok binding.lua\n", out


@test
def a_binding_takes_a_later_patch_and_no_earlier_one():
    """As libsubtoken(3) says: a patch only adds."""
    d = scratch()
    data = open(library(), "rb").read()
    here, minor = b"\0%s\0" % VERSION.encode(), VERSION.rpartition(".")[0]
    assert data.count(here) == 1

    def taken(binding, version):
        """Does the binding, whose own version is this or VERSION, load the library?"""
        own, there = (version, VERSION) if version == minor + ".9" else (VERSION, version)
        other = os.path.join(d, "libsubtoken.so." + there)
        with open(other, "wb") as f:
            f.write(data.replace(here, b"\0%s\0" % there.encode()))
        mine = os.path.join(d, os.path.basename(binding))
        with open(mine, "w") as f:
            f.write(read(binding).replace('"%s"' % VERSION, '"%s"' % own))
        command = ([PYTHON, "-B", "-c", "import subtoken; subtoken.load(); subtoken.url_covers('/a', '/a')"]
                   if binding.endswith(".py") else
                   ["luajit", "-e", "require 'subtoken'.url_covers('/a', '/a')"])
        p = subprocess.run(command, capture_output=True, text=True, env=dict(
            os.environ, SUBTOKEN_LIBRARY=other, PYTHONPATH=d, LUA_PATH=d + "/?.lua"))
        assert (p.returncode == 0) == ("is libsubtoken " + there not in p.stderr), p
        return p.returncode == 0

    major = int(VERSION.split(".")[0])
    for name in ("lib/python3/dist-packages/subtoken.py", "share/lua/5.1/subtoken.lua"):
        binding = os.path.join(prefix(), name)
        assert taken(binding, VERSION), name
        assert taken(binding, minor + ".8"), name
        assert not taken(binding, minor + ".9"), name  # the binding's: the library is earlier
        assert not taken(binding, "%d.9.0" % major), name
        assert not taken(binding, "9.1.0"), name
        assert not taken(binding, "x.1.0"), name


@test
def a_binding_that_is_not_installed_ignores_a_library_nearby():
    """Only a binding that lies where `make install` puts it looks into its own PREFIX."""
    _, fake, _, _ = corner()
    python, lua = (os.path.join(prefix(), p) for p in ("lib/python3/dist-packages/subtoken.py",
                                                       "share/lua/5.1/subtoken.lua"))
    env = {k: v for k, v in os.environ.items()
           if k not in ("SUBTOKEN_LIBRARY", "LUA_PATH", "PYTHONPATH")}
    env["LD_LIBRARY_PATH"] = os.path.join(prefix(), "lib")

    def loaded(binding, folder, relative=None):
        """Does the binding, copied into this folder, load the fake?"""
        d = scratch()
        here = os.path.join(d, folder)
        os.makedirs(here)
        shutil.copy(binding, here)
        at = here  # wherever it might look
        while at != d:
            at = os.path.dirname(at)
            for place in (at, os.path.join(at, "lib")):
                os.makedirs(place, exist_ok=True)
                shutil.copy(fake, os.path.join(place, SONAME))
        where = here if relative is None else relative
        if binding == python:
            command = [PYTHON, "-B", "-c", "import subtoken; subtoken.load()"]
            named = {"PYTHONPATH": where}
        else:
            command = ["luajit", "-e", "require 'subtoken'.load()"]
            named = {"LUA_PATH": where + "/?.lua"}
        p = subprocess.run(command, cwd=d, env=dict(env, **named), capture_output=True, text=True)
        assert p.returncode == ("9.9.9" in p.stderr), p
        return p.returncode == 1

    for folder in ("x/py", "a/b/c/d", "lib/python3", "lib/python3/dist-packages/sub", "a/python3/x",
                   "lib/python2.7/dist-packages", "share/lua/5.1", "xlib/python3/site-packages"):
        assert not loaded(python, folder), folder
    for folder in ("lib/python3/dist-packages", "p/lib/python3.11/site-packages"):
        assert loaded(python, folder), folder
    for folder in ("x/y/z", "a/b/c/d", "lua/5.1", "share/lua/5.2", "share/lua/5.1/sub",
                   "xshare/lua/5.1"):
        assert not loaded(lua, folder), folder
    assert loaded(lua, "share/lua/5.1") and loaded(lua, "p/share/lua/5.1")
    for folder, relative in (("share/lua/5.1", "share/lua/5.1"), ("share/lua/5.1", "./share/lua/5.1"),
                             ("x/y/z", "x/y/z")):
        assert not loaded(lua, folder, relative), (folder, relative)


# ---- inside nginx ----


@test
def the_nginx_configuration_of_the_lua_binding_works():
    """The configuration that subtoken.lua shows, as it stands there."""
    data = data_dir()
    key = make_key(data)["key"]
    d = scratch()
    lua = read(prefix(), "share/lua/5.1/subtoken.lua")
    shown = re.search(r"^(  init_by_lua_block \{.*?^  \}\n)(  access_by_lua_block \{.*?^  \}\n)", lua,
                      re.S | re.M)
    assert shown, "subtoken.lua shows no configuration"
    init = shown[1].replace("/etc/subtoken/secrets", os.path.join(data, "secrets"))
    init = init.rstrip()[:-1] + """
    slow = subtoken.verifier {
      ring = assert(subtoken.read_ring "%s/secrets"),
      revoked = function(sub) ngx.sleep(0.05) return false end,
    } }
""" % data
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    answer = 'content_by_lua_block { ngx.print(ngx.var.sub) }'
    config = """
user root; worker_processes 1; daemon off; pid %(d)s/pid; error_log %(d)s/error.log;
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
events { worker_connections 256; }
http {
  access_log off; client_body_temp_path %(d)s/b; proxy_temp_path %(d)s/p;
  fastcgi_temp_path %(d)s/f; uwsgi_temp_path %(d)s/u; scgi_temp_path %(d)s/s;
  lua_shared_dict revoked 1m;
  lua_package_path "%(prefix)s/share/lua/5.1/?.lua;;";
%(init)s
  server {
    listen 127.0.0.1:%(port)d;
    set $sub "";
    location / {
%(access)s
      %(answer)s
    }
    location /v2/slow/ {
%(slow)s
      %(answer)s
    }
    location = /revoke { content_by_lua_block {
      assert(ngx.shared.revoked:safe_set(ngx.var.arg_sub, true))
    } }
    location = /mark { content_by_lua_block {
      assert(ngx.shared.revoked:safe_set(":fresh", true, tonumber(ngx.var.arg_ttl)))
    } }
    location = /forget { content_by_lua_block { ngx.shared.revoked:flush_all() } }
  }
}
""" % {"d": d, "prefix": prefix(), "init": init, "port": port, "access": shown[2], "answer": answer,
       "slow": shown[2].replace("verifier:verify", "slow:verify")}
    path = os.path.join(d, "nginx.conf")
    with open(path, "w") as f:
        f.write(config)
    nginx = subprocess.Popen([shutil.which("nginx") or "/usr/sbin/nginx", "-c", path],
                             stderr=subprocess.PIPE, text=True)
    url = "http://127.0.0.1:%d" % port
    try:
        deadline = time.time() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert nginx.poll() is None and time.time() < deadline, nginx.stderr.read()
                time.sleep(0.05)

        def get(target, *headers, method="GET"):
            args = [x for h in headers for x in ("-H", h)]
            args += ["-I"] if method == "HEAD" else ["-X", method]
            a = curl(url + target, "--path-as-is", *args)
            return a.status, a.header("WWW-Authenticate"), a.body

        token = issue(data, key, "--permissions", "account", "--urls", "GET:/v2/account,/v2/items/*")
        sub = payload(token)["sub"]
        bearer = "Authorization: Bearer " + token
        invalid, lacking = CHALLENGE[401], CHALLENGE[403]
        # Just started, with an empty list: nobody can know.
        assert get("/v2/account", bearer)[:2] == (503, None)
        assert get("/v2/account", bearer + "x")[:2] == (401, invalid)
        assert get("/mark?ttl=60")[0] == 200
        assert get("/v2/account?v=latest", bearer) == (200, None, sub)
        assert get("/v2/items/5", bearer, method="POST")[0] == 200
        assert get("/v2/account", bearer, method="HEAD")[0] == 200
        assert get("/v2/account")[:2] == (401, "Bearer")
        assert get("/v2/account", "Authorization: Basic QTpC")[:2] == (401, "Bearer")
        assert get("/v2/account", bearer[:-1])[:2] == (401, invalid)
        assert get("/v2/account", bearer + "x")[:2] == (401, invalid)
        assert get("/v2/account", bearer, method="POST")[:2] == (403, lacking)
        assert get("/v2/bank", bearer)[:2] == (403, lacking)
        # What nginx would tidy up is checked as it came.
        for target in ("/v2//account", "/v2/x/../account", "/v2/%2e%2e/v2/account", "/v2/account;x"):
            assert get(target, bearer)[0] == 400, target
        bare = issue(data, key, "--permissions", "inventories", "--urls", "/v2/account")
        assert get("/v2/account", "Authorization: Bearer " + bare)[:2] == (403, lacking)

        # Requests that wait for `revoked` at the same time keep their own answers.
        keys = [make_key(data, name="n%d" % i)["key"] for i in range(12)]
        tokens = [issue(data, k, "--permissions", "account", "--urls", "/v2/slow/%d" % i)
                  for i, k in enumerate(keys)]
        got = {}

        def one(i):
            got[i] = [get("/v2/slow/%d" % i, "Authorization: Bearer " + tokens[i]),
                      get("/v2/slow/%d" % (i + 1), "Authorization: Bearer " + tokens[i])]

        threads = [threading.Thread(target=one, args=(i,)) for i in range(len(tokens))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for i, t in enumerate(tokens):
            assert got[i][0] == (200, None, payload(t)["sub"]), got[i]
            assert got[i][1][:2] == (403, lacking), got[i]

        assert get("/revoke?sub=" + sub)[0] == 200
        assert get("/v2/account", bearer)[:2] == (401, invalid)
        assert get("/v2/bank", bearer)[:2] == (401, invalid)

        # A list that is no longer kept up: what it has is revoked, of the rest nobody knows.
        another = issue(data, keys[0], "--permissions", "account", "--urls", "/v2/account")
        other = "Authorization: Bearer " + another
        assert get("/v2/account", other)[0] == 200
        assert get("/mark?ttl=0.2")[0] == 200
        time.sleep(0.4)
        assert get("/v2/account", other)[:2] == (503, None)
        assert get("/v2/bank", other)[:2] == (503, None)
        assert get("/v2/account", bearer)[:2] == (401, invalid)
        assert get("/mark?ttl=60")[0] == 200
        assert get("/v2/account", other)[0] == 200
        assert get("/forget")[0] == 200  # as is a list that has lost what it had
        assert get("/v2/account", bearer)[:2] == (503, None)
        errors = read(d, "error.log")
        assert "[error]" not in errors and "[alert]" not in errors, errors[-2000:]
    finally:
        nginx.terminate()
        nginx.wait(timeout=20)


main()
