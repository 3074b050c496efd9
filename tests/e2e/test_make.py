"""The ways into the tests that tests/README.md tells of, on a copy of the sources: `make check-NAME`
needs a compiler and cmocka, `make unit` what the program is built of and PostgreSQL, and what `make help`
and compile_commands.json say is so. And `make layers` finds what it is there to find."""
import functools
from support import *

ROOT = os.path.dirname(TESTS)
LAYERS = os.path.join(TESTS, "layers.py")


def sources():
    """A copy of the tree as it is cloned, where a name has a space: nothing built, nothing fetched."""
    copy = os.path.join(scratch(), "sub token")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=lambda d, names: [
        name for name in names if name in (".git", "build", "var", "node_modules", "__pycache__")
        or os.path.join(d, name) == os.path.join(ROOT, "third_party", "src")])
    return copy


def make(directory, *args, env=None):
    for inherited in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        env = dict(env or os.environ)
        env.pop(inherited, None)
    p = subprocess.run(["make", "-C", directory, "--no-print-directory"] + list(args),
                       capture_output=True, text=True, env=env, timeout=300)
    return p.returncode, p.stdout + p.stderr


def without_apt():
    """An environment in which no package can be installed, in which cmocka prints as at a terminal."""
    fake = scratch()
    for name in ("apt-get", "apt-cache", "sudo"):
        with open(os.path.join(fake, name), "w") as f:
            f.write("#!/bin/sh\necho \"$0 was called\" >&2\nexit 1\n")
        os.chmod(f.name, 0o755)
    env = dict(os.environ, PATH=fake + ":" + os.environ["PATH"])
    env.pop("CMOCKA_MESSAGE_OUTPUT", None)
    return env


@functools.cache
def one_copy():
    """For those that build one test in it, whichever is the first."""
    return sources()


@test
def one_unit_test_needs_a_compiler_and_cmocka():
    """Nothing is fetched, no package is asked for, and no library but cmocka is linked."""
    if SANITIZER: return "the same for each build"
    copy, env = one_copy(), without_apt()
    code, said = make(copy, "check-date", env=env)
    assert code == 0 and "[  PASSED  ]" in said and "was called" not in said, said
    assert not os.path.exists(os.path.join(copy, "third_party", "src"))
    needed = subprocess.run(["ldd", os.path.join(copy, "build", "tests", "test_date")],
                            capture_output=True, text=True, check=True).stdout
    assert "libcmocka" in needed and not re.search(r"sqlite|argon2|utf8proc|curl", needed), needed
    code, said = make(copy, "check-date", "NAME=a_day*", env=env)
    assert code == 0 and re.findall(r"\[ RUN +\] (\w+)", said) == ["a_day_alone_is_a_schema_version_only"], said
    code, said = make(copy, "check-date", "NAME=nothing*", env=env)
    assert code != 0 and "no test is named nothing*" in said and "other_forms_are_refused" in said, said


@test
def one_end_to_end_test_is_chosen_by_its_name():
    command = [sys.executable, os.path.join(TESTS, "e2e", "test_authorize.py"), PROGRAM]
    p = subprocess.run(command + ["nothing*"], capture_output=True, text=True)
    assert p.returncode == 1 and "no test is named nothing*" in p.stderr, p
    first = p.stderr.splitlines()[1].strip()
    p = subprocess.run(command + [first[:-1] + "?"], capture_output=True, text=True)
    assert p.returncode == 0 and p.stdout.startswith("1..1\nok 1 - " + first), p


@test
def the_unit_tests_need_cmocka_postgresql_and_headers():
    """What is asked of apt is what the program is built of, and these; one test of no store needs cmocka alone."""
    if SANITIZER: return "the same for each build"
    packages = lambda *goals: set(re.findall(r"apt\.sh (.*)", make(sources(), "-n", *goals)[1]))
    tested = {"header:cmocka.h=libcmocka-dev", "python3 postgresql", "liblua5.3-dev", "apache2-dev"}
    assert packages("unit") == packages("all") | tested
    assert "python3 postgresql" in packages("check-store_keys")
    assert packages("check-date") == {"header:cmocka.h=libcmocka-dev"}


@test
def a_user_who_lacks_packages_is_told_before_anything_is_built():
    """What the tests need is installed while objects are compiled: a message of that would be far above the end."""
    if SANITIZER: return "the same for each build"
    copy, env = sources(), without_apt()
    fake = env["PATH"].split(":")[0]
    for name, does in (("id", "echo 1000"), ("dpkg-query", 'case "$*" in *libcmocka-dev) ;; *) echo installed ;; esac')):
        with open(os.path.join(fake, name), "w") as f:
            f.write("#!/bin/sh\n%s\n" % does)
        os.chmod(f.name, 0o755)
    with open(os.path.join(copy, "third_party", "fetch.sh"), "w") as f:
        f.write("mkdir -p third_party/src && touch third_party/src/stamp\n")
    code, said = make(copy, "-j2", "test", env=env)
    assert code != 0 and "As root, type:" in said and " libcmocka-dev" in said, said
    assert "CC " not in said and not os.path.exists(os.path.join(copy, "build")), said


@test
def help_names_targets_that_there_are():
    if SANITIZER: return "the same for each build"
    code, said = make(ROOT, "help")
    targets = re.findall(r"^make ([a-z][\w.-]*)", said, re.M)
    assert code == 0 and len(targets) > 8 and len(said.splitlines()) <= 24, said
    some = {"check-NAME": "check-date", "e2e-NAME": "e2e-http", "wasm-NAME": "wasm-readme"}
    code, said = make(ROOT, "-n", *(some.get(target, target) for target in targets))
    assert code == 0, said


@test
def the_readme_of_the_tests_shows_commands_that_work():
    """The first block is run as it stands; what the tables name is a target, a file or a folder."""
    if SANITIZER: return "the same for each build"
    with open(os.path.join(TESTS, "README.md")) as f:
        text = f.read()
    first, *others = re.findall(r"```sh\n(.*?)```", text, re.S)
    copy = one_copy()
    p = subprocess.run(["sh", "-e", "-c", first], cwd=copy, capture_output=True, text=True,
                       env=without_apt())
    assert p.returncode == 0 and p.stdout.count("[  PASSED  ]") + p.stderr.count("[  PASSED  ]") == 2, p
    shown = re.findall(r"`make ([^`]*)`", text) + [re.sub(r"^make ", "", c) for c in "".join(others).splitlines()]
    assert len(shown) >= 9
    words = dict.fromkeys(c.replace("check-NAME", "check-date").replace("e2e-NAME", "e2e-http") for c in shown)
    alone = [w for w in words if "=" in w]  # a variable is for all goals of its call
    for command in alone + [" ".join(w for w in words if w not in alone)]:
        p = subprocess.run("make -n " + command, shell=True, cwd=copy, capture_output=True, text=True)
        assert p.returncode == 0, (command, p.stderr)
    for header in re.findall(r"`(\w+\.h)`", text):
        assert os.path.exists(os.path.join(TESTS, "unit", header)), header
    for folder in re.findall(r"^\| `([a-z./]+)/` \|", text, re.M):
        assert os.path.isdir(os.path.join(TESTS, folder)), folder


@test
def the_readme_of_the_benchmarks_names_each_part():
    """`make bench-smoke`, which CI runs, runs each of them."""
    if SANITIZER: return "the same for each build"
    with open(os.path.join(TESTS, "bench", "README.md")) as f:
        text = f.read()
    with open(os.path.join(ROOT, "Makefile")) as f:
        parts = re.search(r"^BENCH_PARTS = (.*)", f.read(), re.M).group(1).split()
    for there in (re.findall(r"^\| `make bench-(\w+)`", text, re.M),
                  re.findall(r"^## `make bench-(\w+)`", text, re.M)):
        assert there == parts, (there, parts)
    for part in parts:
        code, said = make(ROOT, "-n", "bench-" + part, "BRIEF=1")
        assert code == 0 and "bench/" + part in said, said


# In place of a fuzz target: writes down how it is called, finds an input that is as it is named, and with
# sanitizers does not pass what is bad.
TARGET = """#!/bin/sh
name=${0##*/} folder=${0%/*}
echo "$*" >>"$folder/$name.calls"
for argument; do
  case $argument in "$KEPT"/*) found=$argument ;; esac
done
case $folder in
*/fast) echo "$name" >"$found/1" ;;
*) ! grep -l bad "$found/1" || { echo "ERROR: Test unit written to $found/1"; exit 77; } ;;
esac
echo '#9 DONE   cov: 12 ft: 34 corp: 5/6b'
echo 'stat::number_of_executed_units: 900'
"""


@test
def what_is_found_without_sanitizers_has_to_pass_with_them():
    """And FUZZ_RUNS counts the inputs of all runs that FUZZ_KEEP knows of."""
    if SANITIZER: return "the same for each build"
    root = scratch()
    kept = os.path.join(root, "kept")
    for form, names in (("fast", ("good", "bad", "alone")), ("sanitized", ("good", "bad"))):
        os.makedirs(os.path.join(root, form))
        for name in names:
            with open(os.path.join(root, form, "fuzz_" + name), "w") as f:
                f.write(TARGET)
            os.chmod(f.name, 0o755)

    def fuzz(only, *forms, **env):
        p = subprocess.run(["sh", os.path.join(ROOT, "fuzz/run.sh")] + [os.path.join(root, form) for form in forms], text=True,
                           capture_output=True, env=dict(os.environ, FUZZ_ONLY=only, FUZZ_KEEP=kept, KEPT=kept, **env))
        calls = os.path.join(root, forms[0], "fuzz_%s.calls" % only)
        return p.returncode, p.stdout, open(calls).read().splitlines()[-1] if os.path.exists(calls) else ""

    code, said, call = fuzz("good", "fast", "sanitized", FUZZ_RUNS="1000", FUZZ_SECONDS="0")
    assert (code, " -runs=1000 " in call, " -max_total_time=0 " in call) == (0, True, True), (said, call)
    assert re.fullmatch(r"ok fuzz_good: 900 inputs, \d+ a second, \d+ seconds, 12 edges, 34 features; "
                        r"the 900 kept pass under the sanitizers\n1 passed, 0 failed\n", said), said
    assert " -runs=0 " in open(os.path.join(root, "sanitized/fuzz_good.calls")).read()
    code, said, call = fuzz("good", "fast", "sanitized", FUZZ_RUNS="1000")
    assert code == 0 and " -runs=100 " in call and ", 1800 in all runs\n" in said, (said, call)
    code, said, call = fuzz("bad", "fast")
    assert code == 0 and " -runs=-1 " in call and "sanitizers" not in said, (said, call)
    for name in ("bad", "alone"):
        code, said, _ = fuzz(name, "fast", "sanitized")
        assert code == 1 and "not ok fuzz_%s, under the sanitizers" % name in said, said
        assert said.endswith("\n0 passed, 1 failed\n"), said


@test
def an_editor_gets_the_flags_of_each_file():
    if SANITIZER: return "the same for each build"
    copy = sources()
    code, said = make(copy, "compile_commands.json")
    assert code == 0, said
    with open(os.path.join(copy, "compile_commands.json")) as f:
        entries = {entry["file"]: entry for entry in json.load(f)}
    have = {os.path.relpath(path, copy) for folder in ("src", "tests/unit", "tests/bench", "fuzz")
            for path in glob.glob(os.path.join(copy, folder, "**", "*.c"), recursive=True)
            # Other people's libraries, as tests/bench/verify.py builds them; what clang and Go compile.
            if not re.search("/peers/|/edge/wasm/|/bindings/go/", path)}
    assert len(have) > 150 and have <= set(entries), have - set(entries)
    entry = entries["src/base/date.c"]
    os.makedirs(os.path.join(copy, "build", "src", "base"))
    subprocess.run(entry["command"], shell=True, check=True, cwd=entry["directory"])


HINT = "(Move the function"
FOLDERS = re.findall(r'^    "([a-z/]+)": ', re.search(r"^SEES = {\n(.*?)^}", open(LAYERS).read(), re.S | re.M)[1], re.M)


def layers(files, without=()):
    """Compile a tree of such files, and hold `make layers` against it."""
    root = scratch()
    for folder in FOLDERS:
        if folder not in without:
            os.makedirs(os.path.join(root, "src", folder))
    for path, text in files.items():
        path = os.path.join(root, "src", path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
    for path in files:
        if path.endswith(".c"):
            built = os.path.join(root, "build", "src", path[:-2] + ".o")
            os.makedirs(os.path.dirname(built), exist_ok=True)
            subprocess.run(["cc", "-O1", "-fPIC", "-I", os.path.join(root, "src"), "-c", "-o", built,
                            os.path.join(root, "src", path)], check=True)
    p = subprocess.run([sys.executable, LAYERS, os.path.join(root, "build"), root],
                       capture_output=True, text=True)
    assert (p.returncode == 0) == (p.stderr == ""), p
    said, hint, _ = p.stderr.partition(HINT)
    assert (hint == "") == (said == ""), p.stderr
    return said


GOOD = {
    "base/text.h": "int st_text_len(int a);\n",
    "base/text.c": '#include "base/text.h"\nint st_text_len(int a) { return a + 1; }\n',
    "core/pure.h": "int st_pure(int a);\n",
    "core/pure.c": '#include "core/pure.h"\n#include "base/text.h"\n'
                  "int st_pure(int a) { return st_text_len(a); }\n",
    "service/router.c": '#include "core/pure.h"\nint st_router(int a);\n'
                        "int st_router(int a) { return st_pure(a); }\n",
}


@test
def layers_lets_through_what_points_one_way():
    assert layers(GOOD) == ""


@test
def layers_finds_a_circle_of_files():
    """By a call alone, by an include alone, and through a third file."""
    said = layers(dict(GOOD, **{
        "core/one.c": "int st_two(int a);\nint st_one(int a);\nint st_one(int a) { return st_two(a); }\n",
        "core/two.c": "int st_three(int a);\nint st_two(int a);\nint st_two(int a) { return st_three(a); }\n",
        "core/three.c": "int st_one(int a);\nint st_three(int a);\n"
                        "int st_three(int a) { return st_one(a); }\n"}))
    assert "a circle of 3 files: core/one core/three core/two" in said, said
    assert "core/one sees core/two: st_two" in said and "core/three sees core/one: st_one" in said, said
    said = layers(dict(GOOD, **{
        "core/one.h": '#include "core/two.h"\n', "core/two.h": "extern int st_x;\n",
        "core/two.c": '#include "core/one.h"\n'}))
    assert "a circle of 2 files: core/one core/two" in said, said
    assert "core/two sees core/one: includes core/one.h" in said, said


@test
def layers_finds_an_arrow_that_points_the_wrong_way():
    """By an include, by a call, and out of a folder in a folder."""
    said = layers(dict(GOOD, **{"base/up.c": '#include "core/pure.h"\nextern int st_up;\n'}))
    assert "base/up may not see core/pure: includes core/pure.h" in said, said
    said = layers(dict(GOOD, **{
        "domain/up.c": "int st_router(int a);\nint st_up(int a);\nint st_up(int a) { return st_router(a); }\n"}))
    assert said == "layers: domain/up may not see service/router: st_router\n", said
    said = layers(dict(GOOD, **{
        "store/sqlite/up.c": "int st_router(int a);\nint st_up(int a);\nint st_up(int a) { return st_router(a); }\n"}))
    assert said == "layers: store/sqlite/up may not see service/router: st_router\n", said
    said = layers(dict(GOOD, **{"edge/nginx/inside.c": '#include "core/pure.h"\nextern int st_in;\n'}))
    assert "edge/nginx/inside may not see core/pure" in said, said


@test
def layers_finds_a_circle_of_folders():
    said = layers(dict(GOOD, **{
        "core/a.c": "int st_b(int a);\nint st_a(int a);\nint st_a(int a) { return st_b(a); }\n",
        "feed/b.c": "int st_pure(int a);\nint st_b(int a);\nint st_b(int a) { return st_pure(a); }\n"}))
    assert "a circle of 2 folders: core feed" in said and "core/a > feed/b" in said, said


@test
def layers_finds_a_drawing_that_is_not_of_the_tree():
    said = layers(GOOD, without=("feed",))
    assert said == "layers: SEES of tests/layers.py names feed: there is no such folder in src\n", said


@test
def layers_finds_what_is_asked_outside_of_its_place():
    """State and the system in base and core, the clock in the service, and other people's libraries."""
    for path, text, found in (
            ("core/state.c", "extern int st_state;\nint st_state = 3;\n", "core/state has 4 bytes of writable data"),
            ("base/state.c", "int *st_get(void);\nint *st_get(void) { static int n; return &n; }\n",
             "base/state keeps state: n"),
            ("core/asks.c", "void *malloc(unsigned long);\nvoid *st_get(void);\n"
                            "void *st_get(void) { return malloc(3); }\n", "core/asks needs malloc"),
            ("base/asks.h", "#include <stdio.h>\n", "base/asks includes <stdio.h>"),
            ("service/asks.c", "long time(long *);\nlong st_get(void);\n"
                               "long st_get(void) { return time(0); }\n", "service/asks calls time"),
            ("server/asks.c", "int sqlite3_step(int);\nint st_get(int a);\n"
                              "int st_get(int a) { return sqlite3_step(a); }\n",
             "server/asks uses SQLite (sqlite3_step)"),
            ("elsewhere/a.h", "extern int st_a;\n", "src/elsewhere: not in SEES of tests/layers.py")):
        said = layers(dict(GOOD, **{path: text}))
        assert said.count("layers: ") == 1 and found in said, (path, said)


main()
