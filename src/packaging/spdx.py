"""spdx.py SOURCES VERSION prints what is inside of each Debian package as an SPDX 2.3 document: the libraries
that are compiled into it, from Debian's sources in SOURCES (third_party/src) with their versions and checksums, and those
that it loads. The same sources give the same document; its time is SOURCE_DATE_EPOCH."""
import hashlib, json, os, re, sys, time

# Compiled in: the name of the source package, what it is called, its licence, who wrote it.
STATIC = {
    "mbedtls": ("Mbed TLS", "Apache-2.0 OR GPL-2.0-or-later", "The Mbed TLS Contributors"),
    "cjson": ("cJSON", "MIT", "2009-2017 Dave Gamble and cJSON contributors"),
    "civetweb": ("CivetWeb", "MIT", "2013-2021 The CivetWeb developers, 2004-2013 Sergey Lyubka"),
}
# Loaded: the file that is loaded, what it is called, Debian's package, its licence.
DYNAMIC = {
    "libsqlite3.so.0": ("SQLite", "libsqlite3-0", "blessing"),
    "libpq.so.5": ("libpq", "libpq5", "PostgreSQL"),
    "libargon2.so.1": ("libargon2", "libargon2-1", "CC0-1.0 OR Apache-2.0"),
    "libutf8proc.so.2": ("utf8proc", "libutf8proc2", "MIT"),
    "libc.so.6": ("GNU C Library", "libc6", "LGPL-2.1-or-later"),
    "libcurl.so.4": ("libcurl", "libcurl4", "curl"),
}
SERVER = ["libsqlite3.so.0", "libargon2.so.1", "libutf8proc.so.2", "libc.so.6"]
# What is in each package, what it is linked to, and what it loads if it needs it.
PACKAGES = {
    "subtoken": (list(STATIC), SERVER, ["libpq.so.5", "libcurl.so.4"]),
    "libsubtoken0": (["mbedtls"], ["libc.so.6"], []),
    "libsubtoken-dev": (["mbedtls"], [], []),
    "libnginx-mod-http-subtoken": (["mbedtls"], ["libc.so.6"], []),
    "python3-subtoken": ([], [], []),
}


def ref(name):
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name)


def package(name, version, licence, **more):
    return dict({"SPDXID": ref(name), "name": name, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
                 "licenseConcluded": licence, "licenseDeclared": licence, "copyrightText": "NOASSERTION"},
                **(dict({"versionInfo": version}) if version else {}), **more)


def purl(kind):
    return [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": kind}]


def sums(path):
    """SHA256SUMS of a folder: what lies in it, and its digest."""
    with open(os.path.join(path, "SHA256SUMS")) as f:
        return {name.strip().removeprefix("./"): digest for digest, name in (line.split(None, 1) for line in f)}


def compiled_in(sources, name):
    title, licence, authors = STATIC[name]
    with open(os.path.join(sources, name, "VERSION")) as f:
        version = f.read().strip()
    tarballs = sums(os.path.join(sources, "tarballs", name))
    orig = next(digest for file, digest in tarballs.items() if ".orig.tar." in file)
    return package(name, version, licence, summary=title, copyrightText=authors,
                   supplier="Organization: Debian", checksums=[{"algorithm": "SHA256", "checksumValue": orig}],
                   sourceInfo="built from %s, of which these files are compiled: %s" % (
                       " and ".join(sorted(file for file in tarballs if file != "VERSION")),
                       " ".join(sorted(file for file in sums(os.path.join(sources, name)) if file != "VERSION"))),
                   externalRefs=purl("pkg:deb/debian/%s@%s?arch=source" % (name, version.replace("+", "%2B"))))


def main(sources, version):
    relationships, packages = [], []

    def relate(one, kind, other):
        relationships.append({"spdxElementId": ref(one), "relationshipType": kind, "relatedSpdxElement": ref(other)})

    for name, (inside, linked, loaded) in PACKAGES.items():
        packages.append(package(name, version, "Apache-2.0", externalRefs=purl("pkg:deb/subtoken/%s@%s" % (name, version))))
        relate("DOCUMENT", "DESCRIBES", name)
        for each in inside:
            relate(name, "CONTAINS", each)
        for each in linked:
            relate(name, "DYNAMIC_LINK", each)
        for each in loaded:
            relate(each, "OPTIONAL_DEPENDENCY_OF", name)
    for name in ("libsubtoken-dev", "python3-subtoken"):
        relate(name, "DEPENDS_ON", "libsubtoken0")
    packages += [compiled_in(sources, name) for name in STATIC]
    packages += [package(file, None, licence, summary=title, externalRefs=purl("pkg:deb/debian/" + debian))
                 for file, (title, debian, licence) in DYNAMIC.items()]
    digest = hashlib.sha256(json.dumps([packages, relationships]).encode()).hexdigest()
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", 0))))
    json.dump({"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
               "name": "subtoken-" + version,
               "documentNamespace": "https://spdx.org/spdxdocs/subtoken-%s-%s" % (version, digest[:32]),
               "creationInfo": {"created": created, "creators": ["Tool: subtoken-spdx.py"]},
               "packages": packages, "relationships": relationships}, sys.stdout, indent=1)
    print()


main(*sys.argv[1:])
