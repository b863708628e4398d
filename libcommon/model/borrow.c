/* borrow.c: rows of the table of parameters that a model reads in somebody else's memory, a checkpoint's file. */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

bool gp_model_is_on_host(const gp_model *m)
{
    return !m->be->device_memory;
}

/* Whether the model reads the row as it is in the host's memory: in fp32. */
static bool is_plain(const gp_model *m, const gp_param *row)
{
    return row->dtype == GP_F32 && row->format == GP_WEIGHTS_FP32 && gp_model_is_on_host(m);
}

/* In m->borrowed, which exists; the row may be another table's, of a checkpoint. */
static const float **place_of(const gp_model *m, const gp_param *row)
{
    return &m->borrowed[gp_params_row(&m->params, row->role, row->index) - m->params.rows];
}

const float *gp_model_row_borrowed(const gp_model *m, const gp_param *row)
{
    return m->borrowed ? *place_of(m, row) : NULL;
}

bool gp_model_can_borrow(const gp_model *m, const gp_param *row, const void *data)
{
    return is_plain(m, row) && !m->trains && !((uintptr_t)data % sizeof(float));
}

bool gp_model_row_borrow(gp_model *m, const gp_param *row, const float *data)
{
    int64_t bytes = row->count * (int64_t)sizeof *data;
    if (!gp_model_can_borrow(m, row, data))
        return false;
    if (!m->borrowed)
        m->borrowed = gp_calloc((size_t)m->params.count, sizeof(float *));
    const float **place = place_of(m, row);
    m->borrowed_bytes += *place ? 0 : bytes;
    *place = data;
    gp_model_bind(m);
    return true;
}

void gp_model_row_own(gp_model *m, const gp_param *row)
{
    const float *data = gp_model_row_borrowed(m, row);
    size_t bytes = (size_t)row->count * sizeof *data;
    if (!data)
        return;
    *place_of(m, row) = NULL;
    m->borrowed_bytes -= (int64_t)bytes;
    memcpy(m->p + row->at, data, bytes);
    gp_model_bind(m);
}

float *gp_model_lines_place(const gp_model *m, const gp_param *row, int64_t first)
{
    return is_plain(m, row) && !gp_model_row_borrowed(m, row) ? (float *)(void *)(m->p + row->at) + first * row->dim[1]
                                                              : NULL;
}

void gp_model_add_lender(gp_model *m, gp_lender lender)
{
    m->lenders = gp_realloc(m->lenders, (size_t)m->lender_count + 1, sizeof *m->lenders);
    m->lenders[m->lender_count++] = lender;
}

void gp_model_return_rows(gp_model *m)
{
    for (int i = 0; i < m->lender_count; i++)
        m->lenders[i].release(m->lenders[i].self);
    free(m->lenders);
    free(m->borrowed);
}
