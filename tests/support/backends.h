/* backends.h: for tests of what is above the ops: the backends that they go over, in turn.
 *
 * These are the host's. With GPTPIPE_TEST_CUDA it is CUDA's alone: the same test_NAME.c, linked with the simulator, is
 * cusim_NAME; so nothing in it may touch a backend's memory but by upload and download. */
#ifndef GPTPIPE_TEST_BACKENDS_H
#define GPTPIPE_TEST_BACKENDS_H

static const char *const backends[] = {
#ifdef GPTPIPE_TEST_CUDA
    "cuda",
#else
    "ref",
    "cpu",
#endif
};

#endif
