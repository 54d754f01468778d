# SPDX-License-Identifier: GPL-2.0
#
# What the system needs to know of the module: who may open /dev/ipm, and that
# the module is to be loaded when the machine starts.

UDEVRULESDIR ?= /usr/lib/udev/rules.d
MODULESLOADDIR ?= /usr/lib/modules-load.d

# They go where the module goes: not along with MODULE=no.
ifneq ($(filter dkms modules_install,$(MODULE)),)
INSTALL_TARGETS += install-system
endif
UNINSTALL_TARGETS += uninstall-system

.PHONY: install-system uninstall-system
install-system:
	$(call say,INSTALL,udev rule and modules-load.d/ipm.conf to $(DESTDIR)/usr/lib)
	$(Q)install -D -m 644 system/60-ipm.rules $(DESTDIR)$(UDEVRULESDIR)/60-ipm.rules
	$(Q)install -D -m 644 system/modules-load.conf $(DESTDIR)$(MODULESLOADDIR)/ipm.conf

uninstall-system:
	$(Q)rm -f $(DESTDIR)$(UDEVRULESDIR)/60-ipm.rules $(DESTDIR)$(MODULESLOADDIR)/ipm.conf
