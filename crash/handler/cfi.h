/**
 * One step from a frame to its caller by call frame information: .eh_frame of the loaded
 * modules, read in place. Allocates nothing, takes no lock, asks no loader.
 */
#pragma once
#include "crash/handler/module.h"
#include "crash/handler/regs.h"

/* A frame of a walk. */
struct kn_cursor {
    uint64_t r[KN_N_REGISTERS]; /* as kn_regs_get() counts */
    bool exact; /* pc is the instruction itself: the innermost frame, or one that a signal
                   interrupted. Else it is where a call returns to */
};

enum kn_cfi {
    KN_CFI_NONE, /* no information, or none that can be followed; the cursor is as it was
                  */
    KN_CFI_STEP,
    KN_CFI_END, /* the information says that this is the outermost frame */
};

/**
 * Forget what earlier steps kept.
 *
 * Context: signal handler.
 */
void kn_cfi_forget(void);

/**
 * Context: signal handler. One walk at a time.
 * @m  the module that holds the cursor's pc
 * Source: DWARF 5 section 6.4; LSB 5.0 on .eh_frame and .eh_frame_hdr.
 */
enum kn_cfi kn_cfi_step(const struct kn_module *m, struct kn_cursor *cursor);
