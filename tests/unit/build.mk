# SPDX-License-Identifier: GPL-2.0
#
# Tests that need no module: each source file here is a program, but for
# fake_*.c. They are linked with the static library, so that a test may put its
# own functions in the place of the library's system calls.

UNIT_SOURCES := $(filter-out tests/unit/fake_%,$(wildcard tests/unit/*.c))
UNIT_PROGRAMS := $(UNIT_SOURCES:tests/unit/%.c=$(B)/tests/unit/%)

ALL_TARGETS += $(UNIT_PROGRAMS)
UNIT_TESTS += $(UNIT_PROGRAMS)

UNIT_FAKES := $(patsubst tests/unit/%.c,$(B)/tests/unit/%.o,$(wildcard tests/unit/fake_*.c))
$(UNIT_PROGRAMS:%=%.o) $(UNIT_FAKES): override CPPFLAGS += -D_GNU_SOURCE
$(UNIT_PROGRAMS:%=%.o) $(UNIT_FAKES): override CFLAGS += -pthread

$(UNIT_PROGRAMS): %: %.o $(B)/lib/libipm.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $(filter %.o,$^) $(UNIT_LIBS) \
		$(B)/lib/libipm.a $(UNIT_SYSTEM_LIBS)

# What is told apart in libipm-monitor.
UNIT_MONITOR := $(filter $(B)/tests/unit/monitor_%,$(UNIT_PROGRAMS))
$(UNIT_MONITOR:%=%.o): override CPPFLAGS += $(LIBMONITOR_CFLAGS:-I%=-isystem %)
$(UNIT_MONITOR): $(B)/lib/libipm-monitor.a
$(UNIT_MONITOR): UNIT_LIBS := $(B)/lib/libipm-monitor.a
$(UNIT_MONITOR): UNIT_SYSTEM_LIBS := $(LIBMONITOR_LIBS)

# These run on a kernel of their own, all but the one that wants the real one.
UNIT_FAKE := $(filter-out %/memory_no_device,$(filter $(B)/tests/unit/memory_%,$(UNIT_PROGRAMS)))
$(UNIT_FAKE) $(B)/tests/unit/out_of_memory: $(B)/tests/unit/fake_kernel.o

# This one on a netlink family of its own.
$(B)/tests/unit/monitor_calls: $(B)/tests/unit/fake_netlink.o

# These run on an allocator of their own. See fake_malloc.h.
UNIT_MALLOC := $(addprefix $(B)/tests/unit/,out_of_memory monitor_calls)
FAKE_MALLOC_CALLS := malloc calloc realloc free strdup strndup reallocarray asprintf vasprintf \
	open_memstream
FAKE_MALLOC_LDFLAGS := $(if $(SAN),$(foreach call,$(FAKE_MALLOC_CALLS),-Wl,--wrap=$(call)))
$(UNIT_MALLOC): $(B)/tests/unit/fake_malloc.o
$(UNIT_MALLOC): override LDFLAGS += $(FAKE_MALLOC_LDFLAGS)
# A compiler that knows malloc() makes calloc() of it, and calls itself.
$(B)/tests/unit/fake_malloc.o: override CFLAGS += -fno-builtin

# Under valgrind, with every leak an error. What is not: threads are TSan's business, an
# allocator of the test's own takes the place that valgrind wants, and the others wait for
# processes that it makes too slow, use system calls that it does not know (ring_participants:
# pidfd_open()), or give the kernel wrong arguments, which is an error to it (sys_calls).
UNIT_VALGRIND := $(filter-out %/memory_threads,$(UNIT_FAKE)) \
	$(addprefix $(B)/tests/unit/,channel_calls error_results exchange_calls exchange_marks \
		memory_no_device monitor_parse ring_test wait_habit wait_restless)
UNIT_NO_VALGRIND := $(filter-out $(UNIT_VALGRIND),$(UNIT_PROGRAMS))
CHECK_TARGETS += check-valgrind
.PHONY: check-valgrind
check-valgrind: $(UNIT_VALGRIND)
	$(Q)if ! command -v valgrind >/dev/null; then \
		echo 'skipped: valgrind is not installed (apt-get install valgrind)'; exit 0; \
	fi; \
	for test in $(UNIT_VALGRIND); do \
		valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=all \
			--show-leak-kinds=all $$test >$$test.valgrind 2>&1 || \
			{ cat $$test.valgrind; echo "failed: $$test under valgrind"; exit 1; }; \
	done; \
	echo "passed: $(words $(UNIT_VALGRIND)) programs under valgrind"; \
	echo "not under it, see tests/unit/build.mk: $(notdir $(UNIT_NO_VALGRIND))"
