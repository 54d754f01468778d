# SPDX-License-Identifier: GPL-2.0
#
# Rings under deaths and many hands. Threads run with the unit tests, so under
# the sanitizers too; processes that are killed are targets of their own.

STRESS_PROGRAMS := $(patsubst %.c,$(B)/%,$(wildcard tests/stress/*.c))

ALL_TARGETS += $(STRESS_PROGRAMS)
UNIT_TESTS += $(B)/tests/stress/ring_stress
CHECK_TARGETS += check-ring-kill check-ring-storm check-channel-strace

$(STRESS_PROGRAMS:%=%.o): override CPPFLAGS += -D_GNU_SOURCE
$(STRESS_PROGRAMS:%=%.o): override CFLAGS += -pthread

$(STRESS_PROGRAMS): %: %.o $(B)/lib/libipm.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $(filter %.o,$^) $(B)/lib/libipm.a

# A participant is killed at some instructions; at every one: ring-kill.
.PHONY: check-ring-kill ring-kill check-ring-storm ring-storm
check-ring-kill: $(B)/tests/stress/ring_kill
	$(Q)timeout 1500 $< -q

ring-kill: $(B)/tests/stress/ring_kill
	$(Q)$< -v

# Processes that are killed at random; for millions of messages: ring-storm.
check-ring-storm: $(B)/tests/stress/ring_stress
	$(Q)timeout 300 $< kills 100000

ring-storm: $(B)/tests/stress/ring_stress
	$(Q)$< kills 3000000

.PHONY: check-channel-strace
check-channel-strace: $(B)/tests/unit/channel_syscalls
	$(Q)tests/stress/channel_strace $<
