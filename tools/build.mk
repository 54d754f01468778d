# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The ipm command.

IPM_SOURCES := $(wildcard tools/*.c)
IPM_OBJECTS := $(IPM_SOURCES:%.c=$(B)/%.o)
BINDIR ?= $(PREFIX)/bin
COMPLETIONSDIR ?= $(PREFIX)/share/bash-completion/completions

ALL_TARGETS += $(B)/tools/ipm
INSTALL_TARGETS += install-tools
UNINSTALL_TARGETS += uninstall-tools

$(IPM_OBJECTS): override CPPFLAGS += -D_GNU_SOURCE -DIPM_LIBDIR='"$(LIBDIR)"'

# Wherever both were installed, and in the tree, the library is found beside it; a
# package that installs where everybody looks says IPM_RPATH=.
IPM_RPATH ?= -Wl,-rpath,'$$ORIGIN/../lib'
$(B)/tools/ipm: $(IPM_OBJECTS) $(B)/lib/libipm.so $(B)/lib/libipm-monitor.so
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(IPM_RPATH) -o $@ $(IPM_OBJECTS) \
		-L$(B)/lib -lipm -lipm-monitor

.PHONY: install-tools uninstall-tools
install-tools: $(B)/tools/ipm
	$(call say,INSTALL,ipm to $(DESTDIR)$(BINDIR))
	$(Q)install -D -m 755 $(B)/tools/ipm $(DESTDIR)$(BINDIR)/ipm
	$(Q)install -D -m 644 tools/completion.bash $(DESTDIR)$(COMPLETIONSDIR)/ipm

uninstall-tools:
	$(Q)rm -f $(DESTDIR)$(BINDIR)/ipm $(DESTDIR)$(COMPLETIONSDIR)/ipm
