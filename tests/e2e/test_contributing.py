"""The recipes of .github/CONTRIBUTING.md are done in a copy of the tree, as somebody would who follows
them; and what it and its neighbours name is there."""
from transcripts import *

PAGE = document(".github/CONTRIBUTING.md")
STEP = re.compile(r"(?:Make|as an example.*? Make|Add to) `([^`]+)`(?:, below `([^`]+)`)?:\n\n```c\n(.*?)^```",
                  re.S | re.M)


def copy_tree():
    tree = os.path.join(scratch(), "subtoken")
    fetched = os.path.join(ROOT, "third_party", "src")
    shutil.copytree(ROOT, tree, symlinks=True, ignore=lambda d, names: [
        n for n in names if n in (".git", "build", "var", "node_modules", "__pycache__") or
        os.path.join(d, n) == fetched])
    os.symlink(fetched, os.path.join(tree, "third_party", "src"))
    return tree


def follow(tree, steps):
    for path, below, text in steps:
        path = os.path.join(tree, path)
        if not below:
            assert not os.path.exists(path), path
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


def section(title):
    return re.search(r"^## %s\n(.*?)(?=^## |\Z)" % title, PAGE, re.S | re.M).group(1)


def in_tree(tree, *command, code=0):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    p = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, timeout=540)
    assert p.returncode == code, (command, p.stdout[-2000:], p.stderr[-4000:])
    return p.stdout


@test
def an_endpoint_and_a_command_are_added_as_told():
    if SANITIZER: return "the same for each build"
    tree = copy_tree()
    endpoint, command = STEP.findall(section("Add an endpoint")), STEP.findall(section("Add a command"))
    assert len(endpoint) == 4 and len(command) == 2, (endpoint, command)
    follow(tree, endpoint + command)
    if shutil.which("clang-format"):
        in_tree(tree, "clang-format", "--dry-run", "-Werror", *{path for path, _, _ in endpoint + command})
    in_tree(tree, "make", "-j2", "all", "check-version")
    said = subprocess.run([sys.executable, "tests/layers.py", "build"], cwd=tree, capture_output=True,
                          text=True).stderr
    assert "service/version" not in said and "cli/cmd_count" not in said, said
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
    rows = dict(re.findall(r"^\| ([a-z/]+) \| (.*) \|$", section("Layers"), re.M))
    folders = [f for f in table["SEES"] if f != "store/postgres"]
    assert [f for f in rows if f != "folder"] == folders or set(rows) - {"folder"} == set(folders), rows
    for folder in ("core", "feed", "os", "domain", "service", "store"):
        assert set(rows[folder].split(", ")) == set(table["SEES"][folder]), (folder, rows[folder])


main()
