/* protobuf.c: see protobuf.h. */
#include "checkpoint/tensorflow/protobuf.h"

bool gp_proto_varint(gp_proto *p, uint64_t *x)
{
    *x = 0;
    for (int shift = 0; shift < 64 && p->at < p->end; shift += 7) {
        uint8_t byte = *p->at++;
        if (shift == 63 && byte > 1)
            return false;
        *x |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool fixed(gp_proto *p, int bytes, uint64_t *x)
{
    if (p->end - p->at < bytes)
        return false;
    *x = 0;
    for (int i = 0; i < bytes; i++)
        *x |= (uint64_t)*p->at++ << 8 * i;
    return true;
}

int gp_proto_next(gp_proto *p, gp_proto_field *f)
{
    uint64_t key;
    bool whole = false;
    if (p->at == p->end)
        return 0;
    if (!gp_proto_varint(p, &key))
        return -1;
    *f = (gp_proto_field){.number = key >> 3, .wire = (int)(key & 7)};
    switch (f->wire) {
    case GP_PROTO_VARINT:
        whole = gp_proto_varint(p, &f->value);
        break;
    case GP_PROTO_FIXED64:
        whole = fixed(p, 8, &f->value);
        break;
    case GP_PROTO_FIXED32:
        whole = fixed(p, 4, &f->value);
        break;
    case GP_PROTO_BYTES:
        whole = gp_proto_varint(p, &f->value) && f->value <= (uint64_t)(p->end - p->at);
        if (whole) {
            f->nested = gp_proto_of(p->at, (size_t)f->value);
            p->at += f->value;
        }
        break;
    default:
        break;
    }
    return whole && f->number ? 1 : -1;
}
