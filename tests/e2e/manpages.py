"""The manual pages as the tests read them: sections, tables, literal blocks, and the text as mandoc renders it."""
from support import *

ROOT = os.path.dirname(TESTS)
BUILD = os.path.dirname(PROGRAM)
MAN = os.path.join(ROOT, "src", "man")
PAGES = {n: open(os.path.join(MAN, n)).read() for n in sorted(os.listdir(MAN))}


# ---- the pages ----

def section(page, name):
    found = re.search(r"^\.Sh %s\n(.*?)(?=^\.Sh |\Z)" % name, PAGES[page], re.S | re.M)
    assert found, (page, name)
    return found.group(1)


ESCAPES = {r"\e": "\\", r"\-": "-", r"\&": "", r"\(aq": "'", r"\(ga": "`", r"\(ha": "^",
           r"\(ti": "~", r"\(dq": '"', r"\[u2026]": "…"}


def plain(text):
    """Without the escapes of roff; one that is not known is an error."""
    def one(found):
        assert found.group(0) in ESCAPES, found.group(0)
        return ESCAPES[found.group(0)]
    return re.sub(r"\\(?:\(..|\[[^]]*\]|.)", one, text)


def literals(text):
    return [plain(b) for b in re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed$", text, re.S | re.M)]


def names(page):
    return re.findall(r"^\.Nm (\S+)", section(page, "NAME"), re.M)


def rows(text, macro):
    """The cells of each `.It MACRO a Ta b Ta c` of a table."""
    return [[plain(c).strip() for c in l.split(" Ta ")]
            for l in re.findall(r"^\.It %s (.* Ta .*)$" % macro, text, re.M)]


def reads(page):
    """The words of a page as mandoc renders them."""
    p = subprocess.run(["mandoc", "-T", "utf8", "-O", "width=1000", page], cwd=MAN,
                       capture_output=True, text=True, check=True)
    return " ".join(re.sub(".\b", "", p.stdout).split())


# ---- what they show ----

CFLAGS = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I" + ROOT + "/include"]


def build(source, cwd, name="example"):
    with open(os.path.join(cwd, name + ".c"), "w") as f:
        f.write(source)
    p = subprocess.run(["gcc", *CFLAGS, name + ".c", os.path.join(BUILD, "libsubtoken.a"), "-o",
                        name], cwd=cwd, capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    return subprocess.run(["./" + name], cwd=cwd, capture_output=True, text=True, timeout=60)
