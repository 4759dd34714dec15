#include "uploader/report/notes.h"

#include <stdio.h>
#include <string.h>

const char *notes_step(uint32_t step)
{
    static const char *const names[] = {[KNELL_STEP_WORDS] = "last words",
        [KNELL_STEP_OPEN] = "opening the report",
        [KNELL_STEP_MODULES] = "checking the modules",
        [KNELL_STEP_MAPS] = "reading the mappings",
        [KNELL_STEP_CRASHED] = "the crashed thread",
        [KNELL_STEP_SIGNAL] = "the signal",
        [KNELL_STEP_MODULE_LIST] = "listing the modules",
        [KNELL_STEP_SYSTEM] = "system and process",
        [KNELL_STEP_JOURNAL] = "the journal",
        [KNELL_STEP_MESSAGE] = "the message of abort",
        [KNELL_STEP_MEMORY] = "memory around the registers",
        [KNELL_STEP_COMMIT_1] = "the first commit",
        [KNELL_STEP_FREEZE] = "stopping the other threads",
        [KNELL_STEP_THREADS] = "the other threads",
        [KNELL_STEP_TEXTS] = "texts of /proc",
        [KNELL_STEP_COMMIT_2] = "the second commit",
        [KNELL_STEP_FRAMES] = "walking the stack",
        [KNELL_STEP_CXX] = "the C++ exception",
        [KNELL_STEP_COMMIT_3] = "the last commit",
        [KNELL_STEP_PUBLISH] = "publishing the report"};
    const size_t n = sizeof names / sizeof *names;
    return step < n && names[step] ? names[step] : "a later step";
}

void notes_text(const struct knell_capture_note *note, char *out, size_t n)
{
    const char *step = notes_step(note->step);
    const char *name;
    if (note->reason == KNELL_NOTE_ENDED)
        (void)snprintf(out, n, "%s: the capture ended here", step);
    else if (note->reason == KNELL_NOTE_DEADLINE)
        (void)snprintf(out, n, "%s: cut off by the deadline", step);
    else if (note->reason >= KNELL_NOTE_FAULT && note->reason < KNELL_NOTE_FAULT + 65)
        (void)snprintf(out, n, "%s: faulted (SIG%s)", step,
            (name = sigabbrev_np(note->reason - KNELL_NOTE_FAULT)) ? name : "?");
    else if (note->reason)
        (void)snprintf(out, n, "%s: %s", step,
            (name = strerrorname_np(note->reason)) ? name : "unknown error");
    else if (note->count)
        (void)snprintf(out, n, "%s: %u did not fit", step, note->count);
    else
        (void)snprintf(out, n, "%s: incomplete", step);
}
