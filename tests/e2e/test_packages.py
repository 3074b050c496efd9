"""The Debian packages, of what is built already: what is in them and what they ask for, that lintian finds nothing, how
far their units are shut in, their scripts, and the document of what is inside. tests/install/debian.py installs them in
a Debian that boots."""
import pwd
from installed import *

BUILD = os.path.dirname(PROGRAM)
PACKAGING = os.path.join(ROOT, "src/packaging")
NAMES = ["libnginx-mod-http-subtoken", "libsubtoken-dev", "libsubtoken0", "python3-subtoken", "subtoken"]
UNITS = ["subtoken.service", "subtoken-pull.service", "subtoken-backup.service"]


@functools.lru_cache(None)
def packed():
    """Where the packages are."""
    out = os.path.join(scratch(), "deb")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    sh("sh", os.path.join(PACKAGING, "build.sh"), out, BUILD, cwd=ROOT, env=env)
    return out


@functools.lru_cache(None)
def package(name):
    """Where the package is unpacked, its control files in DEBIAN."""
    (path,) = glob.glob(os.path.join(packed(), name + "_*.deb"))
    to = os.path.join(scratch(), name)
    sh("dpkg-deb", "-R", path, to)
    return to


def field(name, which):
    (path,) = glob.glob(os.path.join(packed(), name + "_*.deb"))
    return sh("dpkg-deb", "-f", path, which).strip()


def files(name):
    root = package(name)
    return {os.path.relpath(os.path.join(d, f), root) for d, _, names in os.walk(root) for f in names if not d.startswith(root + "/DEBIAN")}


@test
def lintian_finds_nothing():
    (changes,) = glob.glob(os.path.join(packed(), "*.changes"))
    assert sh("lintian", "--fail-on", "error,warning", "--tag-display-limit", "0", changes) == ""


@test
def each_file_is_in_the_package_that_it_belongs_to():
    assert sorted(p.split("_")[0] for p in os.listdir(packed()) if p.endswith(".deb") and "dbgsym" not in p) == NAMES
    lib = "usr/lib/" + sh("dpkg-architecture", "-qDEB_HOST_MULTIARCH").strip()
    expected = {
        "subtoken": ["usr/bin/subtoken", "usr/sbin/subtoken-admin", "usr/lib/subtoken/subtoken-backup", "etc/subtoken/config.json",
                     "etc/default/subtoken-pull", "etc/default/subtoken-backup", "etc/logrotate.d/subtoken",
                     "usr/lib/sysusers.d/subtoken.conf", "usr/lib/tmpfiles.d/subtoken.conf", "lib/systemd/system/subtoken-backup.timer",
                     "usr/share/bash-completion/completions/subtoken", "usr/share/man/man1/subtoken.1.gz",
                     "usr/share/subtoken/prometheus/alerts.yml", "usr/share/man/man8/subtoken-admin.8.gz"] + ["lib/systemd/system/" + unit for unit in UNITS],
        "libsubtoken0": [lib + "/libsubtoken.so." + VERSION, lib + "/" + SONAME],
        "libsubtoken-dev": [lib + "/libsubtoken.so", lib + "/libsubtoken.a", lib + "/pkgconfig/subtoken.pc",
                            "usr/include/subtoken/verify.h", "usr/share/man/man3/subtoken_verify.3.gz"],
        "libnginx-mod-http-subtoken": ["usr/lib/nginx/modules/ngx_http_subtoken_module.so",
                                       "usr/share/nginx/modules-available/mod-http-subtoken.conf"],
        "python3-subtoken": ["usr/lib/python3/dist-packages/subtoken.py"],
    }
    seen = {}
    for name in NAMES:
        assert not set(expected[name]) - files(name), (name, set(expected[name]) - files(name))
        for path in files(name):
            assert seen.setdefault(path, name) == name, (path, name, seen[path])
    # Every manual page, and all else that `make install` installs, is in one of them.
    installed = {os.path.basename(f) for d, _, names in os.walk(staged()) for f in names} - {"subtoken.lua"}
    assert not installed - {re.sub(r"\.gz$", "", os.path.basename(p)) for p in seen}, installed
    assert read(package("subtoken"), "DEBIAN/conffiles").split() == [
        "/etc/default/subtoken-backup", "/etc/default/subtoken-pull", "/etc/logrotate.d/subtoken", "/etc/subtoken/config.json"]


@test
def the_version_is_that_of_the_program_and_other_minors_do_not_fit():
    minor, following = "0.%d" % int(VERSION.split(".")[1]), "0.%d~" % (int(VERSION.split(".")[1]) + 1)
    strict = "libsubtoken0 (>= %s), libsubtoken0 (<< %s)" % (minor, following)
    for name in NAMES:
        assert field(name, "Version") == VERSION, (name, field(name, "Version"))
    assert read(package("libsubtoken0"), "DEBIAN/shlibs").strip() == "libsubtoken %s %s" % (minor, strict)
    assert strict in field("python3-subtoken", "Depends"), field("python3-subtoken", "Depends")
    assert "libpq5 (>= 14)" in field("subtoken", "Depends")  # it is loaded by name, where the linker sees nothing
    assert field("libsubtoken-dev", "Depends") == "libsubtoken0 (= %s)" % VERSION
    assert "nginx-abi-" in field("libnginx-mod-http-subtoken", "Depends")
    pc = read(package("libsubtoken-dev"), glob.glob(package("libsubtoken-dev") + "/usr/lib/*/pkgconfig/subtoken.pc")[0])
    assert "libdir=${prefix}/lib/" + sh("dpkg-architecture", "-qDEB_HOST_MULTIARCH") in pc, pc


@test
def the_units_are_shut_in():
    d = os.path.join(package("subtoken"), "lib/systemd/system")
    for unit in UNITS:
        # Exposure in tenths: at most 2.0.
        p = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", os.path.join(d, unit)],
                           capture_output=True, text=True)
        assert p.returncode == 0 and "Overall exposure level" in p.stdout, (unit, p.stdout[-600:], p.stderr)
    # What systemd does not know in a unit it says; the programs are those of the package.
    checked = scratch()
    for name in os.listdir(d):
        with open(os.path.join(checked, name), "w") as f:
            f.write(re.sub(r"/usr/(?=(bin|lib)/subtoken)", package("subtoken") + "/usr/", read(d, name)))
    p = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no"] +
                       [os.path.join(checked, name) for name in sorted(os.listdir(checked))], capture_output=True, text=True)
    assert p.returncode == 0 and p.stderr == "", p.stderr


def unit(text):
    """{setting: value} of a unit's text."""
    return dict(re.findall(r"^([A-Za-z]+)=(.*)$", text, re.M))


@test
def what_cannot_start_yet_is_tried_again_for_ever():
    """systemd's own limit, five starts in ten seconds, is no reason to stay down."""
    d = os.path.join(package("subtoken"), "lib/systemd/system")
    examples = re.findall(r"\.Bd -literal\n(\[.*?)\.Ed", read(ROOT, "src/man/subtoken_admin.7").replace("\\-", "-"), re.S)
    texts = [read(d, name) for name in UNITS if "\nRestart=" in read(d, name)] + [e for e in examples if "ExecStart=" in e]
    assert len(texts) == 4
    for text in texts:
        head = unit(text[:text.index("[Service]")])
        assert head.get("StartLimitIntervalSec") == "0" and int(unit(text)["RestartSec"]) >= 5, text


@test
def copies_lie_where_the_unit_may_write():
    """Those of the shipped settings, in a folder that is made, and closed to others."""
    root = package("subtoken")
    directory = unit(read(root, "etc/default/subtoken-backup"))["DIRECTORY"]
    service = unit(read(root, "lib/systemd/system/subtoken-backup.service"))
    assert service["ProtectSystem"] == "strict" and service["ReadWritePaths"] == "-" + directory, service
    assert "d %s 0700 subtoken subtoken" % directory in read(root, "usr/lib/tmpfiles.d/subtoken.conf").splitlines()


@test
def systemd_waits_for_a_store_that_is_brought_up():
    unit = read(package("subtoken"), "lib/systemd/system/subtoken.service")
    waits = int(re.search(r"^TimeoutStartSec=(\d+)min$", unit, re.M)[1]) * 60
    takes = int(re.search(r"^#define BRING_UP_US INT64_C\((\d+)\)$", read(ROOT, "src/store/postgres/schema.c"), re.M)[1]) // 1000000
    assert waits >= takes + 300, (waits, takes)


@test
def the_document_says_what_is_inside():
    name = os.path.join(package("subtoken"), "usr/share/doc/subtoken/subtoken.spdx.json")
    document = json.loads(read(name) if os.path.exists(name) else sh("zcat", name + ".gz"))
    assert document["spdxVersion"] == "SPDX-2.3" and document["name"] == "subtoken-" + VERSION, document["name"]
    by_id = {p["SPDXID"]: p for p in document["packages"]}
    assert len(by_id) == len(document["packages"]) and all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", i) for i in by_id)
    for p in document["packages"]:
        assert {"name", "downloadLocation", "licenseDeclared", "licenseConcluded", "copyrightText"} <= set(p), p
    links = [(r["spdxElementId"][8:], r["relationshipType"], r["relatedSpdxElement"][8:]) for r in document["relationships"]]
    assert all("SPDXRef-" + i in by_id or i == "DOCUMENT" for one, _, other in links for i in (one, other)), links
    assert {o for d, kind, o in links if (d, kind) == ("DOCUMENT", "DESCRIBES")} == set(NAMES)
    # What was fetched is what is named, with its version and the checksum of its tarball.
    source = os.path.join(ROOT, "third_party/src")
    for each in sorted(os.listdir(source + "/tarballs")):
        p = by_id["SPDXRef-" + each]
        assert p["versionInfo"] == read(source, each, "VERSION").strip(), p
        (tarball,) = glob.glob(os.path.join(source, "tarballs", each, "*.orig.tar.*"))
        assert p["checksums"][0]["checksumValue"] == hashlib.sha256(open(tarball, "rb").read()).hexdigest(), p
        assert ("subtoken", "CONTAINS", each) in links
    # What a program loads is what it is linked to; libpq and libcurl come when they are needed.
    for owner, pattern in (("subtoken", "usr/bin/subtoken"), ("libsubtoken0", "usr/lib/*/libsubtoken.so." + VERSION),
                           ("libnginx-mod-http-subtoken", "usr/lib/nginx/modules/*.so")):
        (path,) = glob.glob(os.path.join(package(owner), pattern))
        needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", sh("readelf", "-d", path))) - {"ld-linux-x86-64.so.2"}
        assert {o for one, kind, o in links if (one, kind) == (owner, "DYNAMIC_LINK")} == needed, (owner, needed)
    for optional in ("libpq.so.5", "libcurl.so.4"):
        assert (optional, "OPTIONAL_DEPENDENCY_OF", "subtoken") in links
        assert optional.encode() in open(os.path.join(package("subtoken"), "usr/bin/subtoken"), "rb").read()


@test
def copies_of_the_store_are_kept_as_many_as_asked_for():
    data, d = data_dir(), scratch()
    make_key(data)
    env = dict(os.environ, SUBTOKEN_DATA=data, PATH=BUILD + ":" + os.environ["PATH"])
    script = os.path.join(PACKAGING, "subtoken-backup")
    killed = "subtoken-20210101T000000Z.db.subtoken-abcdef"  # what a run that was killed has left; the future: of a clock that was wrong
    for name in ("subtoken-20200101T000000Z.db", "subtoken-20210101T000000Z.db", "subtoken-20990101T000000Z.db", "subtoken-mine.db",
                 "other", killed, killed + "-journal"):
        with open(os.path.join(d, name), "w"):
            pass
    for name in (killed, killed + "-journal"):
        os.utime(os.path.join(d, name), (time.time() - 2 * 86400,) * 2)
    sh(script, d, "2", env=env)
    left = sorted(os.listdir(d))
    assert left[0] == "other" and left[1] == "subtoken-20210101T000000Z.db" and left[3:] == ["subtoken-mine.db"], left
    copy = os.path.join(d, left[2])
    assert os.stat(copy).st_mode & 0o777 == 0o600 and sh("sqlite3", copy, "SELECT COUNT(*) FROM keys").strip() == "1"
    for keep in ("", "0", "x", "-1"):
        assert subprocess.run([script, d, keep], env=env, capture_output=True).returncode == 2, keep
    assert len(os.listdir(d)) == 4  # and nothing was made, or removed
    # A copy that failed takes none of the others with it.
    assert subprocess.run([script, d, "1"], env=dict(env, SUBTOKEN_DATA=os.path.join(d, "none")), capture_output=True).returncode != 0
    assert len(os.listdir(d)) == 4, os.listdir(d)


@test
def only_root_and_its_user_run_subtoken_admin():
    if os.getuid() != 0:
        return "needs root, to be another user"
    other = scratch()
    shutil.copy(os.path.join(PACKAGING, "subtoken-admin"), other)
    os.chmod(other, 0o755)
    p = subprocess.run([other + "/subtoken-admin", "key", "list"], capture_output=True, text=True, user=pwd.getpwnam("nobody").pw_uid)
    assert p.returncode == 3 and "sudo subtoken-admin" in p.stderr, (p.returncode, p.stderr)


main()
