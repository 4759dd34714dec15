/* The worker in a program of its own (worker/server.h): what knell-upload uses. */
#pragma once
#include "uploader/pipeline.h"
#include "uploader/worker/run.h"

#include <sys/types.h>

struct worker_program {
    const struct config *config;
    const volatile sig_atomic_t *stop; /* not 0: read nothing more of dead processes */
    pid_t pid;                         /* 0: not started, or gone */
    int socket, answer;
    uint64_t deadline_ms; /* of the job in hand */
};

/* Nothing is started before the first report. @ctx  lives as long as the result */
struct pipeline_worker worker_program_init(struct worker_program *ctx,
    const struct config *config, const volatile sig_atomic_t *stop);
/* End the program. */
void worker_program_done(struct worker_program *w);
