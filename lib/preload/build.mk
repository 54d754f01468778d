# SPDX-License-Identifier: LGPL-2.1-or-later
#
# libipm-preload.so, which takes the shared memory of unmodified programs to IPM,
# and the script that starts a program with it. All of libipm that it needs is
# in it; it is installed in a directory of its own, since no program is linked with it.
# With a sanitizer, which has its own place in front of the C library, it
# is not built.

PRELOAD_SOURCES := $(wildcard lib/preload/*.c)
PRELOAD_OBJECTS := $(PRELOAD_SOURCES:%.c=$(B)/%.o)
PRELOAD_FILE := $(B)/lib/libipm-preload.so
PRELOAD_SCRIPT := $(B)/tools/ipm-run
BINDIR ?= $(PREFIX)/bin

# Each of the functions under its own name, with 64 and without.
$(PRELOAD_OBJECTS): override CPPFLAGS += -D_GNU_SOURCE -U_FILE_OFFSET_BITS
$(PRELOAD_OBJECTS): override CFLAGS += -fPIC -fvisibility=hidden

ifeq ($(SAN),)
ALL_TARGETS += $(PRELOAD_FILE) $(PRELOAD_SCRIPT)
INSTALL_TARGETS += install-preload
UNINSTALL_TARGETS += uninstall-preload
endif

$(PRELOAD_FILE): $(PRELOAD_OBJECTS) $(B)/lib/libipm.a lib/preload/preload.map
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -shared -pthread -Wl,-soname,$(@F) \
		-Wl,--version-script,lib/preload/preload.map -Wl,-z,defs -Wl,-z,relro,-z,now \
		-o $@ $(PRELOAD_OBJECTS) $(B)/lib/libipm.a

$(PRELOAD_SCRIPT): lib/preload/ipm-run
	$(Q)mkdir -p $(@D)
	$(Q)sed 's|@LIBDIR@|$(LIBDIR)|' $< >$@
	$(Q)chmod 755 $@

.PHONY: install-preload uninstall-preload
install-preload: $(PRELOAD_FILE)
	$(call say,INSTALL,libipm-preload.so to $(DESTDIR)$(LIBDIR)/ipm)
	$(Q)install -D -m 755 $(PRELOAD_FILE) $(DESTDIR)$(LIBDIR)/ipm/$(notdir $(PRELOAD_FILE))
	$(Q)install -d $(DESTDIR)$(BINDIR)
	$(Q)sed 's|@LIBDIR@|$(LIBDIR)|' lib/preload/ipm-run >$(DESTDIR)$(BINDIR)/ipm-run
	$(Q)chmod 755 $(DESTDIR)$(BINDIR)/ipm-run

uninstall-preload:
	$(Q)rm -f $(DESTDIR)$(LIBDIR)/ipm/$(notdir $(PRELOAD_FILE)) \
		$(DESTDIR)$(BINDIR)/ipm-run
	$(Q)[ ! -d $(DESTDIR)$(LIBDIR)/ipm ] || \
		rmdir --ignore-fail-on-non-empty $(DESTDIR)$(LIBDIR)/ipm
