/* tensorboard.h: TensorBoard's event files, as far as scalars need them.
 *
 *     gp_buf b = {0};
 *     gp_events_begin(&b, wall_time);                                        // once, at the file's start
 *     gp_events_add(&b, wall_time, step, &(gp_scalar){"loss", 1.93}, 1);     // then one record a step
 *
 * A record is u64 length, u32 masked CRC-32C of the length, an Event as protobuf (tensorflow/core/util/event.proto),
 * u32 masked CRC-32C of that; little-endian. wall_time: seconds since 1970. */
#ifndef GP_TRAIN_REPORT_TENSORBOARD_H
#define GP_TRAIN_REPORT_TENSORBOARD_H

#include "base/base.h"

typedef struct gp_scalar {
    const char *tag;
    double value; /* stored as a float */
} gp_scalar;

void gp_events_begin(gp_buf *b, double wall_time);
void gp_events_add(gp_buf *b, double wall_time, int64_t step, const gp_scalar *scalars, int count);

/* Bytes of a file before its first record that is damaged (then *damaged), incomplete or of a later step. */
size_t gp_events_until(const char *data, size_t size, int64_t step, bool *damaged);

#endif
