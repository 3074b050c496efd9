#!/usr/bin/env python3
"""layers.py BUILD [ROOT] - holds who may see whom, in ROOT/src and in the objects of BUILD/src.

A file is a source and the header of the same name. It sees a file when it includes its header or
uses a symbol that it defines. Checked are:

  * folders see each other only as SEES says, and no two files and no two folders see each other
    in a circle;
  * base and core need nothing but memory functions and the hash, keep no state, and run on every
    processor but for base/x86;
  * domain and service ask no clock, no file and no socket;
  * each library of others is used in one place.

What is wrong is printed with the includes and symbols that make it so; then the exit status is 1.
"""
import collections, os, re, subprocess, sys

# What each folder may see, besides itself and the public headers (include/subtoken).
LIBRARY = ["base", "core"]
STORE = LIBRARY + ["domain", "os", "store"]
OPERATIONS = STORE + ["store/sqlite", "operations"]
SEES = {
    "base": [],
    "core": ["base"],
    "feed": LIBRARY,
    "os": ["base"],
    "domain": LIBRARY,
    "page": ["base"],
    "service": LIBRARY + ["domain", "page"],
    "store": LIBRARY + ["domain", "os"],
    "store/sqlite": STORE,
    "store/postgres": STORE,
    "operations": OPERATIONS[:-1],
    "server": OPERATIONS + ["service", "feed"],
    "cli": OPERATIONS + ["service", "feed"],
    "edge/nginx": [],
    "edge/haproxy": [],
    "edge/wasm": [],
    "edge/apache": [],
    "bindings/go": [],
}
# Embedders like any other: public headers and symbols alone.
EMBEDDERS = {"edge/nginx", "edge/haproxy", "edge/apache", "bindings/go"}
# Built for another machine than this one, or by Go: includes alone are looked at.
NO_OBJECT = {"edge/wasm/subtoken_wasm", "bindings/go/shim"}
# Single files that see, or are seen, beyond that.
ALSO = {
    ("cli/cmd_serve", "server"),  # the one command that is a server
    ("cli/pull_loop", "server/metrics_listener"),  # and the one that tells metrics besides
}
# The file that opens a store by its URI, and what it chooses from, as a main chooses a command: not
# counted when folders are searched for circles.
CHOICES = {("store/store", "store/sqlite/open"), ("store/store", "store/postgres/open")}
# Headers whose functions are defined in a higher folder: to call one is to see the header.
PORTS = ["domain/store.h", "store/db.h"]
# The structures by which nginx and httpd know a module, and which each of its files needs.
NO_EDGE = {"ngx_http_subtoken_module", "subtoken_module"}

# Libraries of others: headers, symbols, and the files that may use them.
THIRD_PARTIES = [
    ("mbedTLS", r"mbedtls/", r"mbedtls_", ["base/hmac"]),
    ("cJSON", r"cJSON\.h", r"cJSON_", ["domain/config"]),
    ("civetweb", r"civetweb", r"mg_", ["server/http", "server/connection", "server/threads"]),
    ("SQLite", r"sqlite3", r"sqlite3_", ["store/sqlite/"]),
    ("libpq", r"libpq", r"PQ", ["store/postgres/"]),
    ("libcurl", r"curl/", r"curl_", ["cli/fetch"]),
    ("libargon2", r"argon2", r"argon2", ["operations/password"]),
    ("utf8proc", r"utf8proc", r"utf8proc_", ["operations/opaque_string"]),
]

# What the pure part may need of others.
PURE_NEEDS = re.compile(r"(memcpy|memmove|memcmp|memchr|memset|__stack_chk_fail|__\w+_chk|"
                        r"_GLOBAL_OFFSET_TABLE_|mbedtls_sha256\w*|mbedtls_internal_sha256_process|"
                        r"__(asan|ubsan|tsan)_\w+)$")
PURE_HEADERS = re.compile(r"(time|stdio|stdlib|errno|fcntl|unistd|pthread|sys/.*)\.h$")
# Instructions that a processor can lack, as objdump writes them.
BEYOND_SSE2 = re.compile(r"\s(sha256|pshufb|palignr|pmaddubsw|pblend|ptest|p(extr|insr)[bdq]|v[a-z]+)"
                         r"[\sa-z0-9]")
WIDER = re.compile(r"\sv[a-z0-9]+\s|%ymm")
# What domain and service take as arguments instead of asking for it.
ASKS = re.compile(r"(time|clock_gettime|gettimeofday|getrandom|getentropy|rand|random|open|open64|"
                  r"openat|fopen|fopen64|creat|read|write|pread\w*|pwrite\w*|mmap|stat|lstat|fstat|"
                  r"rename|unlink|socket|connect|accept\w*|bind|listen|send\w*|recv\w*|poll|getenv|"
                  r"printf|puts|getaddrinfo|fork|exec\w*|sleep|usleep|nanosleep)$")

problems = []


def say(text):
    problems.append(text)


def folder(file):
    return file.rpartition("/")[0]


def stem(path):
    return os.path.splitext(path)[0]


def tool(*args):
    return subprocess.run(args, capture_output=True, text=True, check=True).stdout


class Tree:
    """The files under ROOT/src, and why each sees which."""

    def __init__(self, root, build):
        self.src = os.path.join(root, "src")
        self.sources = sorted(
            os.path.relpath(os.path.join(d, name), self.src)
            for d, _, names in os.walk(self.src) for name in names if name.endswith((".c", ".h")))
        self.files = {stem(path) for path in self.sources}
        self.objects = {stem(path): os.path.join(build, "src", stem(path) + ".o")
                        for path in self.sources
                        if path.endswith(".c") and stem(path) not in NO_OBJECT}
        self.system = collections.defaultdict(set)  # file: <headers> and other libraries' headers
        self.needs = collections.defaultdict(set)   # file: symbols that no object of ours defines
        self.edges = collections.defaultdict(lambda: collections.defaultdict(set))
        self.read_includes()
        self.read_symbols()

    def text(self, path):
        with open(os.path.join(self.src, path)) as f:
            return f.read()

    def read_includes(self):
        for path in self.sources:
            for bracket, name in re.findall(r'^\s*#\s*include\s+([<"])([^>"]+)', self.text(path), re.M):
                beside = os.path.join(folder(path), stem(name)) if folder(path) else stem(name)
                seen = stem(name) if stem(name) in self.files else beside
                if bracket == '"' and seen in self.files:
                    self.see(stem(path), seen, "includes " + name)
                elif not name.startswith("subtoken/"):
                    self.system[stem(path)].add(name)

    def read_symbols(self):
        ports = {}
        for header in PORTS:
            if header in self.sources:
                for name in re.findall(r"\b(\w+)\s*\(", self.text(header)):
                    ports[name] = stem(header)
        self.defined, used = {}, collections.defaultdict(set)
        for file, path in self.objects.items():
            if not os.path.exists(path):
                say("%s.c: %s is not built" % (file, path))
                continue
            for line in tool("nm", "-g", path).splitlines():
                kind, name = line.split()[-2:]
                if kind in "Uw":
                    used[file].add(name)
                else:
                    self.defined[name] = file
        for file in used:
            for name in sorted(used[file]):
                if name not in self.defined:
                    self.needs[file].add(name)
                elif name not in NO_EDGE:
                    self.see(file, ports.get(name, self.defined[name]), name)

    def see(self, file, seen, why):
        if file != seen:
            self.edges[file][seen].add(why)


def allowed(file, seen, why):
    here, there = folder(file), folder(seen)
    if here == there or there in SEES.get(here, []) or (file, there) in ALSO or (file, seen) in ALSO:
        return True
    if (file, seen) in CHOICES:
        return True
    return here in EMBEDDERS and all(name.startswith("subtoken_") for name in why)


def check_arrows(tree):
    for name in sorted({folder(file) for file in tree.files} - set(SEES)):
        say("src/%s: not in SEES of tests/layers.py; give it a line in SEES" % name)
    for file in sorted(tree.edges):
        for seen, why in sorted(tree.edges[file].items()):
            if not allowed(file, seen, why):
                say("%s may not see %s: %s" % (file, seen, ", ".join(sorted(why))))


def circles(edges):
    """The strongly connected parts of more than one node (Tarjan, without recursion)."""
    index, low, on, stack, found = {}, {}, set(), [], []
    for start in sorted(edges):
        if start in index:
            continue
        work = [(start, iter(sorted(edges[start])))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on.add(start)
        while work:
            node, rest = work[-1]
            for other in rest:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on.add(other)
                    work.append((other, iter(sorted(edges.get(other, {})))))
                    break
                if other in on:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    part = []
                    while not part or part[-1] != node:
                        part.append(stack.pop())
                        on.discard(part[-1])
                    if len(part) > 1:
                        found.append(sorted(part))
    return found


def check_circles(what, edges):
    for part in circles(edges):
        lines = ["    %s sees %s: %s" % (a, b, ", ".join(sorted(edges[a][b])))
                 for a in part for b in sorted(edges[a]) if b in part]
        say("a circle of %d %s: %s\n%s" % (len(part), what, " ".join(part), "\n".join(lines)))


def folder_edges(tree):
    edges = collections.defaultdict(lambda: collections.defaultdict(set))
    for file in tree.edges:
        for seen, why in tree.edges[file].items():
            here, there = folder(file), folder(seen)
            if here != there and (file, seen) not in CHOICES and not (here in EMBEDDERS
                                      and all(name.startswith("subtoken_") for name in why)):
                edges[here][there].add("%s > %s" % (file, seen))
    return edges


def check_drawing(root):
    """SEES itself: each name is a folder, and it has no circle."""
    for name in sorted({*SEES, *(seen for folders in SEES.values() for seen in folders)}):
        if not os.path.isdir(os.path.join(root, "src", name)):
            say("SEES of tests/layers.py names %s: there is no such folder in src" % name)
    for part in circles({name: {seen: 1 for seen in SEES[name] if seen != name} for name in SEES}):
        say("SEES of tests/layers.py has a circle: %s" % " ".join(part))


def check_pure(tree):
    for file in sorted(tree.objects):
        if folder(file) not in LIBRARY or not os.path.exists(tree.objects[file]):
            continue
        for name in sorted(tree.needs[file]):
            if not PURE_NEEDS.match(name):
                say("%s needs %s: base and core ask nobody" % (file, name))
        for line in tool("nm", tree.objects[file]).splitlines():
            # d, b, c: writable data. The compiler's read-only tables are r or d.rel.ro.
            if re.search(r" [bBcCsS] ", line):
                say("%s keeps state: %s" % (file, line.split()[-1]))
        for line in tool("objdump", "-h", tree.objects[file]).splitlines():
            words = line.split()
            if len(words) > 2 and words[1] == ".data" and int(words[2], 16) > 0:
                say("%s has %d bytes of writable data" % (file, int(words[2], 16)))
        code = tool("objdump", "-d", "--no-show-raw-insn", tree.objects[file])
        for line in code.splitlines():
            if file != "base/x86" and BEYOND_SSE2.search(line):
                say("%s uses an instruction beyond SSE2: %s" % (file, line.strip()))
                break
            # Called after asking the processor for SHA and SSE4.1, and for nothing else.
            if file == "base/x86" and WIDER.search(line) and "vzeroupper" not in line:
                say("%s uses a wider instruction than its callers ask for: %s" % (file, line.strip()))
                break
    for file in sorted(tree.system):
        for name in sorted(tree.system[file]):
            # A program on AArch64 learns its processor's features from the system alone.
            if (file, name) == ("base/cpu", "sys/auxv.h"):
                continue
            if folder(file) in LIBRARY and PURE_HEADERS.match(name):
                say("%s includes <%s>: base and core ask nobody" % (file, name))


def check_unasking(tree):
    for file in sorted(tree.needs):
        if folder(file) in ("domain", "service"):
            for name in sorted(tree.needs[file]):
                if ASKS.match(name):
                    say("%s calls %s: domain and service are given it" % (file, name))


def check_third_parties(tree):
    for what, header, symbol, places in THIRD_PARTIES:
        for file in sorted(tree.files):
            if any(file == place or place.endswith("/") and file.startswith(place) for place in places):
                continue
            used = [n for n in tree.system[file] if re.match(header, n)]
            used += [n for n in tree.needs[file] if re.match(symbol, n)]
            if used:
                say("%s uses %s (%s), which belongs to %s" % (
                    file, what, ", ".join(sorted(used)), " and ".join(places)))


def main():
    build, root = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "."
    tree = Tree(root, build)
    check_drawing(root)
    check_arrows(tree)
    check_circles("files", tree.edges)
    check_circles("folders", folder_edges(tree))
    check_pure(tree)
    check_unasking(tree)
    check_third_parties(tree)
    for problem in problems:
        print("layers: " + problem, file=sys.stderr)
    if problems:
        print("(Move the function to the lower file, pass what it needs as an argument, or give the type a\n"
              "header of its own: .github/CONTRIBUTING.md, Layers.)", file=sys.stderr)
        sys.exit(1)
    print("layers: %d files see each other one way, and base and core stand alone" % len(tree.files))


main()
