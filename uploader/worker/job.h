/**
 * What goes over the socket between knell-upload and the program that it keeps for its
 * workers (server.h). Both are the same file, so plain structs will do.
 *
 * First the settings, then one job at a time: the request with the report and a memfd
 * for the answer (wire.h), the reply when the job's child has ended.
 */
#pragma once
#include "uploader/config.h"
#include "uploader/worker/chore.h"

struct job_request {
    struct worker_options options; /* its pointers are the receiver's to set */
    uint64_t n_report;
    bool is_chore; /* the bytes are no report, and this is done with them: */
    struct worker_chore chore;
};

/**
 * The sections of the configuration that speak of events. No secret is in them.
 *
 * Returns 0 or a negative errno.
 */
int job_send_settings(int socket, const struct config *config) MUST_CHECK;
/* @ret  zeroed by the caller; free with config_done() of a set around it
 * Returns 0, -ENODATA when the other side is gone, -EBADMSG or -ENOMEM. */
int job_receive_settings(int socket, struct config *ret) MUST_CHECK;

/**
 * @report  copied
 * @answer  a memfd of the caller's
 */
int job_send(int socket, const uint8_t *report, size_t n,
    const struct worker_options *options, int answer) MUST_CHECK;
/* Likewise. */
int job_send_chore(int socket, const uint8_t *bytes, size_t n,
    const struct worker_chore *chore, int answer) MUST_CHECK;
/* @ret_report, @ret_answer  descriptors, the caller's
 * Returns 0, -ENODATA when the other side is gone, else a negative errno. */
int job_receive(
    int socket, struct job_request *ret, int *ret_report, int *ret_answer) MUST_CHECK;

int job_send_end(int socket, const struct worker_end *end) MUST_CHECK;
/* Does not wait. Returns 0, -EAGAIN, -ENODATA when the other side is gone. */
int job_receive_end(int socket, struct worker_end *ret) MUST_CHECK;
