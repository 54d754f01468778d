# SPDX-License-Identifier: LGPL-2.1-or-later
#
# libipm: the shared and the static library, and what "make install" puts where.

LIBIPM_SOURCES := $(wildcard lib/*.c)
LIBIPM_OBJECTS := $(LIBIPM_SOURCES:%.c=$(B)/%.o)
LIBIPM_HEADERS := $(wildcard include/ipm/*.h)
LIBIPM_FILE := libipm.so.$(VERSION)
LIBIPM_SONAME := libipm.so.$(SOVERSION)

# Without a sanitizer, whose calls the program brings, everything must resolve.
LIBIPM_LDFLAGS := -shared -pthread -Wl,-soname,$(LIBIPM_SONAME) -Wl,--version-script,lib/libipm.map \
	$(if $(SAN),,-Wl,-z,defs) -Wl,-z,relro,-z,now

ALL_TARGETS += $(B)/lib/libipm.so $(B)/lib/libipm.a

$(LIBIPM_OBJECTS): override CPPFLAGS += -D_GNU_SOURCE
# TSan does not follow fences, and gcc would refuse them for that.
$(LIBIPM_OBJECTS): override CFLAGS += -fPIC -fvisibility=hidden -pthread \
	$(if $(filter tsan,$(SAN)),-Wno-tsan)

$(B)/lib/$(LIBIPM_FILE): $(LIBIPM_OBJECTS) lib/libipm.map
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(LIBIPM_LDFLAGS) -o $@ $(LIBIPM_OBJECTS)

$(B)/lib/$(LIBIPM_SONAME): $(B)/lib/$(LIBIPM_FILE)
	$(Q)ln -sf $(LIBIPM_FILE) $@

$(B)/lib/libipm.so: $(B)/lib/$(LIBIPM_SONAME)
	$(Q)ln -sf $(LIBIPM_SONAME) $@

$(B)/lib/libipm.a: $(LIBIPM_OBJECTS)
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $(LIBIPM_OBJECTS)

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include

INSTALL_TARGETS += install-lib
UNINSTALL_TARGETS += uninstall-lib

.PHONY: install-lib uninstall-lib
install-lib: $(B)/lib/libipm.so $(B)/lib/libipm.a
	$(call say,INSTALL,libipm to $(DESTDIR)$(LIBDIR))
	$(Q)install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)/ipm \
		$(DESTDIR)$(INCLUDEDIR)/linux
	$(Q)install -m 644 $(LIBIPM_HEADERS) $(DESTDIR)$(INCLUDEDIR)/ipm/
	$(Q)install -m 644 include/uapi/linux/ipm.h $(DESTDIR)$(INCLUDEDIR)/linux/
	$(Q)install -m 755 $(B)/lib/$(LIBIPM_FILE) $(DESTDIR)$(LIBDIR)/
	$(Q)ln -sf $(LIBIPM_FILE) $(DESTDIR)$(LIBDIR)/$(LIBIPM_SONAME)
	$(Q)ln -sf $(LIBIPM_SONAME) $(DESTDIR)$(LIBDIR)/libipm.so
	$(Q)install -m 644 $(B)/lib/libipm.a $(DESTDIR)$(LIBDIR)/
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
		-e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e 's|@VERSION@|$(VERSION)|' \
		lib/libipm.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/libipm.pc
	$(Q)chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/libipm.pc

uninstall-lib:
	$(Q)rm -f $(addprefix $(DESTDIR)$(LIBDIR)/,libipm.so $(LIBIPM_SONAME) $(LIBIPM_FILE) \
		libipm.a pkgconfig/libipm.pc) \
		$(LIBIPM_HEADERS:include/%=$(DESTDIR)$(INCLUDEDIR)/%) \
		$(DESTDIR)$(INCLUDEDIR)/linux/ipm.h
	$(Q)[ ! -d $(DESTDIR)$(INCLUDEDIR)/ipm ] || rmdir --ignore-fail-on-non-empty \
		$(DESTDIR)$(INCLUDEDIR)/ipm
