"""Another revision of this tree, built from git archive in BUILD/against with the sources of third_party that are here.
The tree is left for the next time."""
import os, shutil, subprocess, tempfile
from common import last_line

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMPILER = os.environ.get("BENCH_CC", "gcc").split()


class NotBuilt(Exception):
    """In one line."""


def git(*args):
    return subprocess.run(["git", "-C", TOP, *args], capture_output=True, text=True)


def commit_of(revision):
    """Its full name, or None: it is not in this clone's history."""
    found = git("rev-parse", "--verify", "--quiet", revision + "^{commit}") if revision else None
    return found.stdout.strip() if found and found.returncode == 0 else None


def copy(tree, *parts):
    """What is the same for both and takes long to make."""
    source, target = os.path.join(TOP, *parts), os.path.join(tree, *parts)
    if os.path.isdir(source) and not os.path.isdir(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        subprocess.run(["cp", "-a", source, target], check=True)


def build(commit, out, *targets):
    """The tree of a commit under out, with these targets of its Makefile made."""
    os.makedirs(out, exist_ok=True)
    tree = os.path.join(out, commit)
    if not os.path.isdir(tree):
        part = tempfile.mkdtemp(dir=out)
        archive = subprocess.Popen(["git", "-C", TOP, "archive", commit], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", part], stdin=archive.stdout, check=True)
        assert archive.wait() == 0
        os.rename(part, tree)
    copy(tree, "third_party", "src")
    copy(tree, "build", "nginx")
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    p = subprocess.run(["make", "-C", tree, "-j%d" % os.cpu_count(), "CC=" + " ".join(COMPILER), *targets],
                       env=env, capture_output=True, text=True)
    if p.returncode != 0:
        raise NotBuilt(last_line(p.stderr))
    return tree
