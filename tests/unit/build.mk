# SPDX-License-Identifier: GPL-2.0
#
# Tests that need no module: each source file here is a program, but for
# fake_*.c. They are linked with the static library, so that a test may put its
# own functions in the place of the library's system calls.

UNIT_SOURCES := $(filter-out tests/unit/fake_%,$(wildcard tests/unit/*.c))
UNIT_PROGRAMS := $(UNIT_SOURCES:tests/unit/%.c=$(B)/tests/unit/%)

ALL_TARGETS += $(UNIT_PROGRAMS)
UNIT_TESTS += $(UNIT_PROGRAMS)

$(UNIT_PROGRAMS:%=%.o) $(B)/tests/unit/fake_kernel.o: override CPPFLAGS += -D_GNU_SOURCE
$(UNIT_PROGRAMS:%=%.o) $(B)/tests/unit/fake_kernel.o: override CFLAGS += -pthread

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
$(UNIT_FAKE): $(B)/tests/unit/fake_kernel.o

# Under valgrind, with every leak an error. Threads are TSan's business, and take
# a minute here.
UNIT_VALGRIND := $(filter-out %/memory_threads,$(UNIT_FAKE))
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
	echo "passed: $(words $(UNIT_VALGRIND)) programs under valgrind"
