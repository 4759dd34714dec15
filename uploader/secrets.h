/**
 * Keys and passwords that no child may have: the worker reads hostile bytes, and what it
 * does not hold it cannot be made to tell. Registered memory is wiped in every forked
 * child before anything else runs there.
 */
#pragma once
#include <stddef.h>

/* @text  stays where it is until the process ends or secrets_forget(); NULL is fine */
void secrets_add(char *text);
/* Destinations and keys in the environment of this process. */
void secrets_add_environment(void);
void secrets_forget(void);
