/* tensorboard.c: see tensorboard.h. Protobuf's wire format: a field is key = number << 3 | type, then its value; type 0
 * is a varint, 1 eight bytes, 2 a length and as many bytes, 5 four bytes. */
#include "train/report/tensorboard.h"
#include "base/file.h"
#include "train/report/report.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 5 };

/* Event's fields, Summary's, and Summary.Value's */
enum { WALL_TIME = 1, STEP = 2, FILE_VERSION = 3, SUMMARY = 5 };
enum { VALUE = 1 };
enum { TAG = 1, SIMPLE_VALUE = 2 };

enum { BEFORE = 12, AFTER = 4 }; /* a record's bytes around its event */

static uint64_t get_number(const char *data, int bytes)
{
    uint64_t x = 0;
    for (int i = 0; i < bytes; i++)
        x |= (uint64_t)(uint8_t)data[i] << 8 * i;
    return x;
}

static void put_varint(gp_buf *b, uint64_t x)
{
    for (; x >= 0x80; x >>= 7)
        gp_buf_number(b, (x & 0x7f) | 0x80, 1);
    gp_buf_number(b, x, 1);
}

static void put_key(gp_buf *b, int field, int type)
{
    put_varint(b, (uint64_t)(field << 3 | type));
}

static void put_bytes(gp_buf *b, int field, const void *data, size_t n)
{
    put_key(b, field, LENGTH);
    put_varint(b, n);
    gp_buf_add(b, data, n);
}

static void put_double(gp_buf *b, int field, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    put_key(b, field, EIGHT_BYTES);
    gp_buf_number(b, bits, 8);
}

static void put_float(gp_buf *b, int field, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    put_key(b, field, FOUR_BYTES);
    gp_buf_number(b, bits, 4);
}

/* TFRecord masks its CRCs, because a CRC of data that contains its own CRC is degenerate. */
static uint32_t masked_crc(const void *data, size_t n)
{
    uint32_t crc = gp_crc32c(0, data, n);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void put_record(gp_buf *b, const gp_buf *event)
{
    gp_buf length = {0};
    gp_buf_number(&length, event->len, 8);
    gp_buf_add(b, length.data, length.len);
    gp_buf_number(b, masked_crc(length.data, length.len), 4);
    gp_buf_add(b, event->data, event->len);
    gp_buf_number(b, masked_crc(event->data, event->len), 4);
    gp_buf_release(&length);
}

void gp_events_begin(gp_buf *b, double wall_time)
{
    static const char version[] = "brain.Event:2";
    gp_buf event = {0};
    put_double(&event, WALL_TIME, wall_time);
    put_bytes(&event, FILE_VERSION, version, strlen(version));
    put_record(b, &event);
    gp_buf_release(&event);
}

void gp_events_add(gp_buf *b, double wall_time, int64_t step, const gp_scalar *scalars, int count)
{
    gp_buf event = {0}, summary = {0};
    for (int i = 0; i < count; i++) {
        gp_buf value = {0};
        put_bytes(&value, TAG, scalars[i].tag, strlen(scalars[i].tag));
        put_float(&value, SIMPLE_VALUE, (float)scalars[i].value);
        put_bytes(&summary, VALUE, value.data, value.len);
        gp_buf_release(&value);
    }
    put_double(&event, WALL_TIME, wall_time);
    put_key(&event, STEP, VARINT);
    put_varint(&event, (uint64_t)step);
    put_bytes(&event, SUMMARY, summary.data, summary.len);
    put_record(b, &event);
    gp_buf_release(&summary);
    gp_buf_release(&event);
}

/* The step of an event as it is written here: wall time, then the step, if there is one. */
static int64_t step_of(const char *event, size_t n)
{
    enum { AT = 9 };
    uint64_t step = 0;
    if (n <= AT || event[AT] != (STEP << 3 | VARINT))
        return 0;
    for (size_t i = AT + 1, shift = 0; i < n && shift < 63; i++, shift += 7) {
        step |= (uint64_t)(event[i] & 0x7f) << shift;
        if (!(event[i] & 0x80))
            break;
    }
    return (int64_t)step;
}

size_t gp_events_until(const char *data, size_t size, int64_t step, bool *damaged)
{
    size_t at = 0;
    *damaged = false;
    while (size - at >= BEFORE + AFTER) {
        const char *record = data + at;
        uint64_t n = get_number(record, 8);
        *damaged = masked_crc(record, 8) != get_number(record + 8, 4);
        if (*damaged || n > size - at - BEFORE - AFTER) /* or it is half a record */
            break;
        *damaged = masked_crc(record + BEFORE, (size_t)n) != get_number(record + BEFORE + n, 4);
        if (*damaged || step_of(record + BEFORE, (size_t)n) > step)
            break;
        at += BEFORE + (size_t)n + AFTER;
    }
    return at;
}

/* ---- a run's file ---------------------------------------------------------------------------------------- */

void gp_report_events(gp_report *r, int64_t step, const gp_scalar *scalars, int count)
{
    struct timespec now;
    gp_buf b = {0};
    int64_t size = 0;
    if (!r->run || !r->o->tensorboard)
        return;
    clock_gettime(CLOCK_REALTIME, &now); /* for the plot's time axis; nothing here depends on it */
    double wall_time = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    if (!r->events.records && !gp_run_size(r->run, GP_EVENTS_NAME, &size) && !size)
        gp_events_begin(&b, wall_time);
    gp_events_add(&b, wall_time, step, scalars, count);
    gp_report_record(r, GP_EVENTS_NAME, &r->events, &b);
    gp_buf_release(&b);
}

int gp_report_cut_events(gp_report *r, gp_run *run, int64_t step)
{
    gp_map map;
    bool damaged;
    char *aside = NULL;
    if (gp_run_map(run, GP_EVENTS_NAME, &map))
        return -1;
    int64_t kept = (int64_t)gp_events_until(map.data, map.size, step, &damaged);
    gp_map_close(&map);
    int rc = gp_run_cut(run, GP_EVENTS_NAME, kept, damaged ? &aside : NULL);
    if (aside)
        gp_report_warn(r, "%s/%s: a record at byte %lld is damaged; it and what follows it are kept as %s",
                       gp_run_path(run), GP_EVENTS_NAME, (long long)kept, aside);
    free(aside);
    return rc;
}
