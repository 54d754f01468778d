# SPDX-License-Identifier: GPL-2.0
#
# The program of "make demo", its test, and the one of README.md.

DEMO := $(B)/tests/demo/demo

ALL_TARGETS += $(DEMO)
CHECK_TARGETS += check-demo check-readme

$(DEMO).o: override CPPFLAGS += -D_GNU_SOURCE

$(DEMO): $(DEMO).o $(B)/lib/libipm.so
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< -L$(B)/lib -lipm

.PHONY: check-demo check-readme
check-demo:
	$(Q)tests/demo/check

check-readme:
	$(Q)tests/demo/check-readme
