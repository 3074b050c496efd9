"""How what we build is hardened, read from the built files themselves: readelf's headers for the linker's part, what the
compiler wrote into each unit's debug information for its own. And that the same source gives the same bits in another
folder, under another user's settings."""
from installed import *

BUILD = os.path.dirname(PROGRAM)
MODULES = ["libsubtoken.so", "ngx_http_subtoken_module.so", "haproxy/subtoken.so", "mod_subtoken.so"]
FILES = ["subtoken"] + MODULES
ARCHIVE = "libsubtoken.a"
# What gcc writes into DW_AT_producer of a unit, on each kind of machine and on x86-64.
COMPILED = ["-fstack-protector-strong", "-fstack-clash-protection", "-fPIC", "-O2", "-std=gnu11"]
MACHINE = {"x86_64": ["-fcf-protection=full"], "aarch64": ["-mbranch-protection=standard"]}.get(os.uname().machine, [])


def readelf(name, *options):
    return sh("readelf", "-W", *options, os.path.join(BUILD, name))


@test
def no_memory_is_written_and_run():
    for name in FILES:
        segments = re.findall(r"^ +(\w+) +0x\S+ 0x\S+ 0x\S+ 0x\S+ 0x\S+ ([RWE ]{3})", readelf(name, "-l"), re.M)
        kinds = [kind for kind, _ in segments]
        assert kinds.count("GNU_STACK") == 1 and kinds.count("GNU_RELRO") == 1 and kinds.count("LOAD") >= 4, (name, segments)
        for kind, flags in segments:
            assert not ("W" in flags and "E" in flags), (name, kind, flags)


@test
def addresses_are_random_and_fixed_before_the_first_line_runs():
    for name in FILES:
        dynamic = readelf(name, "-d")
        assert re.search(r"\(FLAGS\) +BIND_NOW", dynamic) and re.search(r"\(FLAGS_1\) +Flags: NOW", dynamic), (name, dynamic)
        for unwanted in ("TEXTREL", "RPATH", "RUNPATH"):
            assert unwanted not in dynamic, (name, unwanted)
        assert re.search(r"^ +Type: +DYN", readelf(name, "-h"), re.M), name
    assert re.search(r"Flags: NOW PIE", readelf("subtoken", "-d")) and "INTERP" in readelf("subtoken", "-l")


@test
def each_unit_is_compiled_with_what_protects_its_stack_and_its_jumps():
    """Ours and those of the three libraries: one that was compiled otherwise would be named."""
    for name in FILES + [ARCHIVE]:
        units = re.findall(r"DW_AT_producer +: (?:\(.*?\): )?(.*)", readelf(name, "--debug-dump=info"))
        assert len(units) > 40, (name, len(units))
        for unit in units:
            missing = [flag for flag in COMPILED + MACHINE if flag not in unit.split()]
            assert not missing, (name, missing, unit)


@test
def the_c_library_checks_sizes_and_stacks():
    for name in FILES:
        used = set(re.findall(r" UND (__\w+_chk|__stack_chk_fail)\b", readelf(name, "--dyn-syms")))
        assert "__stack_chk_fail" in used and any(u.endswith("_chk") for u in used), (name, used)


@test
def what_has_no_bounds_is_called_by_none_of_our_files():
    objects = glob.glob(os.path.join(BUILD, "src", "**", "*.o"), recursive=True)
    assert len(objects) > 250, len(objects)
    for name in objects:
        bad = set(re.findall(r" UND (\w+)", readelf(name, "--syms"))) & {"gets", "strcpy", "strcat", "stpcpy", "sprintf", "vsprintf", "scanf", "sscanf", "strtok", "mktemp", "tmpnam", "alloca", "system", "popen"}
        assert not bad, (name, bad)


@test
def modules_show_their_hosts_no_name_that_is_not_theirs():
    shown = {
        "libsubtoken.so": set(read(TESTS, "symbols.txt").split()),
        "haproxy/subtoken.so": {"luaopen_subtoken"},
        "mod_subtoken.so": {"subtoken_module"},
        "ngx_http_subtoken_module.so": {"ngx_modules", "ngx_module_names", "ngx_module_order"},
    }
    for name in MODULES:
        symbols = re.findall(r"^ +\d+: +\S+ +\d+ +(\w+) +(\w+) +(\w+) +(\S+) +(\S+)", readelf(name, "--dyn-syms"), re.M)
        defined = {symbol.split("@")[0] for kind, bind, visibility, index, symbol in symbols
                   if index not in ("UND", "ABS") and bind != "LOCAL" and visibility == "DEFAULT"}
        assert defined == shown[name], (name, defined ^ shown[name])


@test
def the_same_source_gives_the_same_bits():
    """In a folder of another name, by a user with other settings. `make reproduce` has the program, too, each module and the npm package."""
    files = ["libsubtoken.so", "haproxy/subtoken.so", ARCHIVE] + ["third_party/lib%s.a" % name for name in ("mbedcrypto", "cjson", "civetweb")]
    text = sh("sh", os.path.join(ROOT, "src/packaging/reproduce.sh"), BUILD, *files, cwd=ROOT)
    assert len(re.findall(r"^same ", text, re.M)) == len(files), text


main()
