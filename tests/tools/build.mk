# SPDX-License-Identifier: GPL-2.0
#
# The tests of ipm(8), in the virtual machine. Most are scripts that start hundreds of
# programs: those do not run on the debug kernel.

TOOL_TESTS := $(addprefix $(B)/tests/tools/,tool_commands tool_streams tool_examples)
TOOL_SHORT := $(B)/tests/tools/tool_short
TOOL_HOLD := $(B)/tests/tools/hold

ALL_TARGETS += $(TOOL_HOLD)
# What the command lists, the module tells over netlink. It has 64 bits.
ifeq ($(M32),)
KSELFTESTS_PLAIN += $(TOOL_TESTS)
KSELFTESTS += $(TOOL_SHORT)
endif

$(TOOL_HOLD): $(TOOL_HOLD).o $(B)/lib/libipm.so
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< -L$(B)/lib -lipm

# Once for all of them: two that copy it at the same time get in each other's way.
$(B)/tests/tools/toolkit.py: tests/tools/toolkit.py
	$(Q)mkdir -p $(@D)
	$(Q)cp $< $@

$(TOOL_TESTS) $(TOOL_SHORT): $(B)/%: % $(B)/tests/tools/toolkit.py $(TOOL_HOLD) $(B)/tools/ipm \
		$(MAN_TOOLS_STAMP)
	$(Q)install -m 755 $< $@
