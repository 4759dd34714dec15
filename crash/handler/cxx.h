/**
 * The C++ exception that nobody caught: its type, and what() of it. Runs the program's
 * own code, hence after the last commit that matters.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Append KNELL_STREAM_CXX_EXCEPTION when abort(3) came from std::terminate().
 *
 * Context: signal handler, on the thread that threw.
 */
void kn_cxx_put(struct kn_capture *c);
