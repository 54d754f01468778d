# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Examples: each source file is a program. They need the module, so the tests
# run them in the virtual machine; exit status 0 is a pass.

EXAMPLE_SOURCES := $(wildcard examples/*.c)
EXAMPLE_PROGRAMS := $(EXAMPLE_SOURCES:%.c=$(B)/%)

ALL_TARGETS += $(EXAMPLE_PROGRAMS)
KSELFTESTS += $(EXAMPLE_PROGRAMS)

$(EXAMPLE_PROGRAMS): %: %.o $(B)/lib/libipm.so
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< -L$(B)/lib -lipm
