/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For 32-bit programs that run in the virtual machine: QEMU 7.2 computes the flags after
 * cmpxchg8b from what an earlier instruction left behind. An interrupt may then save a
 * trap flag that nobody has set, and the program ends with SIGTRAP. It computes them
 * right after an instruction that has just needed them; pushf does, and changes nothing.
 */
#if defined(__i386__)
__asm__(".macro lock instruction:vararg\n\t"
	"pushfl\n\t"
	"leal 4(%esp), %esp\n\t"
	".byte 0xf0\n\t"
	"\\instruction\n\t"
	".endm");
#endif
