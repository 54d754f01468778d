# SPDX-License-Identifier: LGPL-2.1-or-later
#
# libipm-monitor: lists and follows what the module has, over netlink. A library
# of its own, so that libipm needs nothing but libc.

LIBMONITOR_SOURCES := $(wildcard lib/monitor/*.c)
LIBMONITOR_OBJECTS := $(LIBMONITOR_SOURCES:%.c=$(B)/%.o)
LIBMONITOR_FILE := libipm-monitor.so.$(VERSION)
LIBMONITOR_SONAME := libipm-monitor.so.$(SOVERSION)
LIBMONITOR_CFLAGS := $(or $(shell pkg-config --cflags libnl-genl-3.0 2>/dev/null),-I/usr/include/libnl3)
LIBMONITOR_LIBS := $(or $(shell pkg-config --libs libnl-genl-3.0 2>/dev/null),-lnl-genl-3 -lnl-3)

# Contexts, results and a few system calls, which libipm does not export. The
# shared library has a copy; a program that takes the static one takes libipm.a too.
LIBMONITOR_SHARED := $(patsubst %,$(B)/lib/%.o,context error sys)

LIBMONITOR_LDFLAGS := -shared -pthread -Wl,-soname,$(LIBMONITOR_SONAME) \
	-Wl,--version-script,lib/monitor/libipm-monitor.map \
	$(if $(SAN),,-Wl,-z,defs) -Wl,-z,relro,-z,now

ALL_TARGETS += $(B)/lib/libipm-monitor.so $(B)/lib/libipm-monitor.a

$(LIBMONITOR_OBJECTS): override CPPFLAGS += -D_GNU_SOURCE $(LIBMONITOR_CFLAGS:-I%=-isystem %)
$(LIBMONITOR_OBJECTS): override CFLAGS += -fPIC -fvisibility=hidden -pthread

$(B)/lib/$(LIBMONITOR_FILE): $(LIBMONITOR_OBJECTS) $(LIBMONITOR_SHARED) \
		lib/monitor/libipm-monitor.map
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(LIBMONITOR_LDFLAGS) -o $@ $(filter %.o,$^) $(LIBMONITOR_LIBS)

$(B)/lib/$(LIBMONITOR_SONAME): $(B)/lib/$(LIBMONITOR_FILE)
	$(Q)ln -sf $(LIBMONITOR_FILE) $@

$(B)/lib/libipm-monitor.so: $(B)/lib/$(LIBMONITOR_SONAME)
	$(Q)ln -sf $(LIBMONITOR_SONAME) $@

$(B)/lib/libipm-monitor.a: $(LIBMONITOR_OBJECTS)
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $(LIBMONITOR_OBJECTS)

INSTALL_TARGETS += install-monitor
UNINSTALL_TARGETS += uninstall-monitor

# Its header goes with those of libipm.
.PHONY: install-monitor uninstall-monitor
install-monitor: $(B)/lib/libipm-monitor.so $(B)/lib/libipm-monitor.a
	$(call say,INSTALL,libipm-monitor to $(DESTDIR)$(LIBDIR))
	$(Q)install -d $(DESTDIR)$(LIBDIR)/pkgconfig
	$(Q)install -m 755 $(B)/lib/$(LIBMONITOR_FILE) $(DESTDIR)$(LIBDIR)/
	$(Q)ln -sf $(LIBMONITOR_FILE) $(DESTDIR)$(LIBDIR)/$(LIBMONITOR_SONAME)
	$(Q)ln -sf $(LIBMONITOR_SONAME) $(DESTDIR)$(LIBDIR)/libipm-monitor.so
	$(Q)install -m 644 $(B)/lib/libipm-monitor.a $(DESTDIR)$(LIBDIR)/
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
		-e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e 's|@VERSION@|$(VERSION)|' \
		lib/monitor/libipm-monitor.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/libipm-monitor.pc
	$(Q)chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/libipm-monitor.pc

uninstall-monitor:
	$(Q)rm -f $(addprefix $(DESTDIR)$(LIBDIR)/,libipm-monitor.so $(LIBMONITOR_SONAME) \
		$(LIBMONITOR_FILE) libipm-monitor.a pkgconfig/libipm-monitor.pc)
