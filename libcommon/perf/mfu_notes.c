/* mfu_notes.c: what is said of a share above 100%: what it is a share of is wrong, or was not what served. */
#include "perf/mfu.h"

static const char *note_of_ops(const gp_mfu *r, const gp_pass_result *p)
{
    for (int i = 0; i < p->profile.count; i++)
        if (gp_mfu_of_bound(r, &p->profile.row[i]) > 1)
            return "`of it` above 100%: caches served the bytes, or the machine was slower while its peak and "
                   "its bandwidth were measured";
    return NULL;
}

const char *gp_mfu_note(const gp_mfu *r, const gp_pass_result *p, gp_mfu_share share)
{
    const gp_speed *s = &p->speed;
    switch (share) {
    case GP_SHARE_PEAK:
        return gp_mfu_of(s, r->peak) <= 1 ? NULL
               : r->peak_given            ? "above 100%: the peak is wrong, --peak is too low"
                               : "above 100%: the peak is wrong, the machine was slower while it was measured";
    case GP_SHARE_VENDOR:
        return r->vendor_peak > 0 && gp_mfu_of(s, r->vendor_peak) > 1
                   ? "above 100% of the vendor's: that figure is not this machine's"
                   : NULL;
    case GP_SHARE_BANDWIDTH:
        return s->tok_s * s->bytes_token > r->bandwidth
                   ? "above 100%: the caches serve them, or memory was slower while it was measured"
                   : NULL;
    case GP_SHARE_BOUND:
        return note_of_ops(r, p);
    case GP_SHARES:
        break;
    }
    return NULL;
}
