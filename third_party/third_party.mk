# Builds mbedTLS, cJSON and civetweb into static archives under $(B)/third_party.
#
# From the top Makefile: B (build directory), CC, OPT, HARDEN, SAN.
# For it: TP_LIBS      the three archives, also as TP_MBEDTLS, TP_CJSON, TP_CIVETWEB
#         TP_INCLUDES  where their headers are
#         TP_DEFINES   what our code must define to see the headers as they were built
#         TP_TSAN_SUPP  suppressions for SAN=-fsanitize=thread
#         TP_STAMP     the sources are here and whole; our objects need it order-only:
#                      $(B)/%.o: %.c | $(TP_STAMP)

TP := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
TP_SRC := $(TP)/src
TP_STAMP := $(TP_SRC)/stamp
TP_TSAN_SUPP := $(TP)/tsan.supp
TP_OUT = $(B)/third_party

TP_MBEDTLS = $(TP_OUT)/libmbedcrypto.a
TP_CJSON = $(TP_OUT)/libcjson.a
TP_CIVETWEB = $(TP_OUT)/libcivetweb.a
TP_LIBS = $(TP_MBEDTLS) $(TP_CJSON) $(TP_CIVETWEB)

TP_INCLUDES = -isystem $(TP_SRC)/mbedtls/include -isystem $(TP_SRC)/cjson \
	-isystem $(TP_SRC)/civetweb/include -isystem $(TP)
# Without a stack size each worker thread would reserve the system's 8 MiB; the sanitizers' frames
# are several times as large.
TP_DEFINES = -DMBEDTLS_CONFIG_FILE='<mbedtls_config.h>' -DCJSON_NESTING_LIMIT=16 \
	-DST_NET_STACK_SIZE=$(if $(SAN),1048576,262144)

# Runs each time and takes some hundredths of a second when all is there. Make
# looks at the stamp's time afterwards, so an untouched stamp rebuilds nothing.
.PHONY: tp-check
tp-check:
$(TP_STAMP): tp-check
	@sh $(TP)/fetch.sh

# Their warnings are not ours to mend. -fPIC last, it wins over -fPIE: mbedTLS
# also goes into our shared library, where its names are nobody's business. -g1: functions and
# lines, for a backtrace, and a build that is shorter.
TP_CFLAGS = -std=gnu11 $(OPT) $(if $(filter -g,$(OPT)),-g1) $(HARDEN) $(SAN) -w -fPIC

# No TLS (a proxy's job), no files, no CGI: none of what could be asked of them
# is wanted. NO_FILESYSTEMS leaves out both logs, the external_*.inl stand in.
TP_CIVETWEB_FLAGS = -DNO_SSL -DNO_CGI -DNO_FILES -DNO_FILESYSTEMS -DNO_CACHING \
	-DNO_POPEN -DUSE_IPV6 -DBUILD_DATE='""' \
	-DMG_EXTERNAL_FUNCTION_mg_cry_internal_impl -DMG_EXTERNAL_FUNCTION_log_access \
	-include $(TP)/civetweb_net.h -I $(TP)

$(TP_OUT)/sha256.o $(TP_OUT)/platform_util.o: $(TP_OUT)/%.o: $(TP)/mbedtls_config.h $(TP)/third_party.mk Makefile $(TP_STAMP)
	@mkdir -p $(@D)
	@$(CC) $(TP_CFLAGS) -fvisibility=hidden $(TP_INCLUDES) $(TP_DEFINES) \
		-c -o $@ $(TP_SRC)/mbedtls/library/$*.c

$(TP_OUT)/cJSON.o: $(TP)/third_party.mk Makefile $(TP_STAMP)
	@mkdir -p $(@D)
	@$(CC) $(TP_CFLAGS) $(TP_DEFINES) -c -o $@ $(TP_SRC)/cjson/cJSON.c

$(TP_OUT)/civetweb.o: $(TP)/civetweb_net.h $(wildcard $(TP)/*.inl) $(TP)/third_party.mk Makefile $(TP_STAMP)
	@mkdir -p $(@D)
	@$(CC) $(TP_CFLAGS) $(TP_CIVETWEB_FLAGS) -I $(TP_SRC)/civetweb/include \
		-c -o $@ $(TP_SRC)/civetweb/src/civetweb.c

$(TP_MBEDTLS): $(TP_OUT)/sha256.o $(TP_OUT)/platform_util.o
$(TP_CJSON): $(TP_OUT)/cJSON.o
$(TP_CIVETWEB): $(TP_OUT)/civetweb.o
$(TP_LIBS):
	@printf '  AR      %s\n' $@
	@rm -f $@
	@$(AR) rcs $@ $^
