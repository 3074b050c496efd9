# subtoken. `make help` names the targets.

B ?= build
CC = gcc
OPT ?= -O2 -g
SAN ?=
PORT ?= 8080
DATA ?= ./var
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_RUNS ?=
FUZZ_SECONDS ?= $(if $(FUZZ_RUNS),0,30)
FUZZ_KEEP ?=
FUZZ_ONLY ?=
FUZZ_FAST ?=
VERSION := $(shell sed -n 's/^.define SUBTOKEN_VERSION "\(.*\)"/\1/p' include/subtoken/common.h)
# Until 1.0 a minor version may break what a program relies on: it is part of the SONAME.
SONAME := libsubtoken.so.$(if $(filter 0.%,$(VERSION)),$(basename $(VERSION)),$(firstword $(subst ., ,$(VERSION))))

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
# As many jobs as there are processors, unless -j says how many.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

WARN = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wformat=2 -Wvla -Wundef -Werror
MACHINE := $(shell $(CC) -dumpmachine)
CET := $(if $(filter x86_64%,$(MACHINE)),-fcf-protection=full) \
	$(if $(filter aarch64%,$(MACHINE)),-mbranch-protection=standard)
OBJCOPY = objcopy
# FORTIFY's own checks hide from the sanitizers what they are there to see.
FORTIFY = $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
# Builds for tests end where something is that cannot be (src/base/impossible.h).
CHECKED = $(if $(SAN),-DST_CHECKED) $(if $(findstring --coverage,$(SAN)),-DST_COUNTED)
HARDEN = -fstack-protector-strong -fstack-clash-protection $(FORTIFY) $(CET)
# The same bits, wherever the tree lies.
HARDEN += -ffile-prefix-map='$(CURDIR)=.'

include third_party/third_party.mk

# Where a Node is fetched to if the machine's is older than 20.
NODE = build/node
export PATH := $(CURDIR)/$(NODE)/bin:$(PATH)

# Where libpq's headers are; before its package is installed, where Debian puts them.
PQ_INCLUDE := $(or $(shell pg_config --includedir 2>/dev/null),/usr/include/postgresql)

CPPFLAGS = -D_GNU_SOURCE $(CHECKED) -Iinclude -Isrc $(TP_INCLUDES) -isystem $(PQ_INCLUDE) $(TP_DEFINES)
CFLAGS = -std=gnu11 $(OPT) $(WARN) $(HARDEN) $(SAN) -fPIC -fvisibility=hidden
# Only what hmac.c calls after it has asked the processor.
X86_FLAGS := $(if $(filter x86_64%,$(MACHINE)),-msha -msse4.1)
$(B)/src/base/x86.o: CFLAGS += $(X86_FLAGS)
$(B)/src/base/arm.o: CFLAGS += $(if $(filter aarch64%,$(MACHINE)),-march=armv8-a+crypto)
LDFLAGS = $(SAN) -pie -Wl,-z,relro,-z,now,-z,noexecstack
LDLIBS = -lsqlite3 -largon2 -lutf8proc -lpthread
# What tests call of libpq besides what the program loads (store/postgres/libpq.c).
TEST_LIBPQ = -lpq

# The pure part, and the one that reads files for an edge.
PURE_SRC := $(wildcard src/base/*.c src/core/*.c)
LIB_SRC := $(PURE_SRC) $(wildcard src/feed/*.c)
SERVER_SRC := $(wildcard $(patsubst %,src/%/*.c,os domain store store/sqlite store/postgres operations page service server))
CLI_SRC := $(filter-out src/cli/main.c,$(wildcard src/cli/*.c))
UNIT_SRC := $(wildcard tests/unit/test_*.c)

PURE_OBJ := $(PURE_SRC:%.c=$(B)/%.o)
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
SERVER_OBJ := $(SERVER_SRC:%.c=$(B)/%.o)
CLI_OBJ := $(CLI_SRC:%.c=$(B)/%.o)
MAIN_OBJ := $(B)/src/cli/main.o
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(B)/tests/%)
# All of the program but main, for the tests.
ALL_OBJ := $(LIB_OBJ) $(SERVER_OBJ) $(CLI_OBJ)

.PHONY: all help deps run unit quick test test-programs bench fuzz lint layers install dist clean format
all: deps $(B)/subtoken $(B)/libsubtoken.a $(B)/libsubtoken.so

help:
	@sed -n 's/^## //p' Makefile

## make                the program, the library and its shared library, in build/
## make run            the same, then a server with a demo key on 127.0.0.1:8080 (PORT=, DATA=)
## make check-NAME     tests/unit/test_NAME.c alone; NAME='leap*' runs the tests so named
## make e2e-NAME       tests/e2e/test_NAME.py alone, likewise; wasm-NAME, page-NAME: those in JavaScript
## make unit           all unit tests; `make quick`: and the quickest end-to-end tests, two minutes
## make test           every test, plain and under the sanitizers; ONLY=text runs the files so named
## make test-aarch64   of that, what qemu-user can run of the library on AArch64
## make layers         do includes and calls point one way?
## make lint           clang-format, clang-tidy, cppcheck; `make format` formats
## make coverage       branches and lines of each folder that the unit tests reach (tests/README.md)
## make mutation       which small faults no unit test sees: ONLY='base core/policy', SAMPLE=200
## make proofs         CBMC over the parsers, for all inputs up to a bound; proofs-brief: in seconds
## make check-secrets  does a branch or an address depend on a secret? `make constant-time` measures
## make fuzz           every fuzz target for FUZZ_SECONDS=30; FUZZ_KEEP=DIR goes on from what DIR keeps
## make soak           hours of work with all that happens in them: SOAK_HOURS=8
## make bench          measure on this machine, or one part: bench-server (tests/bench/README.md)
## make bench-against REV=...   compare with a revision
## make nginx-module   the module for nginx; `make haproxy-module`, `make apache-module`
## make wasm           the npm package, with the library as WebAssembly, in build/wasm/package
## make install        into PREFIX=/usr/local; `make deb` Debian packages, `make deb-test` tries them
## make reproduce      build a second time, elsewhere: are the bits the same?
## make release        TAG=v1.2.3: the files of a release, of a signed tag, in build/release
## make compile_commands.json   for clangd
## B=DIR builds into DIR; OPT=, SAN= and CC= change how

deps:
	@sh third_party/apt.sh libsqlite3-dev libpq-dev libargon2-dev libutf8proc-dev libcurl4-openssl-dev

# The library needs no package, and of what is fetched hmac.c alone needs a header. All others wait
# for the packages and the fetched headers, not for their times.
$(filter-out $(LIB_OBJ),$(ALL_OBJ) $(MAIN_OBJ)): | deps $(TP_STAMP)
$(B)/src/base/hmac.o: | $(TP_STAMP)

# One process for each file, for there are many: $(info) instead of printf, folders by themselves.
.SECONDEXPANSION:
$(B)/%.o: %.c Makefile | $$(@D)/.
	$(info $()  CC      $<)
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

.PRECIOUS: $(B)/%/.
$(B)/%/.:
	@mkdir -p $@

# One object in which only our own names are global: whoever links it may have an
# mbedTLS of another version.
$(B)/libsubtoken.a: $(LIB_OBJ) $(TP_MBEDTLS)
	@printf '  AR      %s\n' $@
	@$(CC) -r -nostdlib -o $(B)/libsubtoken.o $(LIB_OBJ) -Wl,--whole-archive $(TP_MBEDTLS) -Wl,--no-whole-archive
	@$(OBJCOPY) --wildcard --keep-global-symbol='subtoken_*' $(B)/libsubtoken.o
	@rm -f $@ && $(AR) rcs $@ $(B)/libsubtoken.o

$(B)/libsubtoken.so: $(LIB_OBJ) $(TP_MBEDTLS) src/libsubtoken.map
	@printf '  LD      %s\n' $@
	@$(CC) $(SAN) -shared -Wl,-soname,$(SONAME) -Wl,-z,relro,-z,now,-z,noexecstack \
		-Wl,--version-script=src/libsubtoken.map $(if $(SAN),,-Wl,-z,defs) -o $@ $(LIB_OBJ) -Wl,--exclude-libs,ALL $(TP_MBEDTLS)

$(B)/subtoken: $(ALL_OBJ) $(MAIN_OBJ) $(TP_LIBS)
	@printf '  LD      %s\n' $@
	@$(CC) $(LDFLAGS) -o $@ $(ALL_OBJ) $(MAIN_OBJ) $(TP_LIBS) $(LDLIBS)

# The page: its files are taken in by files.c, with a digest of them all.
PAGE_FILES := $(filter-out %.c %.h %.o %.d,$(wildcard src/page/*.*))
$(B)/src/page/files.o: $(PAGE_FILES)
$(B)/src/page/files.o: CPPFLAGS += -DST_PAGE_TAG='"$(shell cat $(PAGE_FILES) | sha256sum | cut -c1-16)"'

# The lines that it prints are pasted into a shell: they need curl.
run: all
	@sh third_party/apt.sh cmd:curl=curl
	@mkdir -p -m 700 $(DATA)
	@exec $(B)/subtoken serve --demo --data $(DATA) --listen 127.0.0.1:$(PORT)

# ---- the HAProxy module ------------------------------------------------------

# A module for Lua 5.3, which Debian's HAProxy has in it: Lua's own names stay open. It is never unloaded:
# Lua does so when its state is closed, and frees the rest of its memory behind that, by our function.
HAPROXY_SRC := $(wildcard src/edge/haproxy/*.c)
HAPROXY_OBJ := $(HAPROXY_SRC:%.c=$(B)/%.o)
HAPROXY_INCLUDES = -isystem /usr/include/lua5.3
HAPROXY_MODULE = $(B)/haproxy/subtoken.so
.PHONY: haproxy-module deps-haproxy
haproxy-module: $(HAPROXY_MODULE)

deps-haproxy:
	@sh third_party/apt.sh liblua5.3-dev

$(HAPROXY_OBJ) $(B)/fuzz/fuzz_haproxy_head: CPPFLAGS += $(HAPROXY_INCLUDES)
$(HAPROXY_OBJ) $(B)/fuzz/fuzz_haproxy_head: | deps-haproxy

$(HAPROXY_MODULE): $(HAPROXY_OBJ) $(B)/libsubtoken.a
	@mkdir -p $(@D)
	@printf '  LD      %s\n' $@
	@$(CC) $(SAN) -shared -Wl,-z,relro,-z,now,-z,noexecstack,-z,nodelete -o $@ $(HAPROXY_OBJ) \
		-Wl,--exclude-libs,ALL $(B)/libsubtoken.a

# ---- the nginx module --------------------------------------------------------

# Debian's nginx loads a module that was built with its headers and its own flags.
NGINX_DIR = /usr/share/nginx/src
NGINX_SRC := $(wildcard src/edge/nginx/*.c)
NGINX_OBJ := $(NGINX_SRC:%.c=$(B)/%.o)
NGINX_CONF = build/nginx/ngx_auto_config.h
NGINX_INCLUDES = -isystem build/nginx $(addprefix -isystem $(NGINX_DIR)/src/,core event \
	event/modules os/unix http http/modules http/v2)
NGINX_MODULE = $(B)/ngx_http_subtoken_module.so
.PHONY: nginx-module deps-nginx
nginx-module: $(NGINX_MODULE)

deps-nginx:
	@sh third_party/apt.sh nginx-dev

$(NGINX_CONF): $(wildcard $(NGINX_DIR)/conf_flags) | deps-nginx
	@mkdir -p $(@D)
	@printf '  CONF    %s\n' $@
	@cd $(NGINX_DIR) && bash -c '. ./conf_flags && ./configure --with-cc-opt="-O2 -fPIC" \
		"$${NGX_CONF_FLAGS[@]}" --builddir=$(CURDIR)/build/nginx' >$(CURDIR)/build/nginx/configure.log \
		|| { cat $(CURDIR)/build/nginx/configure.log; exit 1; }

$(NGINX_OBJ): CPPFLAGS += $(NGINX_INCLUDES)
$(NGINX_OBJ): | $(NGINX_CONF)

# nginx's own names stay open; of ours it needs to see the three that it looks for.
$(NGINX_MODULE): $(NGINX_OBJ) $(B)/libsubtoken.a
	@printf '  LD      %s\n' $@
	@$(CC) $(SAN) -shared -Wl,-z,relro,-z,now,-z,noexecstack -o $@ $(NGINX_OBJ) \
		-Wl,--exclude-libs,ALL $(B)/libsubtoken.a

# ---- WebAssembly, and the npm package ----------------------------------------

# base, core and the functions that src/edge/wasm/core.js calls, for every JavaScript engine: one
# file without imports, compiled by Debian's clang in one step. A file that is not there has no part.
WASM_CC = clang-14
WASM_SRC := $(PURE_SRC) $(wildcard src/edge/wasm/*.c)
WASM_HEADERS := $(wildcard include/subtoken/*.h src/base/*.h src/core/*.h)
WASM_FILES := $(wildcard src/edge/wasm/*.js src/edge/wasm/*.ts) src/edge/wasm/README.md LICENSE
WASM_OUT := $(B)/wasm
WASM_PACKAGE := $(WASM_OUT)/package
WASM_FLAGS = --target=wasm32-wasi -std=gnu11 -O3 -msimd128 -mexec-model=reactor -nostartfiles $(WARN) -Wno-missing-prototypes \
	-fvisibility=hidden -Iinclude -Isrc $(TP_INCLUDES) $(TP_DEFINES)
WASM_LINK = -Wl,--no-entry,--strip-all,--stack-first,-z,stack-size=262144,--export=__stack_pointer
WASM_PACKAGES = cmd:clang-14=clang-14 cmd:wasm-ld-14=lld-14 wasi-libc libclang-rt-14-dev-wasm32
.PHONY: wasm deps-wasm
wasm: $(WASM_PACKAGE)/package.json
	@printf 'subtoken.wasm: %d bytes, %d as gzip; the package: %s\n' $$(wc -c <$(WASM_OUT)/subtoken.wasm) \
		$$(gzip -9c $(WASM_OUT)/subtoken.wasm | wc -c) $(WASM_PACKAGE)

deps-wasm:
	@sh third_party/apt.sh $(WASM_PACKAGES)
	@sh third_party/node.sh $(NODE)

# mbedTLS's own warnings are not ours to mend.
$(WASM_OUT)/subtoken.wasm: $(WASM_SRC) $(WASM_HEADERS) Makefile $(TP)/mbedtls_config.h | deps-wasm $(TP_STAMP)
	@mkdir -p $(@D)
	@printf '  WASM    %s\n' $@
	@$(WASM_CC) $(WASM_FLAGS) -w -c -o $(@D)/sha256.o $(TP_SRC)/mbedtls/library/sha256.c
	@$(WASM_CC) $(WASM_FLAGS) -w -c -o $(@D)/platform_util.o $(TP_SRC)/mbedtls/library/platform_util.c
	@$(WASM_CC) $(WASM_FLAGS) $(WASM_LINK) -o $@ $(WASM_SRC) $(@D)/sha256.o $(@D)/platform_util.o

$(WASM_PACKAGE)/package.json: $(WASM_OUT)/subtoken.wasm $(WASM_FILES) src/edge/wasm/package.json
	@rm -rf $(@D) && mkdir -p $(@D)
	@cp $(WASM_OUT)/subtoken.wasm $(WASM_FILES) $(@D)/
	@base64 $(WASM_OUT)/subtoken.wasm >$(WASM_OUT)/base64
	@sed -e '/@WASM@/{r $(WASM_OUT)/base64' -e 'd}' src/edge/wasm/index.inline.js >$(@D)/index.inline.js
	@sed 's|"0.0.0"|"$(VERSION)"|' src/edge/wasm/package.json >$@

# The middleware with the real frameworks, in workerd and in Chromium: tests/wasm/NAME.mjs.
CHROMIUM_PACKAGES = cmd:chromium-headless-shell=chromium-headless-shell
.PHONY: deps-chromium
deps-chromium:
	@sh third_party/apt.sh $(CHROMIUM_PACKAGES)
wasm-%: all wasm | deps-chromium
	@node tests/wasm/$*.mjs $(B)/subtoken

# The page in Chromium: tests/page/NAME.mjs. SUBTOKEN_SCREENSHOTS=DIR keeps a picture of each view.
page-%: all | deps-chromium
	@node tests/page/$*.mjs $(B)/subtoken $(if $(NAME),'$(NAME)')

# ---- the module for Apache httpd ---------------------------------------------

# Debian's httpd loads a module that was built with its headers; apxs would say the same flags.
APACHE_SRC := $(wildcard src/edge/apache/*.c)
APACHE_OBJ := $(APACHE_SRC:%.c=$(B)/%.o)
APACHE_INCLUDES = -isystem /usr/include/apache2 -isystem /usr/include/apr-1.0
APACHE_MODULE = $(B)/mod_subtoken.so
.PHONY: apache-module deps-apache
apache-module: $(APACHE_MODULE)

deps-apache:
	@sh third_party/apt.sh apache2-dev

$(APACHE_OBJ): CPPFLAGS += $(APACHE_INCLUDES)
$(APACHE_OBJ): | deps-apache

$(APACHE_MODULE): $(APACHE_OBJ) $(B)/libsubtoken.a
	@printf '  LD      %s\n' $@
	@$(CC) $(SAN) -shared -Wl,-z,relro,-z,now,-z,noexecstack -o $@ $(APACHE_OBJ) \
		-Wl,--exclude-libs,ALL $(B)/libsubtoken.a

# ---- tests -------------------------------------------------------------------

# A unit test that includes nothing beyond the library links what it uses of the library: it needs
# no package but cmocka and, where no hash is computed, nothing that is fetched. The others link
# all of the program but main.
NO_HASH_TESTS := $(addprefix $(B)/tests/test_,base64url bytes claims claims_build date json json_calls narrow result)
LIB_TESTS := $(shell grep -LP '^\#include (<(cJSON|sqlite3|argon2|civetweb)|"(?!base/|core/|feed/|subtoken/|support\.h|policy_fixture\.h|permissive\.h|plain_path\.h|feed_file_fixture\.h|cache_fixture\.h|run_tests\.h))' $(UNIT_SRC) </dev/null)
LIB_TESTS := $(LIB_TESTS:tests/unit/%.c=$(B)/tests/%)
PROGRAM_TESTS := $(filter-out $(LIB_TESTS),$(UNIT_BIN))

# These have a cluster of their own while they run (tests/e2e/postgres.py).
STORE_TESTS := $(shell grep -lE 'store_contract\.h|(store_failing|store_answers|restored|postgres_fixture)\.h|SUBTOKEN_TEST_POSTGRES' $(UNIT_SRC))
WITH_POSTGRES = /usr/bin/python3 tests/e2e/postgres.py

.PHONY: deps-cmocka deps-postgres deps-quick deps-test
deps-cmocka:
	@sh third_party/apt.sh header:cmocka.h=libcmocka-dev
deps-postgres:
	@sh third_party/apt.sh python3 postgresql
deps-quick: deps-postgres
	@sh third_party/apt.sh python3 python3-jsonschema cmd:curl=curl

TEST_PACKAGES = libcmocka-dev cmd:curl=curl python3 postgresql python3-jwt python3-jsonschema python3-yaml python3-prometheus-client cmd:promtool=prometheus sqlite3 faketime \
	valgrind mandoc pkg-config cmd:g++=g++ luajit2 \
	nginx-light libnginx-mod-http-lua nginx-dev haproxy cmd:caddy=caddy cmd:apache2=apache2 apache2-dev cmd:go=golang-go cmd:openssl=openssl
# Clients of OAuth (tests/clients), and what runs them.
TEST_PACKAGES += cmd:git=git cmd:ssh-keygen=openssh-client python3-requests-oauthlib python3-authlib golang-golang-x-oauth2-dev ruby-oauth2
deps-test: deps deps-deb
	@sh third_party/apt.sh $(TEST_PACKAGES)
	@sh third_party/node.sh $(NODE)

$(B)/tests/library.a: $(filter-out $(B)/src/base/hmac.o,$(LIB_OBJ))
	@mkdir -p $(@D)
	@rm -f $@ && $(AR) rcs $@ $^

# There are hundreds, and gold links one with sanitizers in half the time.
TEST_LINKER := $(if $(SAN),$(shell command -v ld.gold >/dev/null && echo -fuse-ld=gold))
$(UNIT_BIN): $(B)/tests/%: tests/unit/%.c | deps-cmocka
	@mkdir -p $(@D)
	@printf '  TEST    %s\n' $@
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(TEST_FLAGS) $(TESTED) -MMD -MP -o $@ $< $(LDFLAGS) $(TEST_LINKER) $(filter %.o %.a,$^) -lcmocka $(TEST_LIBS)

$(filter-out $(NO_HASH_TESTS),$(LIB_TESTS)): $(B)/src/base/hmac.o $(TP_MBEDTLS)
$(LIB_TESTS): $(B)/tests/library.a
$(PROGRAM_TESTS): $(ALL_OBJ) $(TP_LIBS)
$(PROGRAM_TESTS): TEST_LIBS = $(LDLIBS) $(TEST_LIBPQ)
# What they test is optimised, they are not: that takes a fifth of the time to compile.
$(PROGRAM_TESTS): TEST_FLAGS = -O0 -g1 -U_FORTIFY_SOURCE
# Of what they test, where no sanitizer keeps copies: __OPTIMIZE__ tells of the test alone.
TESTED := $(if $(SAN)$(filter -O0,$(OPT)),,-DTESTED_IS_OPTIMISED)

# Files of src/edge that a test includes, and calls as Lua or httpd would.
$(filter $(B)/tests/test_haproxy%,$(UNIT_BIN)): CPPFLAGS += $(HAPROXY_INCLUDES)
$(filter $(B)/tests/test_haproxy%,$(UNIT_BIN)): | deps-haproxy
$(filter $(B)/tests/test_apache%,$(UNIT_BIN)): CPPFLAGS += $(APACHE_INCLUDES)
$(filter $(B)/tests/test_apache%,$(UNIT_BIN)): LDLIBS += -lapr-1
$(filter $(B)/tests/test_apache%,$(UNIT_BIN)): | deps-apache

# In these a test can make fail what our own code asks of others: the linker hands it these calls.
FAILING_TESTS := $(shell grep -l '"failing\.h"' $(UNIT_SRC))
FAILING_CALLS = malloc calloc realloc reallocarray aligned_alloc mmap strdup strndup realpath asprintf \
	stat lstat fstat statvfs faccessat eventfd poll read write fsync rename link open pthread_create \
	fchmod fchown mkdir mkostemp dup fdopendir opendir renameat2 flock \
	socket bind listen connect accept4 setsockopt getsockname chmod recv send dlopen dlsym \
	dup3 fallocate fcntl fopen ftruncate lseek nanosleep __open_2 __asprintf_chk __poll_chk __recv_chk \
	$(addprefix sqlite3_,open_v2 prepare_v2 prepare_v3 exec step bind_int64 bind_text bind_blob \
	bind_text64 bind_blob64 busy_timeout busy_handler file_control backup_init backup_step \
	create_function_v2 db_config close column_text column_blob column_bytes column_int64 column_type \
	changes errcode errmsg threadsafe) \
	$(addprefix PQ,sendQuery sendPrepare sendQueryPrepared pipelineSync flush consumeInput \
	setnonblocking enterPipelineMode exitPipelineMode connectPoll parameterStatus \
	connectStartParams conninfoParse getResult errorMessage resultErrorMessage getisnull getlength \
	getvalue ntuples cmdTuples)
$(FAILING_TESTS:tests/unit/%.c=$(B)/tests/%): LDFLAGS += $(FAILING_CALLS:%=-Wl,--wrap=%)

ASAN = B=build/asan OPT='-O1 -g1 -fno-omit-frame-pointer' \
	SAN='-fsanitize=address,undefined -fno-sanitize-recover=all'
TSAN = B=build/tsan OPT='-O1 -g1 -fno-omit-frame-pointer' SAN=-fsanitize=thread

# NAME: a pattern with * and ?, of the tests to run.
NAME ?=
$(STORE_TESTS:tests/unit/test_%.c=check-%): deps-postgres
check-%: $(B)/tests/test_%
	@SUBTOKEN_TESTS_NAME='$(NAME)' $(if $(filter tests/unit/test_$*.c,$(STORE_TESTS)),$(WITH_POSTGRES)) $<

e2e-verdicts: wasm
e2e-%: all nginx-module haproxy-module apache-module $(B)/bench/verify build/faults/shim.so $(B)/faults/ngx_http_subtoken_module.so | deps-test
	@/usr/bin/python3 tests/e2e/test_$*.py $(B)/subtoken $(if $(NAME),'$(NAME)')

unit: $(UNIT_BIN) | deps-postgres
	@$(WITH_POSTGRES) bash tests/run.sh unit $(B)

quick: all $(UNIT_BIN) | deps-quick
	@$(WITH_POSTGRES) bash tests/run.sh quick $(B)

# Unit tests that are run as the compiler optimises them for users, too: the library's own, and those that say
# what is wiped. The rest of the program is asked as users have it by the end-to-end files.
OPTIMISED := $(LIB_TESTS) $(addprefix $(B)/tests/test_,draw key_cache policy revocations revocations_feed service_wiped token_cache vectors wiped)

test-programs: all $(if $(SAN),$(UNIT_BIN),$(OPTIMISED)) $(B)/bench/verify nginx-module haproxy-module apache-module build/faults/shim.so $(B)/faults/ngx_http_subtoken_module.so

# What the tests need, in one go: what is then missing to each of these are things that no package has.
TEST_INSTALLED = $(TEST_PACKAGES) $(DEB_PACKAGES) $(CHROMIUM_PACKAGES) $(AARCH64_PACKAGES) $(WASM_PACKAGES) \
	nginx-dev liblua5.3-dev cmd:node=nodejs cmd:npm=npm
TEST_NEEDS = deps-test deps-chromium deps-aarch64 deps-haproxy deps-apache deps-wasm
.PHONY: test-needs test-objects
test-needs: deps
	@sh third_party/apt.sh $(TEST_INSTALLED)
	@for need in $(TEST_NEEDS); do $(MAKE) --no-print-directory $$need || exit 1; done

# Meanwhile, what needs none of that.
test-objects: deps $(TP_STAMP)
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory $(ASAN) all
	@$(MAKE) --no-print-directory $(TSAN) all

test: deps $(TP_STAMP)
	@sh third_party/apt.sh --ready $(TEST_INSTALLED)
	@echo 'Building the program and its tests: plain, under the sanitizers, the library for AArch64'
	@$(MAKE) --no-print-directory test-needs test-objects
	@$(MAKE) --no-print-directory test-programs wasm
	@$(MAKE) --no-print-directory $(ASAN) test-programs
	@$(MAKE) --no-print-directory $(AARCH64) aarch64-programs
	@$(MAKE) --no-print-directory $(SECRETS) build/constant_time/constant_time/secrets
	@$(WITH_POSTGRES) bash tests/run.sh all $(sort $(OPTIMISED))

# ---- faults ------------------------------------------------------------------

# What tests preload to make calls fail (tests/faults); one for every build of the program.
build/faults/shim.so: $(filter-out %/nginx_calls.c,$(wildcard tests/faults/*.c tests/faults/*.h tests/faults/*.def))
	@mkdir -p $(@D)
	@printf '  LD      %s\n' $@
	@$(CC) -std=gnu11 -O2 -g -D_GNU_SOURCE -Wall -Wextra -Werror -fPIC -shared -o $@.new $(filter %.c,$^)
	@mv $@.new $@

# The module for nginx with what it asks of nginx as calls that the shim can make fail.
NGINX_FAULTS = $(B)/faults/$(notdir $(NGINX_MODULE))
NGINX_CALLS = $(addprefix ngx_,palloc pnalloc pcalloc) $(shell sed -En 's/^CALL.[^,]*, (ngx_[a-z_]*),.*/\1/p' tests/faults/nginx_calls.c)
$(NGINX_FAULTS): tests/faults/nginx_calls.c fuzz/nginx_pool.c $(NGINX_OBJ) $(B)/libsubtoken.a
	@mkdir -p $(@D)
	@printf '  LD      %s\n' $@
	@$(CC) $(CPPFLAGS) $(NGINX_INCLUDES) $(CFLAGS) -shared -o $@ $(filter %.c,$^) $(NGINX_CALLS:%=-Wl,--wrap=%) \
		$(NGINX_OBJ) -Wl,--exclude-libs,ALL $(B)/libsubtoken.a

# ---- coverage ----------------------------------------------------------------

# A build that counts, as it stands in the source: tests/coverage.py says what is counted.
# make coverage               all unit tests, then branches and lines of each folder
# make coverage ONLY=store_   the unit tests whose program's name contains the word
# make coverage E2E='keys users'   then these end-to-end files, too; E2E_STORES='sqlite postgres' on both stores
# make coverage MORE=1        adds to what earlier runs have counted
# make coverage-held          are all branches of base, core, feed and domain reached by their own tests?
# make coverage-report LIST='store cli/main.c'   the table again, and what nothing reached of these
COVERAGE = B=build/coverage OPT='-O0 -g --param=logical-op-non-short-circuit=0' \
	SAN='--coverage -fprofile-update=atomic'
E2E ?=
E2E_STORES ?= sqlite
LIST ?=
MORE ?=
.PHONY: coverage coverage-report coverage-programs
coverage-programs: $(UNIT_BIN) $(if $(E2E),all nginx-module haproxy-module apache-module $(B)/bench/verify $(B)/faults/ngx_http_subtoken_module.so)
coverage: deps-cmocka deps-postgres $(if $(E2E),deps-test)
	@$(MAKE) --no-print-directory $(COVERAGE) coverage-programs
	@/usr/bin/python3 tests/coverage.py clear build/coverage $(if $(MORE),--more)
	@$(WITH_POSTGRES) bash tests/run.sh unit build/coverage
	@for store in $(if $(E2E),$(E2E_STORES)); do for name in $(E2E); do SUBTOKEN_TEST_STORE=$${store#sqlite} \
		SUBTOKEN_FAULTS_COUNTING=1 /usr/bin/python3 tests/e2e/test_$$name.py build/coverage/subtoken || exit 1; done; done
	@$(MAKE) --no-print-directory coverage-report

coverage-report:
	@/usr/bin/python3 tests/coverage.py report build/coverage $(LIST)

# Every branch of these folders by their own unit tests, without the store and its packages. Only they
# count, without locks, which is four times as fast: no test with threads is among them, nor one that
# makes calls of other folders fail. The rest (the service that an edge asks, service_fixture.h) is from
# the ordinary build.
HELD = base core feed domain
HELD_TESTS := $(filter $(filter-out vouched wasm,$(notdir $(basename $(wildcard $(HELD:%=src/%/*.c))))) vector edge_mcp \
	edge_arguments cache_sets claims_build config_bad feed_file_bad jws_header $(addsuffix _bounds,cache core domain key mcp policy resource revocations ring) feed_faults \
	json_calls lineage,$(UNIT_SRC:tests/unit/test_%.c=%))
HELD_TESTS := $(shell cd tests/unit && grep -LE 'pthread_create|"failing\.h"' $(HELD_TESTS:%=test_%.c) | sed 's/^test_//; s/\.c$$//')
HELD_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard $(HELD:%=src/%/*.c)))
HELD_REST := $(patsubst %.c,$(B)/%.o,src/server/basic_locks.c $(wildcard src/os/*.c src/page/*.c src/service/*.c))
COUNTING = B=build/held OPT='-O0 --param=logical-op-non-short-circuit=0' SAN=--coverage
.PHONY: coverage-held held-programs
held-programs: $(HELD_TESTS:%=$(B)/held/%)
$(B)/tests/held_rest.a: $(HELD_REST)
	@mkdir -p $(@D)
	@rm -f $@ && $(AR) rcs $@ $^
$(B)/held/%: tests/unit/test_%.c $(HELD_OBJ) | deps-cmocka
	@mkdir -p $(@D)
	@printf '  TEST    %s\n' $@
	@$(CC) $(CPPFLAGS) $(filter-out $(SAN),$(CFLAGS)) -MMD -MP -o $@ $< $(LDFLAGS) $(HELD_OBJ) \
		build/tests/held_rest.a $(TP_MBEDTLS:$(B)/%=build/%) $(TP_CJSON:$(B)/%=build/%) -lcmocka -lpthread

coverage-held: deps-cmocka build/tests/held_rest.a build/third_party/libmbedcrypto.a build/third_party/libcjson.a
	@$(MAKE) --no-print-directory $(COUNTING) held-programs
	@/usr/bin/python3 tests/coverage.py clear build/held
	@printf '%s\n' $(HELD_TESTS) | CMOCKA_MESSAGE_OUTPUT=STDOUT xargs -P $(shell nproc) -I{} sh -c \
		'build/held/held/{} >build/held/held/{}.log 2>&1 || { cat build/held/held/{}.log; exit 255; }'
	@/usr/bin/python3 tests/coverage.py report build/held --hold $(HELD:%=%=100)

# ---- AArch64 ------------------------------------------------------------------

# The library, its unit tests, the vectors, and a verify whose instructions are counted, built by a
# cross compiler and run by qemu-user. A machine of this kind runs `make test` as every other does.
ARM64 = build/arm64
AARCH64 = B=build/aarch64 CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar OBJCOPY=aarch64-linux-gnu-objcopy \
	OPT='-O2 -g -isystem $(CURDIR)/$(ARM64)/usr/include -L$(CURDIR)/$(ARM64)/usr/lib/aarch64-linux-gnu'
AARCH64_PACKAGES = cmd:aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu libc6-dev-arm64-cross cmd:qemu-aarch64=qemu-user
.PHONY: deps-aarch64 aarch64-programs test-aarch64
deps-aarch64:
	@sh third_party/apt.sh $(AARCH64_PACKAGES)
	@sh third_party/arm64.sh $(ARM64) libcmocka-dev libcmocka0

# All that the vectors ask, without the store and its packages.
VECTORS_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard src/domain/*.c src/page/*.c src/service/*.c))
$(B)/tests/service.a: $(VECTORS_OBJ)
	@mkdir -p $(@D)
	@rm -f $@ && $(AR) rcs $@ $^
$(B)/tests/vectors: tests/unit/test_vectors.c $(B)/src/base/hmac.o $(B)/tests/service.a $(B)/tests/library.a $(TP_LIBS)
	@mkdir -p $(@D)
	@printf '  TEST    %s\n' $@
	@$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $^ $(LDFLAGS) -lcmocka

aarch64-programs: $(LIB_TESTS) $(B)/tests/vectors $(B)/bench/verify

test-aarch64: deps-aarch64
	@$(MAKE) --no-print-directory $(AARCH64) aarch64-programs
	@bash tests/run.sh aarch64

# ---- mutation ------------------------------------------------------------------

# All mutants of a file in one object, all unit tests in one program, a mutant chosen while it runs:
# tests/mutation. The files that have no mutants come from the build for the address sanitizer.
MUTATION = build/mutation
MUTATION_FOLDERS = base core feed domain service store
MUTATED ?= $(wildcard $(MUTATION_FOLDERS:%=src/%/*.c))
MUTATION_TESTS ?= # run.py says which
MUTATION_OBJ = $(MUTATED:%.c=$(MUTATION)/%.o) $(MUTATION_TESTS:tests/unit/%.c=$(MUTATION)/tests/%.o)
.PHONY: mutation deps-mutation
mutation: deps-mutation
	@nice -n 15 /usr/bin/python3 tests/mutation/run.py '$(ONLY)' '$(TESTS)' '$(SAMPLE)' $(ASAN) CC='$(CC)'

deps-mutation: deps deps-cmocka
	@sh third_party/apt.sh python3-clang-14 libclang-common-14-dev

.PRECIOUS: $(MUTATION)/%.c $(MUTATION)/%.o $(MUTATION)/tests/%.o
$(MUTATION)/%.c: %.c tests/mutation/mutate.py tests/mutation/expressions.py | $(TP_STAMP)
	@mkdir -p $(@D)
	@/usr/bin/python3 tests/mutation/mutate.py $< $@ -std=gnu11 $(X86_FLAGS) $(CPPFLAGS)

$(MUTATION)/src/base/x86.o: CFLAGS += $(X86_FLAGS)
$(MUTATION)/%.o: $(MUTATION)/%.c
	$(info $()  MUTATED $<)
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(MUTATION_OPT) -w -g0 -ftrivial-auto-var-init=pattern -MMD -MP -c -o $@ $<

$(MUTATION)/tests/%.o: tests/unit/%.c | $(TP_STAMP)
	$(info $()  TEST    $<)
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(MUTATION_OPT) -w -g0 -Dmain=st_main_of_$* -DST_TESTS_IN_ONE_PROGRAM -MMD -MP -c -o $@ $<
	@objcopy -w --weaken-symbol='__wrap_*' --weaken-symbol=getrandom $@

$(MUTATION)/runtime.o: tests/mutation/runtime.c | $(TP_STAMP)
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) -Itests/unit $(CFLAGS) -c -o $@ $<

MUTATION_WRAP = _cmocka_run_group_tests mkdtemp mkstemp \
	$(if $(filter $(FAILING_TESTS),$(MUTATION_TESTS)),$(FAILING_CALLS))
# Mutants and tests of the library get nothing else.
MUTATION_REST = $(filter-out $(MUTATED:%.c=$(B)/%.o), $(if $(filter-out $(LIB_SRC),$(MUTATED))$(filter-out \
	$(LIB_TESTS),$(MUTATION_TESTS:tests/unit/%.c=$(B)/tests/%)),$(ALL_OBJ),$(LIB_OBJ)))
$(MUTATION)/program-%: $(MUTATION_OBJ) $(MUTATION)/runtime.o $(MUTATION_REST) $(TP_LIBS)
	@printf '  LD      %s\n' $@
	@(echo 'struct program { const char *name; int (*main)(int, char **); };'; \
		printf 'int st_main_of_%s(int, char **);\n' $(MUTATION_TESTS:tests/unit/%.c=%); \
		echo 'const struct program st_mutation_programs[] = {'; \
		for t in $(MUTATION_TESTS:tests/unit/%.c=%); do echo "{\"$$t\", st_main_of_$$t},"; done; \
		echo '{0}};') >$@.c
	@$(CC) $(CFLAGS) -w -c -o $@.o $@.c
	@$(CC) $(LDFLAGS) $(MUTATION_WRAP:%=-Wl,--wrap=%) -o $@ $@.o \
		$(MUTATION)/runtime.o $(MUTATION_OBJ) $(MUTATION_REST) $(TP_LIBS) -lcmocka $(LDLIBS) $(TEST_LIBPQ)
	@rm -f $@.c $@.o

-include $(wildcard $(MUTATION)/src/*/*.d $(MUTATION)/tests/*.d)

# Hours of ordinary work with all that happens in them (tests/e2e/test_soak.py). It takes a third of the machine.
SOAK_HOURS ?= 8
.PHONY: soak
soak: all nginx-module | deps-test
	@SUBTOKEN_SOAK=$$(awk 'BEGIN { print $(SOAK_HOURS) * 3600 }') /usr/bin/python3 tests/e2e/test_soak.py $(B)/subtoken $(if $(NAME),'$(NAME)')

# ---- proofs, and what takes as long whatever a secret is ------------------------

# CBMC over tests/proofs: the whole form takes minutes, the brief one seconds. NAME: a pattern.
CBMC = build/cbmc
.PHONY: proofs proofs-brief check-secrets constant-time
proofs proofs-brief:
	@sh third_party/apt.sh python3
	@sh third_party/cbmc.sh $(CBMC) || [ $$? -eq 3 ]
	@if [ -e $(CBMC)/stamp ]; then /usr/bin/python3 tests/proofs/run.py $(CBMC)/bin/cbmc \
		$(if $(filter proofs-brief,$@),brief) $(if $(NAME),'$(NAME)'); \
	else echo 'ok 1 - # SKIP CBMC of Debian trixie cannot be had here'; fi

# A build of its own, in which verdicts over secrets are told to valgrind (ST_VERDICT).
SECRETS_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard src/domain/*.c src/os/*.c) $(addprefix src/operations/,draw.c opaque_string.c) \
	$(addprefix src/store/,key_cache.c key_pack.c sub_index.c) $(addprefix src/service/,throttle.c))
$(B)/constant_time/%: tests/constant_time/%.c $(B)/tests/library.a $(B)/src/base/hmac.o $(SECRETS_OBJ) $(TP_LIBS)
	@mkdir -p $(@D)
	@printf '  TEST    %s\n' $@
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -o $@ $< $(LDFLAGS) $(SECRETS_OBJ) $(B)/src/base/hmac.o $(B)/tests/library.a $(TP_LIBS) $(LDLIBS) -lm

# Welch's t over a million times of each; the machine must do nothing else meanwhile. SAMPLES: half as many.
SAMPLES ?=
constant-time: $(B)/constant_time/measure
	@$(B)/constant_time/measure $(SAMPLES)

SECRETS = B=build/constant_time OPT='-O2 -g -DST_CONSTANT_TIME'
check-secrets: | deps deps-valgrind
	@$(MAKE) --no-print-directory $(SECRETS) build/constant_time/constant_time/secrets
	@valgrind -q --error-limit=no build/constant_time/constant_time/secrets

.PHONY: deps-valgrind
deps-valgrind:
	@sh third_party/apt.sh valgrind

# ---- the machine's own checks ------------------------------------------------

layers: $(ALL_OBJ) $(MAIN_OBJ) $(NGINX_OBJ) $(HAPROXY_OBJ) $(APACHE_OBJ)
	@sh third_party/apt.sh cmd:python3=python3
	@python3 tests/layers.py $(B)

LINT_SRC := $(wildcard src/*/*.c src/*/*.h src/*/*/*.c src/*/*/*.h include/subtoken/*.h tests/unit/*.c tests/unit/*.h tests/faults/*.c tests/faults/*.h \
	tests/bench/*.c tests/proofs/*.c tests/proofs/*.h tests/constant_time/*.c fuzz/*.c fuzz/*.h)
TIDY_SRC := $(wildcard src/*/*.c src/store/*/*.c)
.PHONY: deps-lint
deps-lint: deps deps-test
	@sh third_party/apt.sh clang-format clang-tidy cppcheck

# clang-tidy over files with flags, two processes at a time. It looks at NODES states of a function: the most that it
# would by itself take more than twice as long (`make lint NODES=225000`, before a release).
NODES ?= 75000
tidy = printf '%s\n' $(1) | xargs -P 2 -n 4 sh -c 'clang-tidy --quiet "$$@" -- -std=gnu11 -Xclang -analyzer-config -Xclang max-nodes=$(NODES) \
	$(subst ','\'',$(2)) -x c' lint 2>$(B)/clang-tidy.log || { cat $(B)/clang-tidy.log; exit 1; }

lint: deps-lint deps-haproxy $(TP_STAMP) $(NGINX_CONF)
	@echo 'clang-format'
	@clang-format --dry-run -Werror $(LINT_SRC)
	@echo 'clang-tidy'
	@mkdir -p $(B)
	@$(call tidy,$(TIDY_SRC),$(X86_FLAGS) $(CPPFLAGS))
	@$(call tidy,$(NGINX_SRC),$(CPPFLAGS) $(NGINX_INCLUDES))
	@$(call tidy,$(HAPROXY_SRC),$(CPPFLAGS) $(HAPROXY_INCLUDES))
	@$(call tidy,$(APACHE_SRC),$(CPPFLAGS) $(APACHE_INCLUDES))
	@echo 'cppcheck'
	@cppcheck --quiet -j 2 --error-exitcode=1 --std=c11 --enable=warning,performance,portability \
		--inline-suppr --suppress=missingIncludeSystem -D__GNUC__ -D__x86_64__ -Iinclude -Isrc \
		$(TIDY_SRC)

format:
	@clang-format -i $(LINT_SRC)

# ---- fuzzing -----------------------------------------------------------------

FUZZ_SRC := $(wildcard fuzz/fuzz_*.c)
.PHONY: deps-fuzz fuzz-programs
deps-fuzz: deps
	@sh third_party/apt.sh clang libclang-rt-14-dev nginx-light nginx-dev
FUZZ_FLAGS = B=build/fuzz CC=clang OPT='-O1 -g -fno-omit-frame-pointer' \
	SAN='-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all'
FUZZ_BIN := $(FUZZ_SRC:fuzz/%.c=$(B)/fuzz/%)

# From an archive: libFuzzer goes through the counters of all that is linked after each input.
$(B)/fuzz/all.a: $(ALL_OBJ)
	@mkdir -p $(@D)
	@rm -f $@ && $(AR) rcs $@ $^

$(B)/fuzz/%: fuzz/%.c $(B)/fuzz/all.a $(TP_LIBS)
	@mkdir -p $(@D)
	@printf '  FUZZ    %s\n' $@
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -o $@ $< $(SAN) -fsanitize=fuzzer \
		$(B)/fuzz/all.a $(TP_LIBS) $(LDLIBS)

# What the system gives is the fuzzer's (fuzz/virtual_clock.h, fuzz/lying_server.h).
FUZZ_CLOCK = -Wl,--wrap=st_clock_now,--wrap=st_clock_now_us,--wrap=st_clock_monotonic_us,--wrap=st_random_fill
$(B)/fuzz/fuzz_model: LDLIBS += $(FUZZ_CLOCK)
$(B)/fuzz/fuzz_postgres: LDLIBS += $(FUZZ_CLOCK) -Wl,--wrap=pthread_create,--wrap=pthread_join,--wrap=nanosleep,--wrap=st_condition_wait

$(B)/fuzz/fuzz_connection: LDLIBS += $(FUZZ_CLOCK) -Wl,--wrap=recv,--wrap=send,--wrap=poll

# nginx with the module and with libFuzzer in it.
# Its ngx_modules is not nginx's own, which has that name, too.
ifneq ($(findstring fuzzer,$(SAN)),)
$(B)/src/edge/nginx/ngx_http_subtoken_module.o $(B)/fuzz/nginx_driver.so: CFLAGS += -mllvm -asan-use-private-alias=1
endif
CLANG_LIB = $(shell $(lastword $(CC)) -print-file-name=lib/linux)
$(B)/fuzz/fuzz_nginx: fuzz/fuzz_nginx.c fuzz/nginx_driver.h $(B)/fuzz/nginx_driver.so $(B)/fuzz/nginx_module.so $(LIB_OBJ) $(TP_MBEDTLS)
	@printf '  FUZZ    %s\n' $@
	@$(CC) $(CPPFLAGS) -DFUZZ_ASAN='"$(CLANG_LIB)/libclang_rt.asan-$(firstword $(subst -, ,$(MACHINE))).so"' $(CFLAGS) -MMD -MP -o $@ $< \
		$(SAN) $(LIB_OBJ) $(TP_MBEDTLS)

$(B)/fuzz/nginx_module.so: fuzz/nginx_pool.c $(NGINX_OBJ) $(B)/libsubtoken.a
	@mkdir -p $(@D)
	@printf '  LD      %s\n' $@
	@$(CC) $(CPPFLAGS) $(NGINX_INCLUDES) $(CFLAGS) -shared -o $@ $< -Wl,--wrap=ngx_palloc,--wrap=ngx_pnalloc,--wrap=ngx_pcalloc \
		$(NGINX_OBJ) -Wl,--exclude-libs,ALL $(B)/libsubtoken.a

$(B)/fuzz/nginx_driver.so: fuzz/nginx_driver.c fuzz/nginx_driver.h $(LIB_OBJ) $(TP_MBEDTLS) | $(NGINX_CONF)
	@mkdir -p $(@D)
	@printf '  LD      %s\n' $@
	@$(CC) $(CPPFLAGS) $(NGINX_INCLUDES) $(CFLAGS) $(SAN) -shared-libasan -shared -o $@ $< $(LIB_OBJ) $(TP_MBEDTLS) \
		-Wl,--whole-archive $(CLANG_LIB)/libclang_rt.fuzzer_no_main-$(firstword $(subst -, ,$(MACHINE))).a -Wl,--no-whole-archive -lstdc++ -lm

fuzz-programs: $(FUZZ_BIN)

# FUZZ_FAST=1: what runs is built without sanitizers, and what it finds is judged by those that have them.
# nginx is loaded beside libFuzzer with ASan's shared library, and has no such form.
FUZZ_FAST_FLAGS = B=build/fuzz_fast CC=clang OPT='-O2 -g -march=native' SAN='-fsanitize=fuzzer-no-link $(FUZZ_FAST_COVERAGE)'
FUZZ_FAST_COVERAGE = -fno-sanitize-coverage=trace-cmp,indirect-calls,stack-depth

fuzz: deps-fuzz
	@$(MAKE) --no-print-directory $(FUZZ_FLAGS) fuzz-programs
	$(if $(FUZZ_FAST),@$(MAKE) --no-print-directory $(FUZZ_FAST_FLAGS) FUZZ_SRC='$(filter-out %/fuzz_nginx.c,$(FUZZ_SRC))' fuzz-programs)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_RUNS='$(FUZZ_RUNS)' FUZZ_KEEP='$(FUZZ_KEEP)' FUZZ_ONLY='$(FUZZ_ONLY)' \
		sh fuzz/run.sh $(if $(FUZZ_FAST),build/fuzz_fast/fuzz build/fuzz/fuzz,build/fuzz/fuzz)

# ---- benchmarks --------------------------------------------------------------

# The instructions of a verify are counted with it, too (tests/e2e/test_instructions.py).
$(B)/bench/verify: tests/bench/verify.c tests/bench/bare.h tests/bench/edge_feed.h $(B)/libsubtoken.a Makefile
	@mkdir -p $(@D)
	@printf '  BENCH   %s\n' $@
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -o $@ $< $(LDFLAGS) $(B)/libsubtoken.a $(TP_MBEDTLS) -lpthread

$(B)/bench/revocations: tests/bench/revocations.c tests/bench/edge_feed.h $(B)/libsubtoken.a Makefile
	@mkdir -p $(@D)
	@printf '  BENCH   %s\n' $@
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -o $@ $< $(LDFLAGS) $(B)/libsubtoken.a

$(B)/bench/policy: tests/bench/policy.c $(B)/libsubtoken.a Makefile
	@mkdir -p $(@D)
	@printf '  BENCH   %s\n' $@
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -o $@ $< $(LDFLAGS) $(B)/libsubtoken.a

# BRIEF=1: each part with tiny sizes, to see that it works; nothing is measured.
BRIEF ?=
.PHONY: bench-programs bench-smoke bench-against
bench-programs: all $(B)/bench/verify $(B)/bench/revocations $(B)/bench/policy nginx-module haproxy-module
	@sh third_party/apt.sh python3 nginx-light haproxy wrk postgresql

# One after the other, whatever -j says: what runs beside a part is in its figures.
BENCH_PARTS = verify wasm revocations policy server metrics keys large stores edge haproxy propagation failover
.PHONY: $(BENCH_PARTS:%=bench-%)
bench: bench-programs
	@set -e; for part in $(BENCH_PARTS); do $(MAKE) --no-print-directory bench-$$part; done

$(BENCH_PARTS:%=bench-%): export BENCH_BRIEF = $(BRIEF)
$(filter-out bench-revocations bench-policy,$(BENCH_PARTS:%=bench-%)): bench-%: bench-programs
	@python3 tests/bench/$*.py $(B) $(ROUNDS)
bench-revocations: bench-programs
	@$(B)/bench/revocations $(if $(BRIEF),1000 20000)
bench-policy: bench-programs
	@$(B)/bench/policy $(if $(BRIEF),brief,$(ROUNDS))

bench-smoke:
	@$(MAKE) --no-print-directory bench-programs
	@$(MAKE) --no-print-directory --output-sync=target BRIEF=1 REV=HEAD $(BENCH_PARTS:%=bench-%) bench-against

# Ratios to another revision: make bench-against REV=66f4f9f, or the revision as the next word.
ifeq ($(firstword $(MAKECMDGOALS)),bench-against)
REV ?= $(word 2,$(MAKECMDGOALS))
ifneq ($(word 2,$(MAKECMDGOALS)),)
.PHONY: $(word 2,$(MAKECMDGOALS))
$(word 2,$(MAKECMDGOALS)): bench-against
endif
endif
bench-against: export BENCH_BRIEF = $(BRIEF)
bench-against: export BENCH_CC = $(CC)
bench-against: bench-programs
	@sh third_party/apt.sh cmd:git=git
	@python3 tests/bench/against.py $(B) '$(REV)'

# ---- editors -----------------------------------------------------------------

# Each file with the flags that it is compiled with, from what make would run.
.PHONY: compile_commands.json
compile_commands.json:
	@$(MAKE) --no-print-directory -nB CC='$(lastword $(CC))' all $(UNIT_BIN) $(FUZZ_BIN) \
		$(B)/bench/verify $(B)/bench/revocations $(B)/bench/policy nginx-module haproxy-module apache-module | \
		sed -n 's/[\\"]/\\&/g; s|^\($(lastword $(CC)) .* -o [^ ]* \([^ ]*\.c\)\).*|{"directory": "$(CURDIR)", "file": "\2", "command": "\1"},|p' | \
		sed '1s/^/[/; $$s/,$$/]/' >$@
	@echo "$$(grep -c '"file"' $@) files in $@"

# ---- installing --------------------------------------------------------------

PYTHONDIR ?= $(PREFIX)/lib/python3/dist-packages
LUADIR ?= $(PREFIX)/share/lua/5.1
MANDIR ?= $(PREFIX)/share/man
MAN_PAGES := $(wildcard src/man/*)
LIBDIR ?= $(PREFIX)/lib

install: all
	install -d $(addprefix $(DESTDIR),$(PREFIX)/bin $(LIBDIR)/pkgconfig \
		$(PREFIX)/include/subtoken $(PYTHONDIR) $(LUADIR) $(MANDIR)/man1 $(MANDIR)/man3 \
		$(MANDIR)/man5 $(MANDIR)/man7)
	install -m 755 $(B)/subtoken $(DESTDIR)$(PREFIX)/bin/subtoken
	install -m 644 $(B)/libsubtoken.a $(DESTDIR)$(LIBDIR)/libsubtoken.a
	install -m 644 $(B)/libsubtoken.so $(DESTDIR)$(LIBDIR)/libsubtoken.so.$(VERSION)
	ln -sf libsubtoken.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libsubtoken.so
	install -m 644 include/subtoken/*.h $(DESTDIR)$(PREFIX)/include/subtoken/
	umask 022; sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR:$(PREFIX)/%=$${prefix}/%)|' -e 's|@VERSION@|$(VERSION)|' src/subtoken.pc.in \
		> $(DESTDIR)$(LIBDIR)/pkgconfig/subtoken.pc
	install -m 644 src/bindings/subtoken.py $(DESTDIR)$(PYTHONDIR)/subtoken.py
	install -m 644 src/bindings/subtoken.lua $(DESTDIR)$(LUADIR)/subtoken.lua
	install -m 644 $(filter %.1,$(MAN_PAGES)) $(DESTDIR)$(MANDIR)/man1/
	install -m 644 $(filter %.3,$(MAN_PAGES)) $(DESTDIR)$(MANDIR)/man3/
	install -m 644 $(filter %.5,$(MAN_PAGES)) $(DESTDIR)$(MANDIR)/man5/
	install -m 644 $(filter %.7,$(MAN_PAGES)) $(DESTDIR)$(MANDIR)/man7/
	@umask 022; for page in $(filter %.3,$(MAN_PAGES)); do \
		sed -n '/^\.Sh NAME/,/^\.Nd/s/^\.Nm \([a-z_]*\).*/\1/p' $$page | while read -r name; do \
			[ "$$name" = "$$(basename $$page .3)" ] || printf '.so man3/%s\n' \
				"$$(basename $$page)" > $(DESTDIR)$(MANDIR)/man3/$$name.3; \
		done; \
	done

# ---- Debian packages ---------------------------------------------------------

# What src/packaging/debian/control asks for, and who reads what was built.
DEB_PACKAGES = debhelper dh-python lintian python3 systemd
.PHONY: deps-deb deb deb-test
deps-deb: deps deps-nginx
	@sh third_party/apt.sh $(DEB_PACKAGES)

deb: deps-deb $(TP_STAMP)
	@echo 'The packages, in $(B)/deb'
	@sh src/packaging/build.sh $(B)/deb
	@lintian --allow-root --fail-on error,warning --tag-display-limit 0 $(B)/deb/*.changes
	@ls $(B)/deb/*.deb

# In a fresh Debian: needs root, debootstrap, and as many minutes as that takes.
deb-test: deb deps-chromium
	@sh third_party/apt.sh debootstrap systemd-container cmd:prometheus=prometheus
	@sh third_party/node.sh $(NODE)
	@/usr/bin/python3 tests/install/debian.py $(B)/subtoken $(NAME)

dist:
	@mkdir -p $(B)
	git archive --prefix=subtoken-$(VERSION)/ -o $(B)/subtoken-$(VERSION).tar.gz HEAD

# .github/CONTRIBUTING.md says what comes before and after.
.PHONY: release reproduce
release:
	@sh third_party/apt.sh cmd:git=git python3
	@sh src/packaging/release.sh '$(TAG)' $(B)/release

# All that users get, built twice.
reproduce: all nginx-module haproxy-module apache-module wasm
	@sh src/packaging/reproduce.sh $(B) subtoken libsubtoken.a libsubtoken.so $(NGINX_MODULE:$(B)/%=%) \
		$(HAPROXY_MODULE:$(B)/%=%) $(APACHE_MODULE:$(B)/%=%) wasm/subtoken.wasm wasm/package/index.inline.js

clean:
	rm -rf build

# Of this build alone: build/asan and build/tsan lie in build.
-include $(wildcard $(addprefix $(B)/,src/*/*.d src/*/*/*.d tests/*.d held/*.d bench/*.d fuzz/*.d))
