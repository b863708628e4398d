/* protobuf.h: the fields of a message in Protocol Buffers' wire format, one after the other. Nothing is copied.
 *
 *     gp_proto p = gp_proto_of(data, size);
 *     gp_proto_field f;
 *     while ((rc = gp_proto_next(&p, &f)) > 0)
 *         if (f.number == 4 && f.wire == GP_PROTO_VARINT)
 *             offset = (int64_t)f.value;
 *     if (rc) ...the message is malformed...
 *
 * A field is a varint of number << 3 | wire type, then its value. Numbers that a reader does not know are passed over,
 * as Protocol Buffers have it. Groups (wire types 3 and 4), which proto3 has not, are malformed. */
#ifndef GP_CHECKPOINT_TENSORFLOW_PROTOBUF_H
#define GP_CHECKPOINT_TENSORFLOW_PROTOBUF_H

#include "base/base.h"

enum { GP_PROTO_VARINT = 0, GP_PROTO_FIXED64 = 1, GP_PROTO_BYTES = 2, GP_PROTO_FIXED32 = 5 };

typedef struct gp_proto {
    const uint8_t *at, *end;
} gp_proto;

typedef struct gp_proto_field {
    uint64_t number;
    int wire;
    uint64_t value;  /* of numbers */
    gp_proto nested; /* of GP_PROTO_BYTES: the bytes, or the message in them */
} gp_proto_field;

static inline gp_proto gp_proto_of(const void *data, size_t size)
{
    return (gp_proto){data, (const uint8_t *)data + size};
}

/* Seven bits a byte, lowest first, the top bit set in all but the last, at most 64 bits. false: it does not end. */
bool gp_proto_varint(gp_proto *p, uint64_t *x);

/* 1: a field; 0: the end; -1: malformed. */
int gp_proto_next(gp_proto *p, gp_proto_field *f);

#endif
