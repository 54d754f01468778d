# SPDX-License-Identifier: LGPL-2.1-or-later
#
# IPM: the kernel module, the library, the tools and their tests.
# "make help" lists what there is.
#
# Not recursive: each directory has a build.mk that adds to ALL_TARGETS,
# UNIT_TESTS, KSELFTESTS (or KSELFTESTS_PLAIN: not on the debug kernel), CHECK_TARGETS,
# BENCH_TARGETS, BENCH_VM_TARGETS, INSTALL_TARGETS and UNINSTALL_TARGETS, and holds its rules.
# All paths are relative to this directory; all output goes below $(B).

VERSION := 0.1.0
SOVERSION := 0

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

# --- variables for everybody ---

SAN ?=
# M32=1 builds 32-bit programs, to run on a 64-bit kernel, M32=vm to run in the virtual
# machine.
M32 ?=
B := build$(if $(SAN),/$(SAN))$(if $(M32),/m32$(M32:1=))

ifeq ($(V),1)
Q :=
else
Q := @
endif
# $(call say,CC,file): the one line that a step prints.
say = @printf '  %-8s %s\n' '$(1)' '$(2)'

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := g++
endif
AR ?= ar

CFLAGS ?= -O2 -g
CXXFLAGS ?= -O2 -g
WERROR ?= -Werror

SAN_FLAGS_asan := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SAN_FLAGS_ubsan := -fsanitize=undefined -fno-sanitize-recover=all
# gcc warns that TSan does not see fences; what relies on them must be tested without it, too.
SAN_FLAGS_tsan := -fsanitize=thread -Wno-tsan
SAN_FLAGS := $(SAN_FLAGS_$(SAN))
ifneq ($(SAN),)
ifeq ($(SAN_FLAGS),)
$(error SAN=$(SAN): choose asan, ubsan or tsan)
endif
endif

# The offset of the status page does not fit into 32 bits.
override CPPFLAGS += -Iinclude -Iinclude/uapi -D_FILE_OFFSET_BITS=64
override CFLAGS += -std=gnu11 -Wall -Wextra $(WERROR) $(SAN_FLAGS)
override CXXFLAGS += -Wall -Wextra $(WERROR) $(SAN_FLAGS)
override LDFLAGS += $(SAN_FLAGS)
ifneq ($(M32),)
# Some values cannot be too large there.
override CFLAGS += -m32 -Wno-type-limits -Wno-psabi
ifeq ($(M32),vm)
override CPPFLAGS += -include tests/vm/cmpxchg8b.h
endif
# LD_LIBRARY_PATH, in the virtual machine, has the library of 64 bits.
override LDFLAGS += -m32 -Wl,-rpath,'$$ORIGIN/../lib:$$ORIGIN/../../lib'
endif

KDIR ?= /lib/modules/$(shell uname -r)/build
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man

# How the module is installed: dkms, modules_install or no.
DKMS_DIR := /usr/src/ipm-$(VERSION)
ifeq ($(MODULE),)
ifneq ($(shell command -v dkms),)
MODULE := dkms
else ifneq ($(wildcard $(KDIR)/Makefile),)
MODULE := modules_install
else
MODULE := none
endif
endif

ALL_TARGETS :=
UNIT_TESTS :=
KSELFTESTS :=
KSELFTESTS_PLAIN :=
CHECK_TARGETS :=
BENCH_TARGETS :=
INSTALL_TARGETS :=
UNINSTALL_TARGETS :=

# The kselftest harness comes with the kernel source and is fetched, not copied.
CACHE_DIR := $(or $(IPM_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ipm)
KSELFTEST_DIR := $(CACHE_DIR)/kselftest
KSELFTEST_CFLAGS := -isystem $(KSELFTEST_DIR)
# What a program that includes it depends on (order-only is enough).
KSELFTEST_HEADERS := $(KSELFTEST_DIR)/kselftest_harness.h

FRAGMENTS := lib lib/preload lib/monitor tools examples man system \
	tests/unit tests/kselftest tests/bench tests/fuzz tests/stress tests/models tests/demo \
	tests/tools
-include $(FRAGMENTS:%=%/build.mk)

# --- building ---

.PHONY: all userland tests unit-tests module
all: userland module
# Tests are built when they are run; they need the kernel source.
userland: $(filter-out $(B)/tests/%,$(ALL_TARGETS))
tests: $(filter $(B)/tests/%,$(ALL_TARGETS)) $(UNIT_TESTS) $(KSELFTESTS) $(KSELFTESTS_PLAIN)
unit-tests: $(UNIT_TESTS)

# One rule compiles everything; a fragment sets flags for its own objects:
#	$(B)/lib/%.o: CFLAGS += -fPIC
$(B)/%.o: %.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

-include $(foreach d,$(FRAGMENTS),$(wildcard $(B)/$(d)/*.d $(B)/$(d)/*/*.d))

$(KSELFTEST_HEADERS):
	$(Q)tests/vm/get-source >/dev/null

module:
	$(Q)if [ -e $(KDIR)/Makefile ]; then \
		tests/vm/build-module $(KDIR) >/dev/null; \
	else \
		printf '  %-8s %s\n' SKIP 'module: no kernel headers in $(KDIR);' \
			'' 'install linux-headers-$(shell uname -r) or say KDIR=; "make vm" needs neither'; \
	fi

# --- the virtual machine ---

VM_VARIABLES := KERNEL DEBUG SMP MEM ICOUNT TIMEOUT NOMODULE MODPARAMS APPEND OUT LOG KVM JOBS KERNELS SHORT
export $(VM_VARIABLES) CC CXX CMD HOST FILE

.PHONY: deps vm demo
deps:
	$(Q)tests/vm/deps

# make by itself can only say 0 or 2; exit.c tells how the real status gets out.
VM_STATUS = build/vm/status.$(MAKE_PID)
vm: vm-run
	$(if $(.LOADED),$(exit-with $(shell cat $(VM_STATUS); rm -f $(VM_STATUS))))
	@status=$$(cat $(VM_STATUS)); rm -f $(VM_STATUS); exit $$status

.PHONY: vm-run
vm-run: userland
	$(Q)mkdir -p build/vm
	$(Q)if [ -n "$$CMD" ]; then tests/vm/run "$$CMD"; else tests/vm/run; fi; \
		echo $$? >$(VM_STATUS)

ifneq ($(filter vm,$(MAKECMDGOALS)),)
MAKE_PID := $(shell echo $$PPID)
-load build/vm/exit.so
build/vm/exit.so: tests/vm/exit.c
	$(Q)mkdir -p $(@D)
	$(Q)tests/vm/deps build vm
	$(Q)$(CC) -O2 -Wall -Wextra -shared -fPIC -o $@ $< 2>/dev/null || true
endif

demo:
	$(Q)tests/demo/run

# --- tests ---

.PHONY: check check-debug check-long check-kernels check-packages check-static check-units \
	check-kselftests check-programs coverage coverage-kmod print-%
check:
	$(Q)tests/check all

check-debug:
	$(Q)tests/check debug

check-long check-kernels check-packages check-static check-units check-kselftests check-programs:
	$(Q)tests/check $(@:check-%=%)

coverage coverage-kmod:
	$(Q)tests/$@

# make print-UNIT_TESTS: for scripts that need one of the lists.
print-%:
	@echo $($*)

# --- installing ---

.PHONY: install uninstall install-module uninstall-module \
	install-module-dkms install-module-modules_install install-module-no install-module-none
install: userland $(INSTALL_TARGETS) install-module
	$(Q)[ -n '$(DESTDIR)' ] || [ "$$(id -u)" != 0 ] || ldconfig

install-module: install-module-$(MODULE)

install-module-dkms:
	$(call say,INSTALL,module (DKMS) to $(DESTDIR)$(DKMS_DIR))
	$(Q)install -d $(addprefix $(DESTDIR)$(DKMS_DIR)/,kmod include/uapi/linux system)
	$(Q)install -m 644 Kbuild dkms.conf $(DESTDIR)$(DKMS_DIR)/
	$(Q)install -m 644 kmod/*.[ch] $(DESTDIR)$(DKMS_DIR)/kmod/
	$(Q)install -m 644 include/uapi/linux/*.h $(DESTDIR)$(DKMS_DIR)/include/uapi/linux/
	$(Q)install -m 755 system/dkms-* $(DESTDIR)$(DKMS_DIR)/system/
	$(Q)if [ -z '$(DESTDIR)' ]; then \
		dkms status ipm/$(VERSION) | grep -q . || dkms add ipm/$(VERSION); \
		if [ -e /lib/modules/$$(uname -r)/build ]; then \
			dkms install --force ipm/$(VERSION); \
		else \
			echo "DKMS knows the module and builds it when there are kernel headers:"; \
			echo "apt-get install linux-headers-$$(uname -r)"; \
		fi; \
	fi

install-module-modules_install:
	$(call say,INSTALL,module for $(KDIR))
	$(Q)log=build/logs/modules_install.log; \
	ko=$$(tests/vm/build-module $(KDIR)) && farm=$$(dirname "$$ko") || exit 1; \
	$(MAKE) -s -C $(KDIR) M="$$farm" INSTALL_MOD_PATH=$(DESTDIR) modules_install >$$log 2>&1 || \
		{ cat $$log; exit 1; }; \
	[ -n '$(DESTDIR)' ] || depmod -a "$$(basename "$$farm")"

install-module-no:

install-module-none:
	@echo 'The module was not installed: neither dkms nor kernel headers are there. Install the'
	@echo 'package dkms and linux-headers-$(shell uname -r), then "make install" again.'

uninstall: $(UNINSTALL_TARGETS) uninstall-module

uninstall-module:
	$(Q)if [ -z '$(DESTDIR)' ] && command -v dkms >/dev/null && \
		dkms status ipm/$(VERSION) | grep -q .; then \
		dkms remove ipm/$(VERSION) --all; \
	fi
	$(Q)rm -rf $(DESTDIR)$(DKMS_DIR)
	$(Q)found=; for file in $(DESTDIR)/lib/modules/*/*/ipm.ko; do \
		[ -e "$$file" ] || continue; \
		rm -f "$$file"; found=1; \
	done; \
	if [ -n "$$found" ] && [ -z '$(DESTDIR)' ]; then depmod -a; fi

# --- releasing ---

DIST_TARBALL := build/ipm-$(VERSION).tar.gz

.PHONY: dist deb
dist:
	$(call say,DIST,$(DIST_TARBALL))
	$(Q)system/dist $(VERSION) $(DIST_TARBALL)

# The packages are built from the tarball.
deb: dist
	$(Q)tests/vm/deps deb
	$(Q)system/deb $(VERSION) $(DIST_TARBALL)

# --- cleaning ---

.PHONY: clean distclean
clean:
	$(call say,CLEAN,build)
	$(Q)rm -rf build

distclean: clean
	$(call say,CLEAN,$(CACHE_DIR))
	$(Q)rm -rf $(CACHE_DIR)

# --- help ---

.PHONY: help
help:
	@echo 'Two commands first:'
	@echo '  make demo         processes share a file in memory, one is killed (in a VM)'
	@echo '  make vm           a shell in a VM with the module, the library and the tools'
	@echo ''
	@echo 'Building:'
	@echo '  make              the library, the tools, and the module if there are kernel headers'
	@echo '  make tests        the test programs'
	@echo '  make install      library, headers, man pages, tools, module; as root'
	@echo '  make uninstall    removes them again'
	@echo '  make deb          Debian packages, in build/deb'
	@echo '  make dist         a tarball of the sources'
	@echo '  make clean        removes build/'
	@echo '  make distclean    also removes downloads and kernels ($(CACHE_DIR))'
	@echo '  make deps         installs the Debian packages that are missing; as root'
	@echo ''
	@echo 'Testing:'
	@echo '  make check        static checks, unit tests, all tests of the module in a VM'
	@echo '  make check-debug  the tests of the module on a kernel that looks for mistakes'
	@echo '  make check-long   hours of fuzzing, storms and kills, and their figures: GUARANTEES.md'
	@echo '  make check-kernels  the module on each of Debian'\''s kernels: KERNELS=, SHORT=1'
	@echo '  make check-packages  tarball, Debian packages and DKMS, in Debians that boot'
	@echo '  make check-static, check-units, check-kselftests, check-programs: one part of "check"'
	@echo '  make coverage     how many lines of the library the unit tests run'
	@echo '  make coverage-kmod  how many lines of the module all tests of it run; DEBUG=1 adds faults'
	@echo '  make bench        measures rings, channels, exchanges beside their rivals, on this machine'
	@echo '  make bench-vm     counts the instructions of the module'\''s calls beside their rivals, in a VM'
	@echo '  make bench-compare BEFORE AFTER: what changed between two files of results'
	@echo ''
	@echo 'Variables:'
	@echo '  V=1               shows the commands'
	@echo '  SAN=              asan, ubsan or tsan: builds into build/$$SAN with that sanitizer'
	@echo '  M32=1             32-bit programs, into build/m32 (vm: for the virtual machine)'
	@echo '  CC= CFLAGS=       compiler and its options; WERROR= lets warnings pass'
	@echo '  KDIR=             kernel headers to build the module for [$(KDIR)]'
	@echo '  PREFIX= DESTDIR=  where to install [$(PREFIX)]'
	@echo '  MODULE=           how to install the module: dkms, modules_install, no [$(MODULE)]'
	@echo '  BENCH_DEPS=1 REALTIME=1  bench: installs the rivals first; with a real-time priority'
	@echo '  HOST=1 FILE=      demo: on the running kernel; with this file'
	@echo '  CMD=              vm: the command to run instead of a shell'
	@echo '  KERNEL=           vm: cloud, amd64, rt, backports, unstable, debug, kcsan or a directory'
	@echo '  DEBUG=1 SMP= MEM= ICOUNT=1 TIMEOUT= NOMODULE=1 MODPARAMS= APPEND=: tests/vm/README.md'
