/**
 * What kind of CPU this is, as a minidump says it. One cpu_<arch>.c each.
 */
#pragma once
#include <knell/minidump.h>

/**
 * Fill cpu_level, cpu_revision and cpu; the rest is left alone. What cannot be known
 * stays 0.
 *
 * Context: any; some microseconds under a hypervisor.
 * Source: MINIDUMP_SYSTEM_INFO, and what Breakpad's readers make of it on Linux: family,
 * model << 8 | stepping, then vendor, signature and features of x86, or MIDR and hwcap of
 * ARM.
 */
void kn_cpu_describe(struct knell_md_system_info *ret);
