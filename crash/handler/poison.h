/* Last #include of every file here: names a signal handler must not call are errors. */
#pragma once
#pragma GCC poison malloc calloc realloc free strdup asprintf vasprintf
#pragma GCC poison printf fprintf sprintf snprintf vsnprintf dprintf puts fputs fopen
#pragma GCC poison strerror perror getenv setenv localtime gmtime strftime syslog
#pragma GCC poison pthread_mutex_lock pthread_self pthread_create dlopen dlsym
#pragma GCC poison dl_iterate_phdr exit abort fork waitpid qsort strtok setjmp longjmp
