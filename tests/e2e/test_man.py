"""What the library's manual pages show is compiled and run; what they list is held against the headers and the
library. The pages of the program: test_man_program.py."""
from manpages import *

HEADERS = os.path.join(ROOT, "include", "subtoken")
LIBRARY = [n for n in PAGES if n.endswith(".3")]

# ---- the headers ----

def header(name):
    text = re.sub(r"/\*.*?\*/", "", open(os.path.join(HEADERS, name)).read(), flags=re.S)
    return re.sub(r"[^\S\n]+", " ", text)


HEADER = {n: header(n) for n in sorted(os.listdir(HEADERS)) if n.endswith(".h")}
ALL = "\n".join(HEADER.values())


def reaches(name):
    """The headers that one of them brings along, with itself."""
    found = {name}
    for other in re.findall(r'#include "subtoken/(\w+\.h)"', HEADER[name]):
        found |= reaches(other)
    return found


def same_spaces(text):
    return re.sub(r"\s*([*(),\[\]{};])\s*", r"\1", " ".join(text.split())).strip()


def prototypes(kind):
    """{name: (header, return type, [parameters])}"""
    found = {}
    for file, text in HEADER.items():
        shape = kind + r"\s+([\w\s*]+?)(subtoken_\w+)\(([^()]*)\)\s*[;{]"
        for kept, name, list_ in re.findall(shape, text):
            kept = re.sub(r"\bSUBTOKEN_MUST_USE\b", "", kept)
            found[name] = (file, same_spaces(kept), [same_spaces(p) for p in list_.split(",")])
    return found


EXPORTED = prototypes("SUBTOKEN_EXPORT")
DECLARED = dict(EXPORTED, **prototypes("static inline"))
DECLARED.update({n: (f, "typedef " + r, p) for n, (f, r, p) in prototypes("typedef").items()})


def enumerators(enum):
    body = re.search(r"typedef enum %s \{(.*?)\}" % enum, ALL, re.S).group(1)
    return re.findall(r"\bSUBTOKEN_\w+", body)


def tables():
    """What the library says: [result, name, status, challenge], [fault, name, text]"""
    results, faults = enumerators("subtoken_result"), enumerators("subtoken_fault")
    line = 'printf("%s\\t%%s\\t%%d\\t%%s\\n", subtoken_result_name(%s), ' \
           'subtoken_result_status(%s), or_none(subtoken_result_challenge(%s)));\n'
    fault = 'printf("%s\\t%%s\\t%%s\\n", subtoken_fault_name(%s), subtoken_fault_text(%s));\n'
    source = "#include <stdio.h>\n#include <subtoken/common.h>\n" \
             'static const char *or_none(const char *s) { return s != NULL ? s : ""; }\n' \
             "int main(void) {\n"
    source += "".join(line % (r, r, r, r) for r in results)
    source += "".join(fault % (f, f, f) for f in faults)
    p = build(source + "return 0; }\n", scratch(), "tables")
    lines = [l.split("\t") for l in p.stdout.splitlines()]
    assert len(lines) == len(results) + len(faults) and len(results) > 30 and len(faults) > 15
    return lines[:len(results)], lines[len(results):]


# ---- the pages by themselves ----

def mandoc_is_content():
    for page in PAGES:
        p = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], cwd=MAN,
                           capture_output=True, text=True)
        assert p.returncode == 0 and p.stdout == "" and p.stderr == "", p.stdout + p.stderr


def references_lead_somewhere():
    known = {(n, page[-1]) for page in PAGES for n in names(page)}
    for page, text in PAGES.items():
        name, number = page.rsplit(".", 1)
        assert names(page)[0] == name, page
        assert ".Dt %s %s\n" % (name.upper(), number) in text, page
        for xr in re.findall(r"^\.(?:It )?Xr (\S+) (\d)", text, re.M):
            assert xr in known or "subtoken" not in xr[0], (page, xr)


def literal_text_is_rendered_as_it_is():
    for page, text in PAGES.items():
        p = subprocess.run(["mandoc", "-T", "utf8", "-O", "width=200", page], cwd=MAN,
                           capture_output=True, text=True, check=True)
        shown = {" ".join(l.split()) for l in re.sub(".\b", "", p.stdout).splitlines()}
        for block in literals(text):
            for line in block.splitlines():
                assert " ".join(line.split()) in shown, (page, line)
        # Words such as An are macros there, and vanish: \\&An is the word.
        for heading in re.findall(r"^\.S[sh] (.*)$", text, re.M):
            assert " ".join(plain(heading).split()) in shown, (page, heading)


# ---- the library ----

def examples_compile_and_print_what_is_shown():
    for page in LIBRARY:
        blocks = literals(section(page, "EXAMPLES"))
        assert blocks and "int main(void)" in blocks[0], page
        for source, shown in zip(blocks, blocks[1:] + [""]):
            if "int main(void)" not in source:
                continue
            p = build(source, scratch())
            assert p.returncode == 0, (page, p.returncode, p.stdout)
            assert p.stdout == ("" if "int main(void)" in shown else shown), (page, p.stdout)


def every_function_has_one_page():
    owners = {}
    for page in LIBRARY:
        for name in names(page):
            owners.setdefault(name, []).append(page)
    assert len(EXPORTED) > 20
    for name in EXPORTED:
        assert len(owners.get(name, [])) == 1, (name, owners.get(name))
    unknown = set(owners) - set(DECLARED) - {"libsubtoken"}
    assert not unknown, unknown


def synopses_agree_with_the_headers():
    seen = set()
    for page in LIBRARY:
        include = kind = function = None
        for line in section(page, "SYNOPSIS").splitlines():
            macro, _, rest = line.partition(" ")
            if macro == ".In":
                include = os.path.basename(rest)
                assert include in HEADER, (page, rest)
            elif macro == ".Ft":
                kind = same_spaces(rest)
            elif macro in (".Fo", ".Fn"):
                function, *parameters = rest.split()
                if macro == ".Fo":
                    parameters = []
            elif macro == ".Fa":
                parameters.append(same_spaces(rest.strip('"')))
            else:
                assert macro == ".Fc", (page, line)
            if macro in (".Fc", ".Fn"):
                file, result, wanted = DECLARED[function]
                assert (kind, parameters) == (result, wanted), (page, function, kind, parameters,
                                                                result, wanted)
                assert file in reaches(include), (page, function, include)
                assert function in names(page) or result.startswith("typedef"), (page, function)
                seen.add(function)
    assert seen == set(DECLARED), set(DECLARED) ^ seen


def structures_agree_with_the_headers():
    pattern = r"typedef struct (\w+) \{.*?\} \1;"
    wanted = {m.group(1): same_spaces(m.group(0)) for m in re.finditer(pattern, ALL, re.S)}
    shown = set()
    for page in LIBRARY:
        for block in literals(PAGES[page]):
            for found in re.finditer(pattern, block, re.S):
                assert same_spaces(found.group(0)) == wanted[found.group(1)], (page, found.group(1))
                shown.add(found.group(1))
    hidden = {"subtoken_slice", "subtoken_secret", "subtoken_ring", "subtoken_mac"}
    assert shown == set(wanted) - hidden, shown ^ set(wanted)


def limits_are_those_of_the_headers():
    found = re.findall(r"^ ?#define (SUBTOKEN_\w+) (\d+)\s*$", ALL, re.M)
    assert len(found) > 12, found
    for name, value in found:
        assert re.search(r"^\.(?:It )?Dv %s (?:Ta|Pq) %s\b" % (name, value),
                         PAGES["libsubtoken.3"], re.M), (name, value)


def what_the_headers_name_is_on_the_page():
    """Each constant of the comment in front of a function is on the page of the function;
    each macro, and each result and fault, is on one."""
    shown = {p: set(re.findall(r"\bDv (SUBTOKEN_\w+)", PAGES[p])) for p in LIBRARY}
    seen = set()
    for name in HEADER:
        raw = open(os.path.join(HEADERS, name)).read()
        macros = re.findall(r"^#define (SUBTOKEN_\w+)[ (]", raw, re.M)
        for macro in set(macros) - {"SUBTOKEN_MUST_USE", "SUBTOKEN_EXPORT"}:
            assert any(macro in s for s in shown.values()), macro
        groups = r"/\*((?:[^*]|\*(?!/))*)\*/\n(?:#define [^\n]*\n)?((?:SUBTOKEN_EXPORT[^;]*;\n?)+)"
        for comment, functions in re.findall(groups, raw):
            for function in re.findall(r"(subtoken_\w+)\(", functions):
                page = next(p for p in LIBRARY if function in names(p))
                wanted = set(re.findall(r"SUBTOKEN_[A-Z_]+\b", comment))
                assert wanted <= shown[page], (function, page, wanted - shown[page])
                seen.add(function)
    alone = {"subtoken_fault_text", "subtoken_mac_update", "subtoken_mac_finish"}  # no comment
    assert seen | alone >= set(EXPORTED), set(EXPORTED) - seen
    for each in enumerators("subtoken_result") + enumerators("subtoken_fault"):
        assert any(each in s for s in shown.values()), each


# What a page says, and what has to be true for that: C, in the function of STATEMENTS_C.
STATEMENTS = [
    # subtoken_issue.3
    ("subtoken_issue.3", "SUBTOKEN_CLAIMS The sub, the sid or the permission is not of the form",
     'sub("") == SUBTOKEN_CLAIMS && sub("a.b") == SUBTOKEN_CLAIMS && sub("a-b_1") == 1 && '
     'sub(times(128)) == 1 && sub(times(129)) == SUBTOKEN_CLAIMS && add("a,b") == SUBTOKEN_CLAIMS '
     '&& add("a b") == SUBTOKEN_CLAIMS && add("\\"") == SUBTOKEN_CLAIMS && '
     'add("\\\\") == SUBTOKEN_CLAIMS && add("!~") == 1 && add(times(64)) == 1 && '
     'add(times(65)) == SUBTOKEN_CLAIMS'),
    ("subtoken_issue.3", "A permission or entry that is there already is not added again.",
     'add("a") == 1 && add("a") == 1 && url("/x") == 1 && url("/%78") == 1 && '
     'c.permission_count == 1 && c.url_count == 1'),
    ("subtoken_issue.3", "stored in its canonical text",
     'url("/%78%c3%a9") == 1 && is(c.urls[0], "/x%C3%A9")'),
    ("subtoken_issue.3", "With SUBTOKEN_BAD_URL, *fault, which may be NULL, says what is wrong",
     'url("/a//b") == SUBTOKEN_BAD_URL && fault == SUBTOKEN_FAULT_EMPTY_SEGMENT && '
     'subtoken_claims_add_url(&c, text("/.."), NULL) == SUBTOKEN_BAD_URL && '
     'url("/a") == 1 && fault == SUBTOKEN_FAULT_NONE'),
    ("subtoken_issue.3", "Setting every_url to true allows every path, and adding an entry sets "
     "it to false.", '(c.every_url = true) && match("/y") == 1 && url("/x") == 1 && !c.every_url && '
     'match("/y") == SUBTOKEN_URL && match("/x") == 1'),
    ("subtoken_issue.3", "Without either the claims open no path, and cannot be signed.",
     'sub("s") == 1 && match("/") == SUBTOKEN_URL && sign() == SUBTOKEN_TOO_MANY_URLS'),
    ("subtoken_issue.3", "SUBTOKEN_TOO_MANY_PERMISSIONS, SUBTOKEN_TOO_MANY_URLS It would be one "
     "too many.", 'many(64) == 1 && add("one") == SUBTOKEN_TOO_MANY_PERMISSIONS && '
     'url("/one") == SUBTOKEN_TOO_MANY_URLS && url("/7") == 1'),
    ("subtoken_issue.3", "SUBTOKEN_TOO_LARGE The text of the claims is full.",
     '(c.text_len = sizeof c.text) && sub("s") == SUBTOKEN_TOO_LARGE && '
     'add("p") == SUBTOKEN_TOO_LARGE && url("/u") == SUBTOKEN_TOO_LARGE'),
    ("subtoken_issue.3", "the claims that the other four would have added to are as they were",
     '(c.every_url = true) && sub("") != 1 && sid("") != 1 && add("") != 1 && url("//") != 1 && c.every_url && '
     'c.text_len == 0 && c.url_count == 0'),
    ("subtoken_issue.3", "a count or a slice of it is out of range, or the text is absent",
     'sub(NULL) == SUBTOKEN_INVALID_ARGUMENT && add(NULL) == SUBTOKEN_INVALID_ARGUMENT && '
     'url(NULL) == SUBTOKEN_INVALID_ARGUMENT && (c.url_count = 65) && '
     'sub("s") == SUBTOKEN_INVALID_ARGUMENT && '
     'subtoken_claims_set_sub(NULL, text("s")) == SUBTOKEN_INVALID_ARGUMENT'),
    ("subtoken_issue.3", "sub, sid or a permission is not of the form above, or a permission is there "
     "twice", '(c.every_url = true) && sign() == SUBTOKEN_CLAIMS && sub("s") == 1 && sign() == 1 '
     '&& add("p") == 1 && sign() == 1 && (c.permissions[c.permission_count++] = c.permissions[0], '
     'sign() == SUBTOKEN_CLAIMS && token[0] == 0 && len == 0)'),
    ("subtoken_issue.3", "The login that the token is made in, if it is made in one: 1 to "
     "SUBTOKEN_SID_MAX characters A-Za-z0-9_-.", 'sid("A-z_09") == 1 && is(c.sid, "A-z_09") && '
     'sid("a.b") == SUBTOKEN_CLAIMS && sid("") == SUBTOKEN_CLAIMS && sid(times(64)) == 1 && '
     'sid(times(65)) == SUBTOKEN_CLAIMS && (c.every_url = true) && sub("s") == 1 && sign() == 1 && '
     '(c.sid.len = 65, sign() == SUBTOKEN_CLAIMS)'),
    ("subtoken_issue.3", "A child has no sid, whatever its parent has: a login is not handed on.",
     '(c.every_url = true) && sub("s") == 1 && sid("L") == 1 && child_of() == 1 && '
     'child.sid.len == 0'),
    ("subtoken_issue.3", "SUBTOKEN_BAD_URL An entry cannot be read in one way only.",
     'sub("s") == 1 && url("/x") == 1 && sign() == 1 && (c.text[c.urls[0].at] = 46, '
     'sign() == SUBTOKEN_BAD_URL)'),
    ("subtoken_issue.3", "exp is not after iat, or a time is out of range",
     '(c.every_url = true) && sub("s") == 1 && (c.exp = c.iat, sign() == '
     'SUBTOKEN_INVALID_ARGUMENT) && (c.exp = SUBTOKEN_TIME_MAX, sign() == 1) && (c.exp++, '
     'sign() == SUBTOKEN_INVALID_ARGUMENT) && (c.exp = 9, c.iat = -1, sign() == '
     'SUBTOKEN_INVALID_ARGUMENT)'),
    ("subtoken_issue.3", "one whose exp is now or earlier is SUBTOKEN_PARENT_EXPIRED, one whose "
     "nbf is later is SUBTOKEN_NOT_YET.", '(c.every_url = true) && sub("s") == 1 && (c.exp = NOW, '
     'child_of() == SUBTOKEN_PARENT_EXPIRED) && (c.exp = NOW + 1, child_of() == 1) && '
     '(c.nbf = NOW + 1, child_of() == SUBTOKEN_NOT_YET) && (c.nbf = NOW, child_of() == 1)'),
    ("subtoken_issue.3", "Its iat is now, also when that of the parent is ahead",
     '(c.every_url = true) && sub("s") == 1 && (c.iat = NOW + 9) && child_of() == 1 && '
     'child.iat == NOW'),
    # subtoken_verify.3
    ("subtoken_verify.3", "Any other answer is taken for SUBTOKEN_REVOCATION_UNKNOWN.",
     'verify_with(SUBTOKEN_OK) == 1 && verify_with(SUBTOKEN_REVOKED) == SUBTOKEN_REVOKED && '
     'verify_with(SUBTOKEN_REVOCATION_UNKNOWN) == SUBTOKEN_REVOCATION_UNKNOWN && '
     'verify_with(SUBTOKEN_EXPIRED) == SUBTOKEN_REVOCATION_UNKNOWN && '
     'verify_with(SUBTOKEN_UNDECIDED) == SUBTOKEN_REVOCATION_UNKNOWN && '
     'verify_with((subtoken_result)999) == SUBTOKEN_REVOCATION_UNKNOWN'),
    ("subtoken_verify.3", "SUBTOKEN_BUFFER_TOO_SMALL when the header does not fit",
     'inspect(IN, 0) == SUBTOKEN_BUFFER_TOO_SMALL && inspect(IN, 14) == SUBTOKEN_BUFFER_TOO_SMALL '
     '&& header[0] == 0 && child.exp == 0 && inspect(IN, 15) == 1 && strlen(header) == 14'),
    ("subtoken_verify.3", "SUBTOKEN_MALFORMED, also for a header with a NUL in it",
     'inspect("AAA.e30.AAAA", 99) == SUBTOKEN_MALFORMED && header[0] == 0 && '
     'inspect("QUJD.e30.AAAA", 99) == SUBTOKEN_CLAIMS'),
    ("subtoken_verify.3", "SUBTOKEN_INVALID_ARGUMENT when a pointer is NULL",
     'inspect(NULL, 99) == SUBTOKEN_INVALID_ARGUMENT && '
     'subtoken_inspect(text(IN), NULL, 9, &child) == SUBTOKEN_INVALID_ARGUMENT && '
     'subtoken_inspect(text(IN), header, 9, NULL) == SUBTOKEN_INVALID_ARGUMENT'),
    # subtoken_url_match.3
    ("subtoken_url_match.3", "An absent target is let through to subtoken_url_match() by claims "
     "that allow every URL and by no others, and is SUBTOKEN_BAD_TARGET to the other functions.",
     '(c.every_url = true) && match(NULL) == 1 && url("/*") == 1 && match(NULL) == SUBTOKEN_URL && '
     'subtoken_url_allows(text("/*"), text("GET"), text(NULL)) == SUBTOKEN_BAD_TARGET && '
     'subtoken_target_path(text(NULL), header, 99, &len, &fault) == SUBTOKEN_BAD_TARGET && '
     'header[0] == 0 && len == 0'),
    ("subtoken_url_match.3", "the latter to subtoken_url_match() even when the claims allow every "
     "URL", '(c.every_url = true) && match("/..") == SUBTOKEN_BAD_TARGET'),
    ("subtoken_url_match.3", "Claims with an entry that cannot be used allow nothing.",
     'url("/x") == 1 && url("/y") == 1 && (c.text[c.urls[1].at] = 46, '
     'match("/x") == SUBTOKEN_URL)'),
    ("subtoken_url_match.3", "to subtoken_url_match(), a count or slice of claims is out of range",
     '(c.url_count = 65, match("/") == SUBTOKEN_INVALID_ARGUMENT) && (c.url_count = 0, '
     'c.permission_count = 1, c.permissions[0].at = 6144, c.permissions[0].len = 1, '
     'match("/") == SUBTOKEN_INVALID_ARGUMENT)'),
    ("subtoken_url_match.3", "the method of the other is its own, or it has none",
     'covers("/a", "GET:/a") == 1 && covers("GET:/a", "GET:/a") == 1 && '
     'covers("GET:/a", "/a") == SUBTOKEN_URL_WIDER && covers("GET:/a", "POST:/a") == '
     'SUBTOKEN_URL_WIDER && covers("/a/*", "/a/b/*") == 1 && covers("/a/*", "/a") == '
     'SUBTOKEN_URL_WIDER && covers("//", "/a") == SUBTOKEN_BAD_URL'),
    ("subtoken_url_match.3", "/v2/characters/Zed/inventory, but neither /v2/characters/inventory "
     "nor /v2/characters/Zed/2/inventory.",
     'subtoken_url_allows(text("/v2/characters/*/inventory"), text("GET"), '
     'text("/v2/characters/Zed/inventory")) == 1 && '
     'subtoken_url_allows(text("/v2/characters/*/inventory"), text("GET"), '
     'text("/v2/characters/inventory")) == SUBTOKEN_URL && '
     'subtoken_url_allows(text("/v2/characters/*/inventory"), text("GET"), '
     'text("/v2/characters/Zed/2/inventory")) == SUBTOKEN_URL'),
    ("subtoken_url_match.3", "Segment by segment, a star within it covers a plain segment or a "
     "star, a plain segment only itself.",
     'covers("/a/*/c", "/a/b/c") == 1 && covers("/a/*/c", "/a/*/c") == 1 && '
     'covers("/a/b/c", "/a/*/c") == SUBTOKEN_URL_WIDER'),
    ("subtoken_url_match.3", "GET is not changed to HEAD: GET:/a does not cover HEAD:/a.",
     'covers("GET:/a", "HEAD:/a") == SUBTOKEN_URL_WIDER && '
     'subtoken_url_allows(text("GET:/a"), text("HEAD"), text("/a")) == 1'),
    ("subtoken_url_match.3", "On failure out is the empty string and *out_len is 0.",
     'subtoken_target_path(text("/abc"), header, 4, &len, &fault) == SUBTOKEN_BUFFER_TOO_SMALL && '
     'header[0] == 0 && len == 0 && fault == SUBTOKEN_FAULT_NONE && '
     'subtoken_target_path(text("/abc"), header, 5, &len, &fault) == 1 && len == 4 && '
     'subtoken_url_canonical(text("/a;"), header, 99, &len, &fault) == SUBTOKEN_BAD_URL && '
     'header[0] == 0 && len == 0 && fault == SUBTOKEN_FAULT_BAD_CHAR'),
    # subtoken_policy_find.3
    ("subtoken_policy_find.3", "about 13 times as much and up to 70 KiB, or 0 when it "
     "is longer than",
     'subtoken_policy_size(1 << 20) > 10 << 20 && subtoken_policy_size(1 << 20) < 14 << 20 && '
     'subtoken_policy_size(100) < 10 << 10 && '
     'subtoken_policy_size(SUBTOKEN_POLICY_TEXT_MAX + 1) == 0'),
    ("subtoken_policy_find.3", "All zero, a policy denies.",
     'memset(memory, 0, sizeof memory) && '
     'subtoken_policy_find((const void *)memory, text("GET"), text("/"), 0, &decision) == 1 && '
     'decision.access == SUBTOKEN_ACCESS_DENIED'),
    ("subtoken_policy_find.3", "When it is not SUBTOKEN_OK, *policy is NULL and *error, which may "
     "be NULL, says what is wrong, and where",
     'policy("{\\n}") == SUBTOKEN_MALFORMED && read == NULL && error.line == 1 && '
     'error.column == 1 && error.text[0] && subtoken_policy_read(memory, 9, text("{}"), &read, '
     'NULL) == SUBTOKEN_BUFFER_TOO_SMALL && read == NULL && policy("{\\"default\\":\\"deny\\"}") '
     '== 1 && read != NULL && error.line == 0'),
    ("subtoken_policy_find.3", "An absent target is SUBTOKEN_BAD_TARGET.",
     'policy("{\\"default\\":\\"public\\"}") == 1 && '
     'subtoken_policy_find(read, text("GET"), text(NULL), 0, &decision) == SUBTOKEN_BAD_TARGET && '
     'subtoken_policy_find(read, text(NULL), text("/"), 0, &decision) == 1'),
    ("subtoken_policy_find.3", "Then *rpc is zeroed, and allowed to nobody.",
     'subtoken_rpc_read(text("{}"), header, 99, &rpc) == SUBTOKEN_MALFORMED && '
     'zeros(&rpc, sizeof rpc) && subtoken_rpc_allowed(&rpc, &c, NULL) == SUBTOKEN_INVALID_ARGUMENT'),
    # subtoken_mac_compute.3
    ("subtoken_mac_compute.3", "On failure subtoken_mac_compute() zeroes mac",
     '(mac[0] = mac[31] = 7) && subtoken_mac_compute(NULL, "", 0, mac) == '
     'SUBTOKEN_INVALID_ARGUMENT && mac[0] + mac[31] == 0 && (mac[0] = 7) && '
     'subtoken_mac_compute(ring.secrets, NULL, 1, mac) == SUBTOKEN_INVALID_ARGUMENT && mac[0] == 0 '
     '&& subtoken_mac_compute(ring.secrets, NULL, 0, mac) == 1'),
    ("subtoken_mac_compute.3", "subtoken_jws_open() zeroes the first SUBTOKEN_TOKEN_MAX bytes of "
     "out, or all when it is smaller, subtoken_jws_seal() leaves an empty string, and *out_len is "
     "0.", 'seal(&ring, 99) == 1 && len > 0 && (token[50] ^= 1) && '
     'subtoken_jws_open(&ring, (subtoken_text){token, len}, memset(header, 7, 99), 99, &len) == '
     'SUBTOKEN_MAC && zeros(header, 99) && len == 0 && seal(&ring, 9) != 1 && token[0] == 0 && '
     'len == 0'),
    ("subtoken_mac_compute.3", "From subtoken_jws_seal(): the same of the first one of the ring, or the ring is empty. With an empty ring "
     "subtoken_jws_open() returns SUBTOKEN_KID.", 'seal(&ring, 99) == 1 && '
     'subtoken_jws_open(&empty, (subtoken_text){token, len}, header, 99, &len) == SUBTOKEN_KID && '
     'seal(&empty, 99) == SUBTOKEN_NO_SECRET'),
    ("subtoken_mac_compute.3", "From subtoken_jws_open() it says nothing about the signature.",
     'seal(&ring, 99) == 1 && (token[50] ^= 1) && '
     'subtoken_jws_open(&ring, (subtoken_text){token, len}, memset(header, 7, 1), 1, &len) == '
     'SUBTOKEN_BUFFER_TOO_SMALL && zeros(header, 1)'),
    # subtoken_ring_read.3, libsubtoken.3
    ("subtoken_ring_read.3", "The ring, the secret or its bytes are NULL, or a text is that has a "
     "length.", 'subtoken_ring_read(NULL, text("x"), &len) == SUBTOKEN_INVALID_ARGUMENT && '
     'len == 0 && '
     'subtoken_ring_read(&other, (subtoken_text){NULL, 1}, NULL) == SUBTOKEN_INVALID_ARGUMENT && '
     'subtoken_ring_read(&other, text(NULL), NULL) == SUBTOKEN_NO_SECRET && '
     'subtoken_ring_add(NULL, text(""), header, 32) == SUBTOKEN_INVALID_ARGUMENT && '
     'subtoken_ring_add(&other, text(""), NULL, 0) == SUBTOKEN_INVALID_ARGUMENT && '
     'subtoken_secret_set(NULL, text(""), header, 32) == SUBTOKEN_INVALID_ARGUMENT && '
     'subtoken_secret_set(other.secrets, (subtoken_text){NULL, 1}, header, 32) == '
     'SUBTOKEN_INVALID_ARGUMENT'),
    ("subtoken_ring_read.3", "When subtoken_ring_read() fails, the ring is empty and *line is the "
     "number of the line at fault, counted from 1, or 0 when there is none.",
     'subtoken_ring_read(&other, text(RING RING), &len) == SUBTOKEN_KID_TAKEN && len == 2 && '
     'zeros(&other, sizeof other) && subtoken_ring_read(&other, text(""), &len) == '
     'SUBTOKEN_NO_SECRET && len == 0 && subtoken_ring_read(&other, text(RING), &len) == 1 && '
     'len == 0 && other.count == 1'),
    ("libsubtoken.3", "is the initializer of a view of a string literal",
     'literal.len == 3 && memcmp(literal.data, "a\\0b", 3) == 0 && '
     '((subtoken_text)SUBTOKEN_TEXT("")).len == 0 && ((subtoken_text)SUBTOKEN_TEXT("")).data'),
]

STATEMENTS_C = r"""#include <stdio.h>
#include <string.h>
#include <subtoken/issue.h>
#include <subtoken/mac.h>
#include <subtoken/policy.h>
#include <subtoken/verify.h>
#define NOW 1767225600
#define RING ":3W9lL151AvSBoJhaZDQ2dcBcwhnQhohglSX2RvUDL24\n"
#define IN "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtYWxsb3J5IiwiaWF0IjoxNzY3MjI1NjAwLCJl" \
           "eHAiOjE3Njk4MTc2MDAsInBlcm1pc3Npb25zIjpbImFjY291bnQiLCJhZG1pbiJdfQ.AAAA"
static subtoken_ring ring, empty, other;
static subtoken_claims c, child;
static subtoken_fault fault;
static char token[SUBTOKEN_TOKEN_MAX + 1], header[SUBTOKEN_TOKEN_MAX];
static uint8_t mac[SUBTOKEN_MAC_LEN];
static size_t len;
static uint64_t memory[64];
static const subtoken_policy *read;
static subtoken_policy_error error;
static subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
static subtoken_rpc rpc;
static const subtoken_text literal = SUBTOKEN_TEXT("a\0b");
static subtoken_text text(const char *s) {
  return (subtoken_text){s, s != NULL ? strlen(s) : 0};
}
static const char *times(size_t n) {
  static char some[200];
  memset(some, 'a', n);
  some[n] = 0;
  return some;
}
static bool zeros(const void *memory, size_t n) {
  const char *bytes = memory;
  while (n > 0 && bytes[n - 1] == 0) n--;
  return n == 0;
}
static subtoken_result sub(const char *s) { return subtoken_claims_set_sub(&c, text(s)); }
static subtoken_result sid(const char *s) { return subtoken_claims_set_sid(&c, text(s)); }
static subtoken_result add(const char *s) { return subtoken_claims_add_permission(&c, text(s)); }
static subtoken_result url(const char *s) { return subtoken_claims_add_url(&c, text(s), &fault); }
static bool is(subtoken_slice slice, const char *s) {
  return slice.len == strlen(s) && memcmp(c.text + slice.at, s, slice.len) == 0;
}
static subtoken_result match(const char *s) {
  return subtoken_url_match(&c, text("GET"), text(s));
}
static subtoken_result covers(const char *a, const char *b) {
  return subtoken_url_covers(text(a), text(b));
}
static subtoken_result policy(const char *s) {
  return subtoken_policy_read(memory, sizeof memory, text(s), &read, &error);
}
static subtoken_result many(int count) {
  subtoken_result result = SUBTOKEN_OK;
  for (int i = 0; i < count && result == SUBTOKEN_OK; i++) {
    char s[16];
    snprintf(s, sizeof s, "/%d", i);
    result = url(s);
    if (result == SUBTOKEN_OK) result = add(s);
  }
  return result;
}
static subtoken_result sign(void) {
  memset(token, 7, sizeof token);
  return subtoken_issue(&ring, &c, token, sizeof token, &len);
}
static subtoken_result seal(const subtoken_ring *by, size_t size) {
  return subtoken_jws_seal(by, "{}", 2, token, size, &len);
}
static subtoken_result child_of(void) {
  const subtoken_limits limits = SUBTOKEN_LIMITS_DEFAULT;
  return subtoken_narrow(&c, &(subtoken_issue_request)SUBTOKEN_ISSUE_REQUEST_DEFAULT, &limits, NOW, &child, NULL);
}
static subtoken_result inspect(const char *s, size_t size) {
  memset(header, 7, sizeof header);
  child.exp = 7;
  return subtoken_inspect(text(s), header, size, &child);
}
static subtoken_result says(void *context, const subtoken_text *names, size_t count) {
  (void)names;
  (void)count;
  return *(subtoken_result *)context;
}
static subtoken_result verify_with(subtoken_result answer) {
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  subtoken_request request = {.size = sizeof request, .now = NOW};
  verifier.ring = &ring;
  verifier.revoked = says;
  verifier.revoked_context = &answer;
  c.every_url = true;
  if (sub("s") != SUBTOKEN_OK || sign() != SUBTOKEN_OK) return SUBTOKEN_UNDECIDED;
  return subtoken_verify(&verifier, (subtoken_text){token, len}, &request, &child);
}
static void fresh(void) {
  memset(&c, 0, sizeof c);
  c.iat = NOW;
  c.exp = NOW + 3600;
}
int main(void) {
  if (subtoken_ring_read(&ring, text(RING), NULL) != SUBTOKEN_OK) return 1;
"""


def statements_are_true():
    rendered = {p: reads(p) for p in LIBRARY}
    source = STATEMENTS_C
    for number, (page, words, condition) in enumerate(STATEMENTS):
        assert words in rendered[page], (page, words)
        source += '  fresh();\n  if (!(%s)) puts("%d");\n' % (condition, number)
    p = build(source + "  return 0;\n}\n", scratch(), "statements")
    assert p.returncode == 0, (p.returncode, p.stderr)
    assert p.stdout == "", [STATEMENTS[int(n)] for n in p.stdout.split()]


def speed_and_bindings_are_those_of_the_tree():
    make = open(os.path.join(ROOT, "Makefile")).read()
    about = reads("libsubtoken.3")
    flags = re.search(r"^X86_FLAGS := .*?,((?:-m[\w.]+ ?)+)\)$", make, re.M).group(1).split()
    assert flags
    for flag in flags:
        assert flag[2:].upper() + " instructions" in about, flag
    installed = re.findall(r"install -m 644 (src/bindings/\S+)", make)
    there = ["src/bindings/" + f for f in os.listdir(os.path.join(ROOT, "src", "bindings"))
             if "." in f.strip(".") and not f.endswith(".md")]  # each one file; go is a package
    shown = re.findall(r"^\.Pa (src/bindings/\S+)", PAGES["libsubtoken.3"], re.M)
    assert sorted(installed) == sorted(there) == sorted(shown), (installed, there, shown)


def tables_are_those_of_the_library():
    results, faults = tables()
    shown = rows(section("subtoken_result_name.3", "RETURN VALUES"), "Dv")
    assert shown == [r[:3] for r in results], shown
    for status, value in {(r[2], r[3]) for r in results if r[3] != ""}:
        text = plain(section("subtoken_result_name.3", "DESCRIPTION"))
        assert ".It %s\n.Li %s\n" % (status, value) in text, (status, value)
    by = [r[0] for r in results]
    verifier = results[by.index("SUBTOKEN_OK"):by.index("SUBTOKEN_PERM") + 1]
    shown = rows(section("subtoken_verify.3", "RETURN VALUES"), "Dv")
    wanted = [r[:3] + ["-" if r[3] == "" else re.search('error="(.*)"', r[3]).group(1)]
              for r in verifier]
    assert shown == wanted, shown
    meant = re.findall(r"^\.It Dv (SUBTOKEN_\w+)$", section("subtoken_verify.3", "RETURN VALUES"),
                       re.M)
    assert meant == [r[0] for r in verifier[1:]], meant
    shown = rows(section("subtoken.1", "REASONS"), "Cm")
    assert [s[:2] for s in shown] == [r[1:3] for r in verifier[1:]], shown
    shown = re.findall(r"^\.It Dv (SUBTOKEN_FAULT_\w+) , Li (\S+)\n(.*)$",
                       section("subtoken_url_match.3", "DESCRIPTION"), re.M)
    assert [[a, plain(b), plain(c)] for a, b, c in shown] == faults, shown


def the_plain_build_covers_it():
    assert PAGES and SANITIZER


for f in ((the_plain_build_covers_it,) if SANITIZER else
          (mandoc_is_content, references_lead_somewhere, literal_text_is_rendered_as_it_is,
           examples_compile_and_print_what_is_shown, every_function_has_one_page,
           synopses_agree_with_the_headers, structures_agree_with_the_headers,
           limits_are_those_of_the_headers, what_the_headers_name_is_on_the_page,
           statements_are_true, speed_and_bindings_are_those_of_the_tree,
           tables_are_those_of_the_library)):
    test(f)

main()
