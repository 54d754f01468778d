# SPDX-License-Identifier: GPL-2.0
#
# Fuzzers (libFuzzer with ASan and UBSan, so clang): a short run in "make check",
# FUZZ_SECONDS of it with "make ring-fuzz", "make channel-fuzz", "make exchange-fuzz",
# "make participants-fuzz", "make memory-fuzz" or "make monitor-fuzz".

FUZZERS := ring channel exchange participants memory monitor
CHECK_TARGETS += $(FUZZERS:%=check-%-fuzz)

FUZZ_CC ?= clang
FUZZ_SECONDS ?= 600
FUZZ_FLAGS := -std=gnu11 -O1 -g -Wall -Wextra -Werror -D_GNU_SOURCE -Iinclude -Iinclude/uapi \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined
FUZZ_RUN = -max_len=1500 -timeout=20 -print_final_stats=1

$(B)/tests/fuzz/%_fuzz: tests/fuzz/%_fuzz.c tests/fuzz/ring_fuzz.c tests/fuzz/ring_fuzz_peers.h \
		tests/fuzz/tamper.h \
		$(wildcard lib/ring*.[ch] lib/channel*.[ch] lib/exchange*.[ch] lib/wait.[ch]) \
		$(wildcard include/ipm/*.h)
	$(call say,FUZZ_CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -o $@ $< $(FUZZ_MORE) $(FUZZ_LIBS)

# What exchanges share with rings, without their fuzzing.
$(B)/tests/fuzz/exchange_fuzz: FUZZ_MORE := $(wildcard lib/ring*.c)

# The memory API on the kernel of the unit tests.
FUZZ_MEMORY := $(addprefix lib/,context.c error.c device.c shared_memory.c sysv.c $(notdir $(wildcard lib/memory*.c)))
$(B)/tests/fuzz/memory_fuzz: FUZZ_MORE := -pthread $(FUZZ_MEMORY)
$(B)/tests/fuzz/memory_fuzz: $(FUZZ_MEMORY) $(wildcard lib/*.h) tests/unit/memory_lies.c \
	tests/unit/fake_kernel.c tests/unit/fake_kernel.h tests/unit/tap.h

# The table of participants, with what it shares with rings.
$(B)/tests/fuzz/participants_fuzz: lib/ring_participants.c

# What libipm-monitor makes of messages.
$(B)/tests/fuzz/monitor_fuzz: FUZZ_MORE = $(LIBMONITOR_CFLAGS) $(addprefix lib/,context.c error.c)
$(B)/tests/fuzz/monitor_fuzz: FUZZ_LIBS = $(LIBMONITOR_LIBS)
$(B)/tests/fuzz/monitor_fuzz: $(wildcard lib/monitor/*.[ch]) lib/context.c lib/error.c lib/internal.h

.PHONY: $(FUZZERS:%=check-%-fuzz) $(FUZZERS:%=%-fuzz)
$(FUZZERS:%=check-%-fuzz): check-%-fuzz:
	$(Q)if ! command -v $(FUZZ_CC) >/dev/null; then \
		echo 'skipped: $(FUZZ_CC) is not installed (apt-get install clang)'; exit 0; \
	fi; \
	$(MAKE) -s $(B)/tests/fuzz/$*_fuzz && cd $(B)/tests/fuzz && \
		./$*_fuzz -seed=1 -max_total_time=15 $(FUZZ_RUN)

$(FUZZERS:%=%-fuzz): %-fuzz: $(B)/tests/fuzz/%_fuzz
	$(Q)mkdir -p $(B)/tests/fuzz/corpus-$*
	$(Q)cd $(B)/tests/fuzz && ./$*_fuzz -max_total_time=$(FUZZ_SECONDS) $(FUZZ_RUN) corpus-$*

# The fuzzer of the module runs in the virtual machine: what is in its corpus with the
# kselftests, and on the debug kernel, with KCOV, by tests/fuzz/kernel-fuzz.
ALL_TARGETS += $(B)/tests/fuzz/kernel_fuzz
ifneq ($(DEBUG),1)
KSELFTESTS += $(if $(M32),,$(B)/tests/fuzz/kernel_fuzz)
endif

$(B)/tests/fuzz/kernel_fuzz.o: CFLAGS += $(KSELFTEST_CFLAGS:-I%=-isystem %) -pthread
$(B)/tests/fuzz/kernel_fuzz.o: tests/kselftest/ipm_test.h | $(KSELFTEST_HEADERS)

$(B)/tests/fuzz/kernel_fuzz: $(B)/tests/fuzz/kernel_fuzz.o
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $<
