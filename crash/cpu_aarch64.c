#include "crash/cpu.h"

#include <sys/auxv.h>

enum {
    HWCAP_CAN_READ_ID = 1 << 11, /* HWCAP_CPUID: the kernel lets programs read MIDR_EL1 */
    ARMV8 = 8,
};

void kn_cpu_describe(struct knell_md_system_info *ret)
{
    unsigned long capabilities = getauxval(AT_HWCAP);
    uint64_t id = 0;
    if (capabilities & HWCAP_CAN_READ_ID)
        __asm__("mrs %0, midr_el1" : "=r"(id));
    ret->cpu_level = ARMV8;
    /* Variant and revision: r0p3 is 0x003. */
    ret->cpu_revision = (uint16_t)((id >> 20 & 15) << 8 | (id & 15));
    ret->cpu[0] = (uint32_t)id;
    ret->cpu[1] = (uint32_t)capabilities;
}
