"""The recipes of .github/CONTRIBUTING.md are done in a copy of the tree, as somebody would who follows
them; and what it and its neighbours name is there."""
from transcripts import *

PAGE = document(".github/CONTRIBUTING.md")
STEP = re.compile(r"(?:Make|as an example.*? Make|Add to) `([^`]+)`(?:, below `([^`]+)`)?:\n\n```c\n(.*?)^```",
                  re.S | re.M)


OTHER = """#include "support.h"

#include "domain/store.h"
#include "os/error.h"

static void its_opener_is_asked(void **state) {
  (void)state;
  char error[ST_ERROR_MAX];
  st_store *store;
  assert_int_equal(st_store_open("other:x", true, &store, error), ST_STORE_FAILED);
  assert_string_equal(error, "the other database does not answer");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(its_opener_is_asked)};
  return cmocka_run_group_tests_name("other", tests, NULL, NULL);
}
"""


def copy_tree():
    """With what is built already: a change is built as in the tree of whoever makes it."""
    tree = os.path.join(scratch(), "subtoken")
    fetched = os.path.join(ROOT, "third_party", "src")
    shutil.copytree(ROOT, tree, symlinks=True, ignore=lambda d, names: [
        n for n in names if n in (".git", "build", "var", "node_modules", "__pycache__") or
        os.path.join(d, n) == fetched])
    os.symlink(fetched, os.path.join(tree, "third_party", "src"))
    for part in ("src", "third_party"):
        if os.path.isdir(os.path.join(ROOT, "build", part)):
            shutil.copytree(os.path.join(ROOT, "build", part), os.path.join(tree, "build", part))
    return tree


def follow(tree, steps):
    for path, below, text in steps:
        path = os.path.join(tree, path)
        if not below:
            assert not os.path.exists(path), path
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as f:
                f.write(text)
            continue
        with open(path) as f:
            lines = f.readlines()
        at = [i for i, line in enumerate(lines) if below in line]
        assert len(at) == 1, (path, below, at)
        lines.insert(at[0] + 1, text)
        with open(path, "w") as f:
            f.writelines(lines)


def replace(tree, path, old, new):
    with open(os.path.join(tree, path)) as f:
        text = f.read()
    assert text.count(old) == 1, (path, old)
    with open(os.path.join(tree, path), "w") as f:
        f.write(text.replace(old, new))


def section(title):
    return re.search(r"^## %s\n(.*?)(?=^## |\Z)" % title, PAGE, re.S | re.M).group(1)


def in_tree(tree, *command, code=0):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    p = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, timeout=540)
    assert p.returncode == code, (command, p.stdout[-2000:], p.stderr[-4000:])
    return p.stdout


@test
def an_endpoint_a_command_and_a_store_are_added_as_told():
    if SANITIZER: return "the same for each build"
    tree = copy_tree()
    endpoint, command = STEP.findall(section("Add an endpoint")), STEP.findall(section("Add a command"))
    assert len(endpoint) == 4 and len(command) == 2, (endpoint, command)
    store = STEP.findall(section("Add a store"))
    assert len(store) == 4, store
    follow(tree, endpoint + command + store)
    unchanged = os.stat(os.path.join(tree, "Makefile"))
    replace(tree, "Makefile", "store/postgres operations", "store/postgres store/other operations")
    os.utime(os.path.join(tree, "Makefile"), ns=(unchanged.st_atime_ns, unchanged.st_mtime_ns))  # no flag is another
    replace(tree, "tests/layers.py", '    "store/sqlite": STORE,\n', '    "store/sqlite": STORE,\n    "store/other": STORE,\n')
    replace(tree, "tests/layers.py", "CHOICES = {", 'CHOICES = {("store/store", "store/other/open"), ')
    with open(os.path.join(tree, "tests/unit/test_other.c"), "w") as f:
        f.write(OTHER)
    if shutil.which("clang-format"):
        in_tree(tree, "clang-format", "--dry-run", "-Werror", *{path for path, _, _ in endpoint + command + store})
    in_tree(tree, "make", "-j2", "OPT=-O0", "all", "check-version", "check-other")  # what is compiled anew, quickly
    said = subprocess.run([sys.executable, "tests/layers.py", "build"], cwd=tree, capture_output=True,
                          text=True).stderr
    assert not re.search("service/version|cli/cmd_count|store/other", said), said
    data = os.path.join(scratch(), "var")
    make_key(data)
    assert in_tree(tree, "build/subtoken", "count", "--data", data) == "1\n"
    assert "count" in in_tree(tree, "build/subtoken", "--help")


@test
def what_the_pages_name_is_there():
    for name in ("CONTRIBUTING", "SECURITY", "CHANGELOG"):
        text = document(".github/%s.md" % name)
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert os.path.exists(os.path.join(ROOT, ".github", link)), (name, link)
        for page, part in re.findall(r"\b(subtoken[\w.]*|libsubtoken)\((\d)\)", text):
            assert os.path.exists(os.path.join(ROOT, "src", "man", "%s.%s" % (page, part))), (page, part)
    code = "".join(document(os.path.join("src", f)) for f in
                   subprocess.run(["find", ".", "-name", "*.[ch]"], cwd=os.path.join(ROOT, "src"),
                                  capture_output=True, text=True).stdout.split())
    for name in re.findall(r"`(st_[a-z_]+)`", PAGE):
        assert re.search(r"\b%s\b" % name, code), name


@test
def the_table_of_the_layers_is_what_is_held():
    """Each folder has a row, and each row says what tests/layers.py lets it see."""
    table = {}
    exec(re.search(r"^LIBRARY = .*?^}", document("tests/layers.py"), re.S | re.M).group(0), table)
    rows = {folder: seen for folders, seen in re.findall(r"^\| ([a-z/, ]+) \| (.*) \|$", section("Layers"), re.M)
            for folder in folders.split(", ")}
    folders = list(table["SEES"])
    assert [f for f in rows if f != "folder"] == folders or set(rows) - {"folder"} == set(folders), rows
    for folder in ("core", "feed", "os", "domain", "service", "store"):
        assert set(rows[folder].split(", ")) == set(table["SEES"][folder]), (folder, rows[folder])


main()
