/** The commands of `knell`: each returns an exit code. */
#pragma once
#include "uploader/inspect/session.h"

int command_list(struct session *s);
int command_show(struct session *s); /* also stack, threads and crumbs */
int command_top(struct session *s);
int command_dump(struct session *s);
int command_status(struct session *s);
int command_log(struct session *s);
int command_upload(struct session *s);
int command_move(struct session *s); /* retry, hold, release and rm */
int command_clean(struct session *s);
int command_consent(struct session *s);
int command_config(struct session *s);
int command_watch(struct session *s);
int command_export(struct session *s);
int command_import(struct session *s);
int command_verify(struct session *s);
int command_debug(struct session *s);
int command_completion(struct session *s);
int command_report(struct session *s);
