
# auto/rules.mk -- the rules of a build; copied into its Makefile.
#
# The sources of a layer are found by name, so a new file needs no list.

# What needs TLS is known by its name: these files are there only with it,
# and those only without.  A name that ends in _none stands in for the rest.
TLS_NAMES = $(filter-out %_none.c,$(wildcard src/core/ocsp*.c \
    src/event/tls.c src/event/tls_*.c src/event/ktls*.c \
    t/unit/test_ocsp*.c t/unit/test_tls*.c t/unit/test_ktls*.c \
    t/fuzz/fuzz_ocsp*.c t/fuzz/fuzz_tls*.c t/fuzz/fuzz_ktls*.c))
TLS_NONE = $(wildcard src/event/tls_none.c src/event/ktls_none.c \
    t/unit/test_tls_none.c t/unit/test_ktls_none.c)
LEFT_OUT = $(if $(filter yes,$(TLS)),$(TLS_NONE),$(TLS_NAMES))

LAYER_SRCS = $(filter-out src/process/veil.c $(LEFT_OUT),$(sort $(wildcard \
    src/core/*.c src/event/*.c src/process/*.c src/process/*/*.c \
    src/http/*.c src/http/*/*.c src/stream/*.c)))
# veil-fetch is a program of its own; what it shares with veil is the library.
FETCH_SRCS = $(if $(filter yes,$(FETCH)),$(sort $(wildcard src/fetch/*.c)))
FETCH_OBJS = $(FETCH_SRCS:%.c=$(B)/%.o)
# veilctl too, and it is always built: but not for fuzzing, as that has a
# main() of its own.
CTL_SRCS = $(if $(filter yes,$(FUZZ)),,$(sort $(wildcard src/ctl/*.c)))
CTL_OBJS = $(CTL_SRCS:%.c=$(B)/%.o)
MAIN_SRC = $(wildcard src/process/veil.c)
MAIN_OBJ = $(MAIN_SRC:%.c=$(B)/%.o)
# The list of modules can be compiled once the core has the type of a module.
LIST_OBJ = $(if $(wildcard src/core/module.h),$(B)/veil_modules.o)
LIB_OBJS = $(sort $(patsubst %.c,$(B)/%.o,$(LAYER_SRCS) $(MODULE_SRCS))) \
    $(LIST_OBJ)
UNIT_SRCS = $(filter-out $(LEFT_OUT),$(wildcard t/unit/test_*.c))
UNIT_BINS = $(UNIT_SRCS:%.c=$(B)/%)
FUZZ_SRCS = $(filter-out $(LEFT_OUT),$(wildcard t/fuzz/*.c))
FUZZ_BINS = $(FUZZ_SRCS:t/fuzz/%.c=$(B)/fuzz/%)
COMPILE = $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@

# Without main() there is a library to test, but no program yet.
all: $(if $(filter yes,$(FUZZ)),lib fuzz,$(if $(MAIN_SRC),veil,lib)) \
    $(if $(FETCH_SRCS),fetch) $(if $(CTL_SRCS),ctl)
veil: $(B)/veil
ctl: $(B)/veilctl $(B)/veilctl.8 $(B)/veilctl.bash
fetch: $(B)/veil-fetch
lib: $(B)/libveil.a

.DELETE_ON_ERROR:
.SUFFIXES:

$(B)/Makefile: configure auto/configure auto/functions auto/options auto/cc \
    auto/libs auto/register auto/module auto/modules auto/make auto/rules.mk \
    auto/summary
	$(B)/reconfigure > /dev/null

# Objects are given one by one rather than through the library, so that none
# is left out because nobody refers to it by name.
$(B)/veil: $(MAIN_OBJ) $(B)/libveil.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(MAIN_OBJ) $(LIB_OBJS) $(LIBS)

$(B)/veil-fetch: $(FETCH_OBJS) $(B)/libveil.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(FETCH_OBJS) $(B)/libveil.a $(LIBS)

$(B)/veilctl: $(CTL_OBJS) $(B)/libveil.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(CTL_OBJS) $(B)/libveil.a $(LIBS)
# It knows its verbs: the manual page and the completion are its own words.
$(B)/veilctl.8: $(B)/veilctl
	$(B)/veilctl --man > $@
$(B)/veilctl.bash: $(B)/veilctl
	$(B)/veilctl --completion bash > $@

# "objects" lists LIB_OBJS and changes when a source comes or goes.
$(B)/libveil.a: $(LIB_OBJS) $(B)/objects
	@rm -f $@
	ar rcs $@ $(LIB_OBJS)

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(COMPILE) $<

$(B)/veil_modules.o: $(B)/veil_modules.c $(B)/flags
	$(COMPILE) $<

# A unit test may include the .c file it tests: the library's copy is then
# not taken, as all it defines is there already.  Hence one program a test.
# Tests are written for Criterion, whose macros shadow and declare freely.
# Compiled apart from linking: a change of the library compiles none again.
# Criterion brings OpenSSL along, whose names BoringSSL's libraries have too;
# the linker warns if it looks for what libraries need of each other.
UNIT_LDFLAGS = $(if $(filter yes,$(TLS)),-Wl$(comma)--allow-shlib-undefined)
comma = ,
$(UNIT_BINS:=.o): $(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -It/unit $(CFLAGS) -Wno-missing-prototypes -MMD -MP \
	    -c -o $@ $<
$(UNIT_BINS): %: %.o $(B)/libveil.a
	$(CC) $(CFLAGS) $(LDFLAGS) $(UNIT_LDFLAGS) -o $@ $< $(B)/libveil.a \
	    -lcriterion $(LIBS)

unit-programs: $(UNIT_BINS)
unit: unit-programs
	@auto/run-unit $(UNIT_BINS)
# Of what stands in for a library that this build is without.
unit-none: $(filter %_none,$(UNIT_BINS))
	@auto/run-unit $(filter %_none,$(UNIT_BINS))
# Those that changed since they last passed; $(B)/passed remembers.
unit-changed: unit-programs
	@auto/run-unit --changed $(B)/passed $(UNIT_BINS)

ifeq ($(FUZZ),yes)
$(FUZZ_BINS): $(B)/fuzz/%: t/fuzz/%.c $(B)/libveil.a $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-missing-prototypes -MMD -MP -o $@ $< \
	    $(LDFLAGS) -fsanitize=fuzzer $(B)/libveil.a $(LIBS)
fuzz: $(FUZZ_BINS)
else
fuzz:
	@echo "make: this build is not for fuzzing: ./configure --with-fuzz" >&2
	@exit 1
endif

# The floor under bench/run's figures: see there.
bench-responder: $(B)/bench/responder
$(B)/bench/responder: bench/responder.c $(B)/libveil.a $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(LDFLAGS) $(B)/libveil.a $(LIBS)

# Clients: nothing of the server is in them.
bench-tlsload: $(B)/bench/tlsload
bench-paceload: $(B)/bench/paceload
$(B)/bench/tlsload $(B)/bench/paceload: $(B)/bench/%: bench/%.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(LDFLAGS) $(LIBS)

# A client that runs in the virtual machine of t/ktls/vm.t.
$(B)/t/ktls/transfer: t/ktls/transfer.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(LDFLAGS) $(LIBS)

# For auto/quick: what of the changed files is a part of this build.
sources:
	@printf '%s\n' $(LAYER_SRCS) $(MAIN_SRC) $(MODULE_SRCS) $(FETCH_SRCS) \
	    $(CTL_SRCS)

style: lib
	@CC="$(CC)" auto/check-style $(B)

check: all style unit
	@if [ -x $(B)/veil ] && [ -n "$$(find t -name '*.t')" ]; then \
	    TEST_VEIL_BINARY="$$(realpath $(B)/veil)" prove -j2 -r t; \
	else \
	    echo "make: no program or no t/*.t yet: unit tests only"; \
	fi

# Like nginx: the old program is kept as .old, a configuration that is there
# is never touched, and the current defaults lie beside it.
install: all
	@test -n "$(MAIN_SRC)" \
	    || { echo "make: there is no program to install yet" >&2; exit 1; }
	mkdir -p "$(DESTDIR)"$(SBIN_DIR) "$(DESTDIR)"$(CONF_DIR) \
	    "$(DESTDIR)"$(PREFIX) "$(DESTDIR)"$(PID_DIR)
	$(if $(ERROR_LOG_DIR),mkdir -p "$(DESTDIR)"$(ERROR_LOG_DIR))
	$(if $(HTTP_LOG_DIR),mkdir -p "$(DESTDIR)"$(HTTP_LOG_DIR))
	test ! -f "$(DESTDIR)"$(SBIN_PATH) || mv "$(DESTDIR)"$(SBIN_PATH) \
	    "$(DESTDIR)"$(SBIN_PATH).old
	cp $(B)/veil "$(DESTDIR)"$(SBIN_PATH)
	$(if $(FETCH_SRCS),cp $(B)/veil-fetch "$(DESTDIR)"$(SBIN_DIR)/veil-fetch)
	cp $(B)/veilctl "$(DESTDIR)"$(SBIN_DIR)/veilctl
	mkdir -p "$(DESTDIR)"$(DATA_DIR)/man/man8 \
	    "$(DESTDIR)"$(DATA_DIR)/bash-completion/completions
	cp $(B)/veilctl.8 "$(DESTDIR)"$(DATA_DIR)/man/man8/veilctl.8
	cp $(B)/veilctl.bash \
	    "$(DESTDIR)"$(DATA_DIR)/bash-completion/completions/veilctl
	cp conf/mime.types "$(DESTDIR)"$(CONF_DIR)/mime.types.default
	test -f "$(DESTDIR)"$(CONF_DIR)/mime.types \
	    || cp conf/mime.types "$(DESTDIR)"$(CONF_DIR)/mime.types
	cp conf/veil.conf "$(DESTDIR)"$(CONF_DIR)/veil.conf.default
	test -f "$(DESTDIR)"$(CONF_PATH) \
	    || cp conf/veil.conf "$(DESTDIR)"$(CONF_PATH)
	test -d "$(DESTDIR)"$(PREFIX)/html \
	    || cp -R html "$(DESTDIR)"$(PREFIX)/html

.PHONY: all veil fetch ctl lib unit unit-changed unit-none unit-programs \
    bench-responder bench-tlsload bench-paceload sources style check fuzz install

-include $(LIB_OBJS:.o=.d) $(MAIN_OBJ:.o=.d) $(FETCH_OBJS:.o=.d) $(CTL_OBJS:.o=.d) $(UNIT_BINS:=.d) $(FUZZ_BINS:=.d)
