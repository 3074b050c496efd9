"""src/packaging/release.sh, as SECURITY.md and CONTRIBUTING.md say: made of a signed tag alone, and checked by somebody who
has the tag, the files and the public key. In a repository of the test's own, which signs with a key of its own."""
from installed import *

BUILT = os.path.join(ROOT, "build")
GIT = ["git", "-c", "user.name=A Releaser", "-c", "user.email=releaser@example.test", "-c", "commit.gpgsign=false"]


@functools.lru_cache(None)
def repository():
    """(its folder, its key): this tree as one commit; what it builds is built already."""
    tree = os.path.join(scratch(), "tree")
    os.mkdir(tree)
    for name in ("Makefile", "LICENSE", "README.md", ".github", "include", "src", "tests", "fuzz", "findings", "third_party"):
        if os.path.isdir(os.path.join(ROOT, name)):
            shutil.copytree(os.path.join(ROOT, name), os.path.join(tree, name), symlinks=True,
                            ignore=lambda d, names: [n for n in names if n in ("node_modules", "__pycache__") or (d.endswith("third_party") and n == "src")])
        else:
            shutil.copy(os.path.join(ROOT, name), tree)
    key = os.path.join(scratch(), "key")
    sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "releaser@example.test", "-f", key)
    allowed = key + ".allowed"
    with open(allowed, "w") as f:
        f.write("releaser@example.test " + read(key + ".pub"))
    git(tree, "init", "-q", "-b", "main")
    for name, value in (("gpg.format", "ssh"), ("user.signingkey", key), ("gpg.ssh.allowedSignersFile", allowed)):
        git(tree, "config", name, value)
    commit(tree)
    return tree, key


def git(tree, *words):
    return sh(*GIT, *words, cwd=tree)


def commit(tree):
    git(tree, "add", "-A", "-f", ".")
    git(tree, "commit", "-q", "--allow-empty", "-m", "release: a version")


def changed(path, old, new):
    tree = repository()[0]
    text = read(tree, path)
    assert old in text, (path, old)
    with open(os.path.join(tree, path), "w", encoding="utf-8") as f:
        f.write(text.replace(old, new, 1))
    commit(tree)


def release(tag, out):
    """make stands for the build: what it would make is in build/ already."""
    tree = repository()[0]
    bin = os.path.join(scratch(), "bin")
    os.mkdir(bin)
    with open(os.path.join(bin, "make"), "w") as f:
        f.write('#!/bin/sh\n[ -f Makefile ] && [ ! -d .git ] || exit 1\n[ "$1" != reproduce ] || { for f in subtoken libsubtoken.a; do echo "same '
                '$(sha256sum <build/$f | cut -d " " -f 1) $f"; done; exit 0; }\nln -s %s build && mkdir -p third_party && ln -sfn %s third_party/src\n'
                % (BUILT, os.path.join(ROOT, "third_party/src")))
    os.chmod(os.path.join(bin, "make"), 0o755)
    p = subprocess.run(["sh", os.path.join(tree, "src/packaging/release.sh"), tag, out], capture_output=True, text=True,
                       cwd=tree, env=dict(os.environ, PATH=bin + ":" + os.environ["PATH"]))
    return p.returncode, p.stderr


@test
def a_release_is_made_of_a_signed_tag_alone():
    tree, _ = repository()
    out = os.path.join(scratch(), "out")
    tag = "v" + VERSION
    changed(".github/CHANGELOG.md", "## [Unreleased]\n", "## [Unreleased]\n\n## [%s] - 2026-12-01\n" % VERSION)
    code, said = release(tag, out)
    assert code == 1 and "not a tag with a signature" in said, said  # there is none
    git(tree, "tag", "-a", "-m", "unsigned", tag)
    code, said = release(tag, out)
    assert code == 1 and "not a tag with a signature" in said, said
    git(tree, "tag", "-d", tag)
    git(tree, "tag", "-s", "-m", "another", "v9.9.9")
    code, said = release("v9.9.9", out)
    assert code == 1 and "has version %s" % VERSION in said, said
    git(tree, "tag", "-s", "-m", "a version", tag)
    with open(os.path.join(tree, "Makefile"), "a") as f:
        f.write("# what is not committed\n")
    code, said = release(tag, out)
    assert code == 0, said
    name = "subtoken-" + VERSION
    assert sorted(os.listdir(out)) == ["SHA256SUMS", "SHA256SUMS.sig"] + [name + e for e in (".build", ".spdx.json", ".tar.gz")]
    listing = sh("tar", "-tzf", os.path.join(out, name + ".tar.gz")).split()
    assert name + "/Makefile" in listing and not [n for n in listing if "/.git/" in n or n.startswith(name + "/build/")]
    assert "what is not committed" not in sh("tar", "-xzOf", os.path.join(out, name + ".tar.gz"), name + "/Makefile")
    built = read(out, name + ".build")
    assert "source: mbedtls 3.6" in built and hashlib.sha256(open(PROGRAM, "rb").read()).hexdigest() in built, built
    again = out + "2"
    assert release(tag, again)[0] == 0
    assert read(again, "SHA256SUMS") == read(out, "SHA256SUMS")  # the tarball, too, is the same bits
    code, said = release(tag, out)
    assert code == 1 and "there already" in said
    checked(out)


def checked(out):
    """As whoever downloads it does (SECURITY.md); and what was changed on the way is found."""
    _, key = repository()

    def verifies(allowed=key + ".allowed"):
        with open(os.path.join(out, "SHA256SUMS"), "rb") as f:
            p = subprocess.run(["ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "releaser@example.test", "-n", "file", "-s",
                                os.path.join(out, "SHA256SUMS.sig")], stdin=f, capture_output=True)
        return p.returncode == 0 and subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=out, capture_output=True).returncode == 0
    assert verifies()
    path = os.path.join(out, "subtoken-%s.build" % VERSION)
    text = read(path)
    with open(path, "a") as f:
        f.write("x")
    assert not verifies()
    with open(path, "w") as f:
        f.write(text)
    assert verifies()
    with open(os.path.join(out, "SHA256SUMS"), "a") as f:
        f.write("0" * 64 + "  nothing\n")
    assert not verifies()


@test
def a_version_that_is_not_written_down_is_no_release():
    tree, _ = repository()
    changed("include/subtoken/common.h", '"%s"' % VERSION, '"0.3.77"')
    for missing, path, old, new in (
            ("CHANGELOG.md has no", ".github/CHANGELOG.md", "## [Unreleased]\n", "## [Unreleased]\n\n## [0.3.77] - 2026-12-02\n"),
            ("debian/changelog does not begin", "src/packaging/debian/changelog", "subtoken (", "subtoken (0.3.77) unstable; urgency=medium\n\n  * x\n\nsubtoken (")):
        git(tree, "tag", "-f", "-s", "-m", "a version", "v0.3.77")
        code, said = release("v0.3.77", os.path.join(scratch(), "out"))
        assert code == 1 and missing in said, said
        changed(path, old, new)
    git(tree, "tag", "-f", "-s", "-m", "a version", "v0.3.77")
    code, said = release("v0.3.77", os.path.join(scratch(), "out"))
    assert code == 0, said


main()
