#include "crash/cpu.h"

#include <cpuid.h>
#include <sys/platform/x86.h>

enum {
    VENDOR_LEAF = 0,
    FAMILY_EXTENDED = 15, /* the base family that has more of it elsewhere */
    FAMILY_6 = 6,
};

void kn_cpu_describe(struct knell_md_system_info *ret)
{
    /* From libc, which has asked: a hypervisor makes every cpuid cost. */
    const unsigned *leaf = __x86_get_cpuid_feature_leaf(CPUID_INDEX_1)->cpuid_array;
    const uint32_t signature = leaf[0];
    uint32_t max, family = signature >> 8 & 15, model = signature >> 4 & 15;
    if (family == FAMILY_6 || family == FAMILY_EXTENDED)
        model |= (signature >> 16 & 15) << 4;
    if (family == FAMILY_EXTENDED)
        family += signature >> 20 & 0xff;
    ret->cpu_level = (uint16_t)family;
    ret->cpu_revision = (uint16_t)(model << 8 | (signature & 15));
    /* The vendor's twelve letters are in ebx, edx, ecx. */
    __cpuid(VENDOR_LEAF, max, ret->cpu[0], ret->cpu[2], ret->cpu[1]);
    (void)max;
    ret->cpu[3] = signature;
    ret->cpu[4] = leaf[3];
}
