/* stream_check.c: see stream_check.h. */
#include "train/stream_check.h"

#include <stdlib.h>
#include <time.h>

#include "data/tokens_format.h"

static int check_streams(gp_stream_check *c, bool with_crc)
{
    const gp_mixture *both[] = {c->train, c->val};
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < both[k]->stream_count; i++)
            if ((gp_tokens_get_info(both[k]->streams[i])->format == GP_STREAM_TOK) == with_crc &&
                gp_tokens_check(both[k]->streams[i], &c->stop))
                return -1;
    return 0;
}

static void *work(void *self)
{
    gp_stream_check *c = self;
    int rc = check_streams(c, false);
    c->raw_done = !rc;
    if (rc || check_streams(c, true))
        c->why = gp_strdup(gp_error());
    c->done = true;
    return NULL;
}

void gp_stream_check_begin(gp_stream_check *c, const gp_mixture *train, const gp_mixture *val)
{
    c->train = train;
    c->val = val;
    c->begun = !pthread_create(&c->thread, NULL, work, c);
    if (!c->begun) /* without a thread: check at once */
        work(c);
}

int gp_stream_check_result(gp_stream_check *c)
{
    return c->done && c->why ? fail("%s", c->why) : 0;
}

int gp_stream_check_wait(gp_stream_check *c, bool raw_only, int (*interrupted)(void))
{
    while (c->begun && !c->done && !(raw_only && c->raw_done) && !interrupted())
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    return gp_stream_check_result(c);
}

void gp_stream_check_end(gp_stream_check *c)
{
    c->stop = true;
    if (c->begun)
        pthread_join(c->thread, NULL);
    free(c->why);
    *c = (gp_stream_check){0};
}
