/* test.h: what every CMocka test needs, in the order CMocka wants it. */
#ifndef GPTPIPE_TEST_H
#define GPTPIPE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/file.h"

#undef fail /* ours; CMocka has one of its own */
#include <cmocka.h>

#endif
