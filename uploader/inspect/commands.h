/** The commands of `knell`: each returns an exit code. */
#pragma once
#include "uploader/inspect/session.h"

int command_list(struct session *s);
int command_show(struct session *s); /* also stack, threads and crumbs */
