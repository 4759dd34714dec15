/* What a worker that was taken over might leave in its answer. */
#include "fuzz.h"
#include "uploader/deliver/frame.h"
#include "uploader/worker/wire.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct worker_result r;
    int status = 0, fd = memfd_create("answer", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, n) != (ssize_t)n)
        abort();
    if (!wire_read(fd, &status, &r)) {
        const struct frame_head head = {
            .event_id = "00112233445566778899aabbccddeeff", .sent_at_ms = 1};
        uint8_t *envelope;
        size_t n_envelope;
        (void)frame_attachment_bytes(r.items, r.n_items);
        (void)frame_kinds(r.items, r.n_items);
        if (!frame_envelope(&head, r.items, r.n_items, 1u << HINT_ATTACHMENT, NULL,
                &envelope, &n_envelope))
            free(envelope);
        worker_result_done(&r);
    }
    close(fd);
    return 0;
}
