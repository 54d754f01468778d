# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The man pages: those of the library are made from its headers, those of the commands
# of ipm(8) from what they say with --help.

MAN_HEADERS := $(filter-out include/ipm/ipm.h,$(wildcard include/ipm/*.h))
MAN_STAMP := $(B)/man/stamp
MAN_TOOLS := $(wildcard man/tools/*.man)
MAN_TOOLS_STAMP := $(B)/man/stamp-tools
MAN_WRITTEN := $(wildcard man/*.[0-9])
MAN_DESTINATION = $(DESTDIR)$(MANDIR)

ALL_TARGETS += $(MAN_STAMP) $(MAN_TOOLS_STAMP)
CHECK_TARGETS += check-man
INSTALL_TARGETS += install-man
UNINSTALL_TARGETS += uninstall-man

$(MAN_STAMP): man/from-headers $(MAN_HEADERS) $(wildcard examples/*.c)
	$(call say,MAN,$(@D))
	$(Q)rm -rf $(@D) && mkdir -p $(@D)
	$(Q)man/from-headers $(VERSION) $(@D) $(MAN_HEADERS)
	$(Q)touch $@

$(MAN_TOOLS_STAMP): man/from-help $(MAN_TOOLS) $(B)/tools/ipm
	$(call say,MAN,$(@D)/man8)
	$(Q)rm -rf $(@D)/man8
	$(Q)LD_LIBRARY_PATH=$(B)/lib man/from-help $(VERSION) $(@D) $(B)/tools/ipm $(MAN_TOOLS)
	$(Q)touch $@

# That one makes the directory anew.
$(MAN_TOOLS_STAMP): $(MAN_STAMP)

.PHONY: check-man install-man uninstall-man
check-man: $(MAN_TOOLS_STAMP)
	$(Q)man/check $(B)/man $(VERSION)

install-man: $(MAN_TOOLS_STAMP)
	$(call say,INSTALL,man pages to $(MAN_DESTINATION))
	$(Q)for page in $(B)/man/man*/* $(MAN_WRITTEN); do \
		install -D -m 644 $$page $(MAN_DESTINATION)/man$${page##*.}/$${page##*/} || exit 1; \
	done

uninstall-man: $(MAN_TOOLS_STAMP)
	$(Q)for page in $(B)/man/man*/* $(MAN_WRITTEN); do \
		rm -f $(MAN_DESTINATION)/man$${page##*.}/$${page##*/}; \
	done
