"""subtoken_threats(7) and SECURITY.md: what they say cannot be done is shown by tests that are there, and the commands that
they name are targets and tests of this tree."""
from manpages import *

ROOT = os.path.dirname(TESTS)
PAGE = "subtoken_threats.7"
PLACES = ["THE NETWORK", "A CLIENT", "AN EDGE", "AN EDGE'S DISK", "AN ISSUER'S DISK", "THE DATABASE",
          "THE LOG, THE PROCESS LIST, CORES AND METRICS", "AN OPERATOR'S BROWSER", "THE SUPPLY"]
SHOWN = re.compile(r"^\.Pa (\S+) : Sy (\S+)$", re.M)


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def is_run(file, name):
    """Is there such a test, and does its file list it for running?"""
    text = read("tests", file)
    if file.endswith(".py"):
        return re.search(r"^@test\ndef %s\(" % name, text, re.M) or re.search(r"^def %s\(" % name, text, re.M) and re.search(r"test\(%s\)" % name, text)
    if file.endswith(".mjs"):
        return re.search(r"[\"'`]%s[\"'`]" % name, text)
    if file.startswith("constant_time/"):
        return re.search(r"^static bool %s\(" % name, text, re.M) and re.search(r"CASE\(%s\)|report\(%s\(" % (name, name), text)
    defined = re.search(r"^(static )?void %s\(void \*\*" % name, text, re.M)
    return defined and len(re.findall(r"\b%s\b" % name, text)) > 1


@test
def what_cannot_be_done_is_shown_by_tests_that_are_there():
    text, seen = read("src/man", PAGE), 0
    for place in PLACES:
        part = re.search(r"^\.Sh %s\n(.*?)(?=^\.Sh )" % re.escape(place), text, re.M | re.S)
        assert part, "no section " + place
        can, _, cannot = part[1].partition("One cannot:\n")
        assert cannot and "shown" not in SHOWN.findall(can), place
        for item in cannot.split("\n.It ")[1:]:
            shown = SHOWN.findall(item)
            assert shown, "nothing shows that one cannot " + item.split("\n")[0]
            for file, name in shown:
                assert os.path.exists(os.path.join(TESTS, file)), file
                assert is_run(file, name), "no test %s in %s" % (name, file)
                seen += 1
    assert seen == len(SHOWN.findall(text)) > 80, seen


@test
def the_commands_of_figures_are_there():
    """Each `make TARGET` in SECURITY.md and on the page is one, and each path leads somewhere."""
    targets = set(re.findall(r"^([a-z][a-z0-9-]*)\b[^:=\n]*:(?!=)", read("Makefile"), re.M))
    for where in (".github/SECURITY.md", "src/man/" + PAGE):
        text = read(where)
        for line in re.findall(r"(?:`|^\.Dl |\.Li )make ((?:[A-Z_]+='[^']*' |[A-Z_]+=\S+ )*[a-z][a-z0-9_-]*)", text, re.M):
            target = line.split()[-1]
            assert target in targets or any(target.startswith(p) for p in ("e2e-", "check-", "bench-")), (where, target)
            if target.startswith("e2e-"):
                assert os.path.exists(os.path.join(TESTS, "e2e/test_%s.py" % target[4:])), (where, target)
        for path in re.findall(r"\]\(([^)#:]+)\)", text):
            assert os.path.exists(os.path.join(ROOT, os.path.dirname(where), path)), (where, path)


@test
def the_page_has_the_figures_of_security_md():
    """Each command of its figures is that of a row there, and each number of them stands in that row."""
    rows = {row.split(" | ")[-1].strip(" |\n"): row for row in re.findall(r"^\| .* \|$", read(".github/SECURITY.md"), re.M)}
    part = re.search(r"^\.Sh FIGURES\n(.*?)^\.Sh ", read("src/man", PAGE), re.M | re.S)[1]
    items = part.split("\n.It ")[1:]
    for item in items:
        figure, command = re.fullmatch(r"[^\n]*\n(.*)\n\.Dl ([^\n]*)\n?(?:\.El\n)?", item, re.S).groups()
        assert "`%s`" % command in rows, command
        for number in re.findall(r"\d[\d,]*(?:\.\d+)?", figure):
            assert re.search(r"(?<![\d,.])%s(?![\d,]|\.\d)" % re.escape(number), rows["`%s`" % command]), (number, command)
    assert len(items) >= 6, items


main()
