# SPDX-License-Identifier: GPL-2.0
#
# Programs that need /dev/ipm: one for each source file, run in the virtual machine.

KSELFTEST_SOURCES := $(wildcard tests/kselftest/*.c)
KSELFTEST_PROGRAMS := $(KSELFTEST_SOURCES:%.c=$(B)/%)
# Those named lib_* go through the library, the others use the bare ABI.
KSELFTEST_LIBRARY := $(filter $(B)/tests/kselftest/lib_%,$(KSELFTEST_PROGRAMS))

ALL_TARGETS += $(KSELFTEST_PROGRAMS)
# Emulation is slow: these step through some of the instructions only, others in
# each run, and not on the debug kernel (DEBUG=), where it takes a multiple. On
# ordinary memory the unit and stress tests step through all.
KSELFTESTS_STEP := $(filter %/lib_ring %/lib_channel_step,$(KSELFTEST_PROGRAMS))
# Built, and run by hand: tests/vm/run-kselftests PROGRAM.
KSELFTESTS_LONG := $(filter %/lib_exchange_step %/lib_ring_all,$(KSELFTEST_PROGRAMS))
# Only the debug kernel injects faults.
KSELFTESTS_FAULT := $(filter %/fault,$(KSELFTEST_PROGRAMS))
# Not for 32 bits: what needs libnl, which Debian has for another architecture only
# there, and the preload library.
KSELFTESTS_64 := $(filter %/lib_monitor %/lib_preload,$(KSELFTEST_PROGRAMS))
KSELFTESTS += $(filter-out $(KSELFTESTS_STEP) $(KSELFTESTS_LONG) $(KSELFTESTS_FAULT) \
	$(if $(M32),$(KSELFTESTS_64)),$(KSELFTEST_PROGRAMS))
ifeq ($(filter-out 0,$(DEBUG)),)
KSELFTESTS += $(KSELFTESTS_STEP)
endif
ifeq ($(DEBUG),1)
KSELFTESTS += $(KSELFTESTS_FAULT)
endif

# As a system header: the harness compares signed with unsigned numbers.
$(KSELFTEST_PROGRAMS:%=%.o): CFLAGS += $(KSELFTEST_CFLAGS:-I%=-isystem %) -pthread
$(KSELFTEST_PROGRAMS:%=%.o): | $(KSELFTEST_HEADERS)

$(KSELFTEST_PROGRAMS): %: %.o
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $< $(KSELFTEST_LIBS)

# It is started over and over, and the dynamic linker takes most of the time then.
$(B)/tests/kselftest/storm_users: KSELFTEST_LIBS := -static

$(KSELFTEST_LIBRARY): KSELFTEST_LIBS := -L$(B)/lib -lipm
$(KSELFTEST_LIBRARY): $(B)/lib/libipm.so
# The linker's instructions are not those that are of interest.
$(KSELFTESTS_STEP) $(B)/tests/kselftest/lib_ring_all: KSELFTEST_LIBS += -Wl,-z,now

# Under its own name, with 64 and without.
$(B)/tests/kselftest/lib_preload.o: override CPPFLAGS += -U_FILE_OFFSET_BITS
$(B)/tests/kselftest/lib_preload: $(filter %/libipm-preload.so,$(PRELOAD_FILE))

$(B)/tests/kselftest/lib_monitor: KSELFTEST_LIBS += -lipm-monitor
$(B)/tests/kselftest/lib_monitor: $(B)/lib/libipm-monitor.so
