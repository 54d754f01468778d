# SPDX-License-Identifier: GPL-2.0
#
# Benchmarks; README.md tells how they measure. "make bench" runs BENCH_TARGETS on this
# machine, "make bench-vm" BENCH_VM_TARGETS, which count instructions in the virtual
# machine: vm_*.c, where each file named vm_library* goes through the library and the
# others use the bare ABI. "report run" keeps what they find, "report show" shows it.

BENCH_VM := $(patsubst %.c,$(B)/%,$(wildcard tests/bench/vm_*.c))

ALL_TARGETS += $(BENCH_VM)

$(BENCH_VM:%=%.o): override CPPFLAGS += -D_GNU_SOURCE
$(BENCH_VM:%=%.o): override CFLAGS += -pthread

# What all programs share.
BENCH_COMMON := $(B)/tests/bench/place.o $(B)/tests/bench/report.o

$(BENCH_COMMON): override CPPFLAGS += -D_GNU_SOURCE

$(BENCH_VM): %: %.o $(BENCH_COMMON)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $^ -lm

$(filter $(B)/tests/bench/vm_library%,$(BENCH_VM)): $(B)/lib/libipm.a

# $(call bench_run,name): runs what follows as the benchmark of that name.
bench_run = $(Q)tests/bench/report run $(1)
# $(call bench_turns,name): the same for several commands with -- between them.
bench_turns = $(Q)tests/bench/report turns 9 $(1)
BENCH_VM_TARGETS += bench-calls

.PHONY: bench-calls
bench-calls: bench-needs-vm $(BENCH_VM)
	$(call bench_run,vm) tests/bench/vm-run.sh $(BENCH_VM)

# $(call bench_needs,goal,commands): says what is missing, and ends.
bench_needs = $(Q)for command in $(2); do \
	command -v $$command >/dev/null || { \
		echo "$$command is needed: BENCH_DEPS=1 make $(1) installs it and all else that" \
			"is measured (as root or with sudo)" >&2; exit 1; }; \
done

.PHONY: bench-needs bench-needs-vm
bench-needs:
	$(call bench_needs,bench,$(firstword $(CXX)) python3)

bench-needs-vm:
	$(call bench_needs,bench-vm,python3)

# $(call bench_all,targets,group of packages,what is needed): one after the other, also with
# -j; what fails does not keep the others from running. BENCH_DEPS=1 installs the packages
# first.
BENCH_DEPS ?=
define bench_all
	$(if $(BENCH_DEPS),$(Q)tests/vm/deps $(2))
	$(Q)$(MAKE) --no-print-directory $(3)
	$(Q)status=0; for target in $(1); do \
		$(MAKE) --no-print-directory BENCH_DEPS= $$target || status=1; \
	done; \
	tests/bench/report show || status=1; \
	exit $$status
endef

.PHONY: bench bench-vm
bench:
	$(call bench_all,$(BENCH_TARGETS),bench,bench-needs)

bench-vm:
	$(call bench_all,$(BENCH_VM_TARGETS),bench-vm,bench-needs-vm)

# make bench-compare BEFORE AFTER: the two words are files of results, not targets.
BENCH_FILES := $(if $(filter bench-compare,$(MAKECMDGOALS)),\
	$(filter-out bench-compare,$(MAKECMDGOALS)))

.PHONY: bench-compare $(BENCH_FILES)
bench-compare:
	$(Q)tests/bench/compare $(BENCH_FILES)
ifneq ($(BENCH_FILES),)
$(BENCH_FILES): ;@:
endif

CHECK_TARGETS += check-bench

# The tools with known results, and each program for a moment, with what rivals there are.
.PHONY: check-bench
check-bench: bench-programs
	$(Q)tests/bench/check
	$(Q)tests/bench/check-programs $(BENCH_PROGRAMS)

# Changes when a rival is installed or removed: then what uses it is compiled again.
BENCH_HEADERS := ck_ring.h boost/version.hpp zmq.h qb/qbrb.h iceoryx
BENCH_RIVALS := $(B)/tests/bench/rivals.list

$(BENCH_RIVALS): bench-look
	$(Q)mkdir -p $(@D)
	$(Q)echo '$(wildcard $(BENCH_HEADERS:%=/usr/include/%)) $(RING_DPDK)' | cmp -s - $@ || \
		echo '$(wildcard $(BENCH_HEADERS:%=/usr/include/%)) $(RING_DPDK)' >$@

.PHONY: bench-look
bench-look:

# Rings against their rivals: those that are installed. REALTIME=1 gives the
# benchmark the CPUs when it wants them (needs the right).
RING_BENCH := $(B)/tests/bench/ring_bench
RING_BENCH_OBJECTS := $(RING_BENCH).o $(B)/tests/bench/ring_rivals.o \
	$(B)/tests/bench/ring_rivals_boost.o
RING_DPDK := $(shell pkg-config --exists libdpdk 2>/dev/null && echo yes)

BENCH_TARGETS += bench-ring

$(filter-out $(RING_BENCH).o,$(RING_BENCH_OBJECTS)): $(BENCH_RIVALS)

$(RING_BENCH_OBJECTS): override CPPFLAGS += -D_GNU_SOURCE $(if $(RING_DPDK),-DBENCH_DPDK)
ifneq ($(RING_DPDK),)
$(B)/tests/bench/ring_rivals.o: override CFLAGS += $(shell pkg-config --cflags libdpdk)
RING_BENCH_LIBS := -lrte_ring -lrte_eal
endif

$(B)/tests/bench/ring_rivals_boost.o: tests/bench/ring_rivals_boost.cpp tests/bench/ring_bench.h
	$(call say,CXX,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(CPPFLAGS) $(CXXFLAGS) -c -o $@ $<

$(RING_BENCH): $(RING_BENCH_OBJECTS) $(BENCH_COMMON) $(B)/lib/libipm.a
	$(call say,LD,$@)
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) -pthread -o $@ $^ $(RING_BENCH_LIBS)

.PHONY: bench-ring
bench-ring: bench-needs $(RING_BENCH)
	$(call bench_run,ring) $(RING_BENCH) -n 31 $(if $(REALTIME),-r)

# Channels against a bare futex pair and the bare ring.
CHANNEL_BENCH := $(B)/tests/bench/channel_bench

BENCH_TARGETS += bench-channel

$(CHANNEL_BENCH).o: override CPPFLAGS += -D_GNU_SOURCE

$(CHANNEL_BENCH): $(CHANNEL_BENCH).o $(BENCH_COMMON) $(B)/lib/libipm.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $^

.PHONY: bench-channel
bench-channel: bench-needs $(CHANNEL_BENCH)
	$(call bench_run,channel) $(CHANNEL_BENCH)

# Channels and exchanges against what else carries messages between processes.
MESSAGE_BENCH := $(B)/tests/bench/message_bench
MESSAGE_OBJECTS := $(addprefix $(B)/tests/bench/message_,ipm.o system.o qb.o zmq.o boost.o iceoryx.o)
MESSAGE_MEMORY := $(B)/tests/bench/memory.o
MESSAGE_ICEORYX := $(wildcard /usr/include/iceoryx/v*)
MESSAGE_LIBS := $(if $(wildcard /usr/include/qb/qbrb.h),-lqb) \
	$(if $(wildcard /usr/include/zmq.h),-lzmq) \
	$(if $(MESSAGE_ICEORYX),-liceoryx_posh -liceoryx_hoofs -liceoryx_platform)

BENCH_TARGETS += bench-message

$(MESSAGE_BENCH).o $(MESSAGE_MEMORY) $(MESSAGE_OBJECTS): override CPPFLAGS += -D_GNU_SOURCE
$(MESSAGE_OBJECTS): $(BENCH_RIVALS)

$(B)/tests/bench/message_%.o: tests/bench/message_%.cpp tests/bench/message.h
	$(call say,CXX,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) $(CPPFLAGS) $(MESSAGE_ICEORYX:%=-isystem %) $(CXXFLAGS) -c -o $@ $<

$(MESSAGE_BENCH): $(MESSAGE_BENCH).o $(MESSAGE_MEMORY) $(MESSAGE_OBJECTS) $(BENCH_COMMON) \
		$(B)/lib/libipm.a
	$(call say,LD,$@)
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) -pthread -o $@ $^ $(MESSAGE_LIBS)

.PHONY: bench-message
bench-message: bench-needs $(MESSAGE_BENCH)
	$(call bench_run,message) $(MESSAGE_BENCH)

# Exchanges against pipes, sockets, semaphores, plain copies, and Open MPI where it is
# installed (openmpi-bin, libopenmpi-dev). Open MPI starts its processes itself, so each
# turn is a run of both programs.
EXCHANGE_BENCH := $(B)/tests/bench/exchange_bench
EXCHANGE_MPICC := $(shell command -v mpicc 2>/dev/null)

BENCH_TARGETS += bench-exchange

$(EXCHANGE_BENCH).o: override CPPFLAGS += -D_GNU_SOURCE

$(EXCHANGE_BENCH): $(EXCHANGE_BENCH).o $(BENCH_COMMON) $(B)/lib/libipm.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $^

$(B)/tests/bench/exchange_mpi: tests/bench/exchange_mpi.c $(BENCH_COMMON)
	$(call say,MPICC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(EXCHANGE_MPICC) -std=gnu11 -O2 -Wall -Wextra -o $@ $^

# As root, Open MPI wants to be asked twice.
BENCH_MPIRUN := $(if $(REALTIME),chrt -f 1) env OMPI_ALLOW_RUN_AS_ROOT=1 \
	OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun -np 2 --bind-to core --mca btl self,vader

.PHONY: bench-exchange
bench-exchange: bench-needs $(EXCHANGE_BENCH) $(if $(EXCHANGE_MPICC),$(B)/tests/bench/exchange_mpi)
	$(call bench_turns,exchange) $(EXCHANGE_BENCH) $(if $(REALTIME),-r) 1 -- $(if $(EXCHANGE_MPICC),\
		$(BENCH_MPIRUN) $(B)/tests/bench/exchange_mpi 1,$(EXCHANGE_BENCH) -s)

# ipm send and recv beside pipes.
BENCH_VM_TARGETS += bench-stream

.PHONY: bench-stream
bench-stream: bench-needs-vm $(B)/tools/ipm
	$(call bench_run,vm-stream) tests/bench/vm-run.sh -s tests/bench/vm-stream

# Here, where all of them are known.
BENCH_PROGRAMS := $(RING_BENCH) $(CHANNEL_BENCH) $(MESSAGE_BENCH) $(EXCHANGE_BENCH)

.PHONY: bench-programs
bench-programs: $(BENCH_PROGRAMS)
