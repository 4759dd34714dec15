/** The one command that needs libknell itself: not in the library, but in the program. */
#pragma once
#include "uploader/inspect/session.h"

int command_test(struct session *s);
