"""What `make install` leaves behind, once a run: staged for a distribution, and in a PREFIX of its own that is in use. It
is that of the plain build; under a sanitizer a test that imports this is skipped."""
import functools
from support import *

if SANITIZER:  # the library needs the sanitizer's own program around it
    print("1..1\nok 1 - what is installed is the plain build # SKIP under sanitizers")
    sys.exit(0)

ROOT = os.path.dirname(TESTS)
HERE = os.path.join(TESTS, "install")
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


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


def library():
    return os.path.join(prefix(), "lib", SONAME)


def pkg_config(*args, root=None, **env):
    path = os.path.join(root or prefix(), "lib/pkgconfig")
    return sh("pkg-config", *args, "subtoken",
              env=dict(os.environ, PKG_CONFIG_PATH=path, **env)).split()
