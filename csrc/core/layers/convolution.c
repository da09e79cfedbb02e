/* Convolution: out[n, f] = sum over c of W[f, c] slid over x[n, c], + b[f]     (book: section 7.4)
 *
 * NumPy twin:   col = im2col(x);  out = (col @ W.reshape(FN, -1).T + b), axes to n f oh ow
 *               db, dW = dout.sum((0, 2, 3)), (dout.T @ col);  dx = col2im(dout @ W)
 *
 * Shapes:       x (n, c, h, w), W (f, c, fh, fw), b (f), out (n, f, oh, ow)
 *
 * One image at a time, its channels last and its padding around it: the kernels want it so (kernels/convolution.inc).
 */
#ifdef real

/* W (f, c, fh fw) with its filters last (fh fw, c, f), or with its channels last (f, fh fw, c); and back. */
static void REAL(turn_filters_last)(real *last, const real *w, const bd_window *s, bd_size f,
                                    const REAL(bd_kernels) * k)
{
    for (bd_size c = 0, area = s->fh * s->fw; c < s->c; c++)
        k->transpose(last + c * f, s->c * f, w + c * area, s->c * area, f, area);
}

static void REAL(turn_filters_first)(real *w, const real *last, const bd_window *s, bd_size f, bd_range channels,
                                     const REAL(bd_kernels) * k)
{
    for (bd_size c = channels.from, area = s->fh * s->fw; c < channels.from + channels.count; c++)
        k->transpose(w + c * area, s->c * area, last + c * f, s->c * f, area, f);
}

static void REAL(turn_channels_last)(real *last, const real *w, const bd_window *s, bd_size f,
                                     const REAL(bd_kernels) * k)
{
    for (bd_size i = 0, area = s->fh * s->fw; i < f; i++)
        k->transpose(last + i * area * s->c, s->c, w + i * area * s->c, area, s->c, area);
}

static void REAL(turn_channels_first)(real *w, const real *last, const bd_window *s, bd_range filters,
                                      const REAL(bd_kernels) * k)
{
    for (bd_size i = filters.from, area = s->fh * s->fw; i < filters.from + filters.count; i++)
        k->transpose(w + i * area * s->c, area, last + i * area * s->c, s->c, area, s->c);
}

/* From (fh fw, c, f) to (fh fw, f, c): what takes dout back to x. For stride 1 the window is turned round. */
static void REAL(turn_back)(real *out, const real *last, const bd_window *s, bd_size f, const REAL(bd_kernels) * k)
{
    const bd_size area = s->fh * s->fw, size = s->c * f;

    for (bd_size i = 0; i < area; i++)
        k->transpose(out + (s->stride == 1 ? area - 1 - i : i) * size, s->c, last + i * size, f, s->c, f);
}

/* Copies image (h, w, c) to the place (top, left) of frame (frame_h, frame_w, c), as far as it lies inside. Is what was
 * copied tame? */
static bool REAL(put)(real *frame, bd_size frame_h, bd_size frame_w, const real *image, bd_size h, bd_size w, bd_size c,
                      bd_size top, bd_size left, const REAL(bd_kernels) * k)
{
    const bd_size y0 = top < 0 ? -top : 0, y1 = top + h > frame_h ? frame_h - top : h;
    const bd_size x0 = left < 0 ? -left : 0, x1 = left + w > frame_w ? frame_w - left : w;

    bool tame = true;

    for (bd_size y = y0; y < y1 && x0 < x1; y++)
        tame &=
            k->copy_below(frame + ((top + y) * frame_w + left + x0) * c, image + (y * w + x0) * c, (x1 - x0) * c, TAME);
    return tame;
}

static void REAL(clear_padding)(real *frame, const bd_window *framed, bd_size pad)
{
    const bd_size row = framed->w * framed->c, side = pad * framed->c, first = pad * row + side;

    if (pad == 0)
        return;
    memset(frame, 0, (size_t)first * sizeof *frame);
    frame += pad * row - side;
    for (bd_size y = pad + 1; y < framed->h - pad; y++) /* the right side of a row, and the left of the next */
        memset(frame += row, 0, (size_t)(2 * side) * sizeof *frame);
    memset(frame + row, 0, (size_t)first * sizeof *frame);
}

/* Copies what lies inside the padding of frame to dx, 0 where mask is given and not above 0. */
static void REAL(unframe)(real *dx, const real *frame, const bd_window *s, const real *mask, const REAL(bd_kernels) * k)
{
    const bd_size row = s->w * s->c;

    for (bd_size y = 0; y < s->h; y++) {
        const real *from = frame + ((y + s->pad) * (s->w + 2 * s->pad) + s->pad) * s->c;
        if (mask)
            k->relu_backward(dx + y * row, from, mask + y * row, row);
        else
            memcpy(dx + y * row, from, (size_t)row * sizeof *dx);
    }
}

static void REAL(pieces_of)(real *piece[PIECES], real *work, const bd_window *s, bd_size f)
{
    bd_size size[PIECES];

    (void)sizes_of_pieces(size, s, f);
    for (int i = 0; i < PIECES; work += size[i++])
        piece[i] = work;
}

/* The filters as Winograd's method wants them, or NULL if some are not tame: made in `room`, or of parameters that stay
 * the same once for all runs. */
static real *REAL(filters_of)(const bd_io *io, real *room, bd_size c, bd_size f)
{
    const REAL(bd_kernels) *k = io->kernels;
    real *tame = io->prepared, *filters = tame ? tame + PREPARED_FIRST : room;
    const bool mine = !tame || (!io->is_prepared && bd_is_last(io));
    const bool are_tame = mine && k->all_below(io->param[W], 9 * c * f, TAME);

    if (are_tame)
        k->winograd_filters(filters, io->param[W], c, f, 9, 9 * c, false);
    if (!tame)
        return are_tame ? filters : NULL;
    if (mine)
        *tame = are_tame;
    if (!io->is_prepared)
        bd_meet(io);
    return *tame != 0 ? filters : NULL;
}

/* The parts share the images; or, if there are too few, the rows of each: two by two, as a pool or Winograd's method
 * takes them. */
static void REAL(convolution_forward)(const bd_layer *layer, const bd_io *io)
{
    const bd_size f = layer->hyper[FILTERS].i, n = io->shape->dim[0];
    const bd_window s = window_of(layer, io->shape), framed = frame_of(&s);
    const bd_size area = io->winner ? s.oh / 2 * (s.ow / 2) : s.oh * s.ow, image = s.h * s.w * s.c;
    const bool by_rows = n < io->parts;
    const bd_range images = by_rows ? (bd_range){0, n} : bd_share(io, n, 1);
    const bd_range rows = by_rows ? bd_share(io, s.oh, 2) : (bd_range){0, s.oh};
    const bd_size first = (io->winner ? rows.from / 2 * (s.ow / 2) : rows.from * s.ow) * f; /* of the results */
    const REAL(bd_kernels) *k = io->kernels;
    real *piece[PIECES], *filters = NULL; /* for Winograd's method */
    bd_window mine = framed;

    REAL(pieces_of)(piece, io->work, &s, f);
    if (sizeof(real) == sizeof(float) && winograd_possible(&s, f))
        filters = REAL(filters_of)(io, piece[SQUARES], s.c, f);
    if (!images.count || !rows.count)
        return;
    mine.oh = rows.count;
    mine.h = (rows.count - 1) * s.stride + s.dilation * (s.fh - 1) + 1;
    if (!filters)
        REAL(turn_filters_last)(piece[WEIGHTS], io->param[W], &s, f, k);
    bool turned = !filters;
    REAL(clear_padding)(piece[FRAME], &framed, s.pad);
    for (bd_size i = images.from; i < images.from + images.count; i++) {
        const real *x = (const real *)io->x[0] + i * image;
        real *out = (real *)io->out + i * area * f;
        real *winner = io->winner && io->training ? (real *)io->winner + i * area * f + first : NULL;
        const bool in_place = io->out_last || f == 1;
        real *last = in_place ? out + first : io->winner ? piece[POOLED] : piece[OUT];
        x = REAL(channels_last)(piece[IMAGE], x, s.c, s.h * s.w, io->x_last, k);
        const bool tame = s.pad ? REAL(put)(piece[FRAME], framed.h, framed.w, x, s.h, s.w, s.c, s.pad, s.pad, k)
                                : filters && k->all_below(x, image, TAME);
        if (io->keep_index && rows.from == 0)
            io->keep_index[i] = tame;
        x = (s.pad ? piece[FRAME] : x) + rows.from * s.stride * framed.w * s.c;
        if (filters && tame) {
            k->convolve_winograd(last, x, filters, &mine, f, io->param[B], io->relu_out, NULL, io->winner, winner,
                                 piece[SQUARE_WORK]);
        } else {
            if (!turned)
                REAL(turn_filters_last)(piece[WEIGHTS], io->param[W], &s, f, k);
            turned = true;
            k->convolve(last, x, piece[WEIGHTS], &mine, f, io->param[B], io->relu_out, NULL, io->winner, winner);
        }
        if (!in_place)
            k->transpose(out + first / f, area, last, f, io->winner ? rows.count / 2 * (s.ow / 2) : rows.count * s.ow,
                         f);
    }
}

/* dx (h, w, c) of one image from dout (oh, ow, f), or from `list`; dout_first: the same as (f, oh, ow), or NULL; mask
 * as the kernel's. */
static void REAL(image_gradient)(real *dx, const real *dout, const real *dout_first, const REAL(bd_nonzero) * list,
                                 bool winograd, const real *w, real *piece[PIECES], const bd_window *s, bd_size f,
                                 const real *mask, const REAL(bd_kernels) * k)
{
    const bd_window framed = frame_of(s), back = back_of(s, f);
    real *frame = piece[BACK_FRAME]; /* at first 0 */

    if (s->stride == 1 && !list && !is_thin(s)) { /* what windows over dout give, because every pixel of x has one */
        (void)REAL(put)(frame, back.h, back.w, dout, s->oh, s->ow, f, back_pad(s->fh, s), back_pad(s->fw, s), k);
        if (winograd)
            k->convolve_winograd(dx, frame, piece[SQUARES], &back, s->c, NULL, false, mask, false, NULL,
                                 piece[SQUARE_WORK]);
        else
            k->convolve(dx, frame, piece[WEIGHTS], &back, s->c, NULL, false, mask, false, NULL);
        return;
    }
    memset(frame, 0, (size_t)(framed.h * framed.w * s->c) * sizeof *frame);
    if (list)
        k->convolve_back_sparse(frame, list, piece[WEIGHTS], &framed);
    else if (is_thin(s))
        k->convolve_back_thin(frame, dout_first ? dout_first : dout, dout_first, w, piece[THIN], thin_rows(s), &framed,
                              f);
    else
        k->convolve_back(frame, dout, piece[WEIGHTS], &framed, f);
    REAL(unframe)(dx, frame, s, mask, k);
}

/* A few images tell, the same to all parts. */
static bool REAL(is_mostly_zero)(const bd_io *io, const REAL(bd_kernels) * k)
{
    const bd_size n = io->out_shape->dim[0], image = bd_features(io->out_shape), step = n / LOOKED_AT + 1;
    bd_size count = 0;

    for (bd_size i = 0; i < n; i += step)
        count += k->count_nonzero((const real *)io->dout + i * image, image);
    return count <= (n + step - 1) / step * image / 5 * 2;
}

/* Is it right and worth while to skip what of dout is 0? As it is behind a ReLU and a max pool, where of each square
 * all but one are. Each part looks at its share of x, and the last at W; then they agree, even if somebody writes into
 * these arrays meanwhile. */
static bool REAL(is_sparse)(const bd_io *io, const bd_window *s, bd_size f, const REAL(bd_kernels) * k)
{
    const bd_size image = bd_features(io->shape);
    const bd_range images = bd_share(io, io->shape->dim[0], 1);
    int64_t *agrees = io->common; /* of each part */
    bool sparse = io->winner || s->fw * s->c >= SHORT_RUN;

    if (!list_possible(s, f) || !sparse)
        return false;
    sparse = io->winner || REAL(is_mostly_zero)(io, k);
    for (bd_size i = images.from; sparse && i < images.from + images.count; i++)
        sparse = (io->winner && io->keep_index[i]) || /* inside a net nobody changes x meanwhile */
                 k->all_below((const real *)io->x[0] + i * image, image, (real)INFINITY);
    if (sparse && bd_is_last(io))
        sparse = k->all_below(io->param[W], s->fh * s->fw * s->c * f, (real)INFINITY);
    agrees[io->part] = sparse;
    bd_meet(io);
    for (int i = 0; i < io->parts; i++)
        sparse = sparse && agrees[i];
    return sparse;
}

/* The list of what of dout is not 0, and its sums, from what a pool of squares had of it. */
static void REAL(list_squares)(REAL(bd_nonzero) * list, const real *dout, const real *winner, const bd_io *io,
                               real *piece[PIECES], const bd_window *framed, bd_size f)
{
    const REAL(bd_kernels) *k = io->kernels;
    const bd_size squares = framed->oh / 2 * (framed->ow / 2);
    const real *first = dout, *winner_first = winner;

    if (io->out_last && f > 1) {
        k->transpose(piece[POOLED_FIRST], squares, dout, f, squares, f);
        first = piece[POOLED_FIRST];
    }
    if (f > 1) {
        k->transpose(piece[WINNER_FIRST], squares, winner, f, squares, f);
        winner_first = piece[WINNER_FIRST];
    }
    k->list_winners_of_filters(list, piece[SUMS], first, winner_first, framed, f);
    if (io->dx[0])
        k->list_winners(list, REAL(channels_last)(piece[POOLED], dout, f, squares, io->out_last, k), winner, framed, f);
}

/* Adds what `images` make of dW and db, as the kernels want it, to dw and db; and their dx. `back`: piece[SQUARES] is
 * there for dx. */
static void REAL(images_backward)(const bd_io *io, real *dw, real *db, bd_range images, bool sparse, bool back,
                                  real *piece[PIECES], const bd_window *s, bd_size f)
{
    const bool winograd = sizeof(real) == sizeof(float) && !sparse && winograd_possible(s, f);
    const bd_window framed = frame_of(s), squares = squares_of(s, f);
    const bd_size image = s->h * s->w * s->c, area = s->oh * s->ow;
    const bd_size given = io->winner ? squares.oh * squares.ow : area;
    const REAL(bd_kernels) *k = io->kernels;
    REAL(bd_nonzero)
    list = {.value = piece[VALUES],
            .filter_value = piece[FILTER_VALUES],
            .filter = (int32_t *)piece[INDEX],
            .window = (int32_t *)piece[FILTER_INDEX],
            .window_count = (int32_t *)piece[COUNTS],
            .filter_count = (int32_t *)piece[FILTER_COUNTS]};

    if (winograd)
        memset(piece[PRODUCTS], 0, (size_t)(16 * BD_WINOGRAD_PLANE(s->c * f)) * sizeof(real));
    for (bd_size i = images.from; i < images.from + images.count; i++) {
        const real *x = (const real *)io->x[0] + i * image, *dout = (const real *)io->dout + i * given * f;
        const real *winner = io->winner ? (const real *)io->winner + i * given * f : NULL;
        x = REAL(channels_last)(piece[IMAGE], x, s->c, s->h * s->w, io->x_last, k);
        if (!io->winner || !sparse)
            dout = REAL(channels_last)(piece[io->winner ? POOLED : OUT], dout, f, given, io->out_last, k);
        const bool tame_x = s->pad ? REAL(put)(piece[FRAME], framed.h, framed.w, x, s->h, s->w, s->c, s->pad, s->pad, k)
                                   : winograd && k->all_below(x, image, TAME);
        const real *padded = s->pad ? piece[FRAME] : x;

        /* out = windows of x times W, + b */
        if (sparse && io->winner) {
            REAL(list_squares)(&list, dout, winner, io, piece, &framed, f);
        } else {
            if (io->winner) {
                k->unpool(piece[OUT], dout, winner, &squares);
                dout = piece[OUT];
            }
            if (sparse)
                k->list_nonzero(&list, dout, &framed, f);
        }
        const bool tame = (winograd || back) && k->all_below(dout, area * f, TAME);
        const bool drawn = !sparse && pixels_possible(s, f) &&
                           k->list_pixels(&list, padded, &framed) <= framed.h * framed.w / 5 * 2 &&
                           k->all_below(dout, area * f, (real)INFINITY);
        if (drawn)
            k->convolve_filter_pixels(dw, &list, dout, &framed, f);
        else if (sparse)
            k->convolve_filter_sparse(dw, padded, &list, &framed, f);
        else if (winograd && tame && tame_x)
            k->winograd_products(piece[PRODUCTS], padded, dout, &framed, f, piece[SQUARE_WORK]);
        else
            k->convolve_filter(dw, padded, dout, &framed, f);
        if (!sparse || !io->winner) /* only now: products do not wait for dout as sums do */
            k->sum_rows(piece[SUMS], dout, area, f);
        k->add(db, db, piece[SUMS], f);
        if (io->dx[0]) {
            real *dx = (real *)io->dx[0] + i * image, *to = io->x_last || s->c == 1 ? dx : piece[IMAGE_GRADIENT];
            const real *dout_first = io->winner || io->out_last ? NULL : (const real *)io->dout + i * given * f;
            REAL(image_gradient)(to, dout, dout_first, sparse ? &list : NULL, back && tame, io->param[W], piece, s, f,
                                 io->relu_dx ? x : NULL, k);
            if (to != dx)
                k->transpose(dx, s->h * s->w, to, s->c, s->h * s->w, s->c);
        }
    }
    if (winograd)
        k->winograd_filter_gradient(dw, piece[PRODUCTS], s->c * f);
}

/* sum[range] = the sum of it over `count` arrays, `stride` apart */
static void REAL(sum_arrays)(real *sum, const real *array, bd_size stride, bd_size count, bd_range range,
                             const REAL(bd_kernels) * k)
{
    memcpy(sum + range.from, array + range.from, (size_t)range.count * sizeof *sum);
    for (bd_size i = 1; i < count; i++)
        k->add(sum + range.from, sum + range.from, array + i * stride + range.from, range.count);
}

/* dW and db are summed over the images of a bunch, and then over the bunches: however many parts there are, the same.
 */
static void REAL(convolution_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_size f = layer->hyper[FILTERS].i, n = io->shape->dim[0];
    const bd_window s = window_of(layer, io->shape), framed = frame_of(&s), back = back_of(&s, f);
    const bd_size size = s.fh * s.fw * s.c * f, bunches = bunches_of(n, size), stride = bunch_size(size, f);
    const bd_range mine = bd_share(io, bunches, 1);
    const REAL(bd_kernels) *k = io->kernels;
    const bool sparse = REAL(is_sparse)(io, &s, f, k);
    real *piece[PIECES], *sums = (real *)((int64_t *)io->common + BD_MOST_THREADS);

    REAL(pieces_of)(piece, io->work, &s, f);
    if (io->dx[0] && sparse && mine.count) {
        REAL(turn_channels_last)(piece[WEIGHTS], io->param[W], &s, f, k);
    } else if (io->dx[0] && mine.count) {
        REAL(turn_filters_last)(piece[GRADIENT], io->param[W], &s, f, k);
        REAL(turn_back)(piece[WEIGHTS], piece[GRADIENT], &s, f, k);
    }
    const bool winograd = sizeof(real) == sizeof(float) && io->dx[0] && !sparse && winograd_possible(&back, s.c) &&
                          k->all_below(io->param[W], size, TAME);
    if (winograd && mine.count)
        k->winograd_filters(piece[SQUARES], io->param[W], f, s.c, 9 * s.c, 9, true);
    REAL(clear_padding)(piece[FRAME], &framed, s.pad);
    memset(piece[BACK_FRAME], 0, (size_t)(back.h * back.w * back.c) * sizeof(real));
    for (bd_size i = mine.from; i < mine.from + mine.count; i++) {
        real *dw = sums + i * stride, *db = dw + size;
        const bd_size from = n * i / bunches;
        memset(dw, 0, (size_t)(size + f) * sizeof *dw);
        REAL(images_backward)(io, dw, db, (bd_range){from, n * (i + 1) / bunches - from}, sparse, winograd, piece, &s,
                              f);
    }
    bd_meet(io);
    real *total = sums + bunches * stride;
    REAL(sum_arrays)(total, sums, stride, bunches, bd_share(io, size, BD_LINE), k);
    if (bd_is_last(io))
        REAL(sum_arrays)(io->dparam[B], sums + size, stride, bunches, (bd_range){0, f}, k);
    bd_meet(io);
    if (sparse)
        REAL(turn_channels_first)(io->dparam[W], total, &s, bd_share(io, f, 1), k);
    else
        REAL(turn_filters_first)(io->dparam[W], total, &s, f, bd_share(io, s.c, 1), k);
}

/* out (oh, ow) += weight times what tap (i, j) of a window sees of channel x (h, w). */
static void REAL(add_tap)(real *out, const real *x, const bd_window *s, bd_size i, bd_size j, real weight)
{
    const bd_size top = i * s->dilation - s->pad, left = j * s->dilation - s->pad;
    bd_size from = 0, to = s->ow;

    while (from < to && from * s->stride + left < 0)
        from++;
    while (from < to && (to - 1) * s->stride + left >= s->w)
        to--;
    for (bd_size oy = 0; oy < s->oh; oy++, out += s->ow) {
        const bd_size y = oy * s->stride + top;
        const real *row = x + y * s->w + left;
        if (y < 0 || y >= s->h)
            continue;
        if (s->stride == 1)
            for (bd_size ox = from; ox < to; ox++)
                out[ox] += weight * row[ox];
        else
            for (bd_size ox = from; ox < to; ox++)
                out[ox] += weight * row[ox * s->stride];
    }
}

/* part: out[filter] */
static void REAL(convolution_nudge)(const bd_layer *layer, const bd_io *io, int param, bd_size element,
                                    const void *step, void *part)
{
    const bd_window s = window_of(layer, io->shape);
    const bd_size tap = element % (s.fh * s.fw), c = element / (s.fh * s.fw) % s.c;
    const real by = *(const real *)step;
    real *out = part;

    if (param == W)
        REAL(add_tap)(out, (const real *)io->x[0] + c * s.h * s.w, &s, tap / s.fw, tap % s.fw, by);
    else
        for (bd_size a = 0; a < s.oh * s.ow; a++)
            out[a] += by;
}

static void REAL(convolution_spread)(const bd_layer *layer, const bd_io *io, void *out, const void *change,
                                     bd_size from, bd_size count)
{
    const bd_window s = window_of(layer, io->shape);
    const bd_size area = s.h * s.w, taps = s.fh * s.fw, first = from / area, end = (from + count) / area;
    const real *d = change;

    for (bd_size f = 0; f < layer->hyper[FILTERS].i; f++)
        for (bd_size c = first; c < end; c++) {
            const real *w = (const real *)io->param[W] + (f * s.c + c) * taps;
            for (bd_size t = 0; t < taps; t++)
                REAL(add_tap)((real *)out + f * s.oh * s.ow, d + (c - first) * area, &s, t / s.fw, t % s.fw, w[t]);
        }
}

#else

#include <math.h>
#include <string.h>

#include "../badak.h"
#include "../../kernels/kernels.h"
#include "../share.h"

enum { FILTERS, HEIGHT, WIDTH, STRIDE, PAD, DILATION, INIT }; /* hyper-parameters */
enum { W, B };                                                /* parameters */

/* What io->work is divided into. */
enum {
    WEIGHTS,  /* W as a kernel wants it */
    GRADIENT, /* on the way there */
    SUMS,     /* of dout (f) */
    FRAME,    /* x within its padding */
    BACK_FRAME,
    IMAGE, /* x, out or dout, dx with their channels last */
    OUT,
    POOLED,       /* the same of out or dout in squares */
    POOLED_FIRST, /* with their channels first */
    WINNER_FIRST,
    IMAGE_GRADIENT,
    VALUES, /* bd_nonzero: first the four that have room to spare */
    FILTER_VALUES,
    INDEX,
    FILTER_INDEX,
    COUNTS,
    FILTER_COUNTS,
    SQUARES, /* W as convolve_winograd wants it */
    SQUARE_WORK,
    THIN,     /* for convolve_back_thin */
    PRODUCTS, /* dW as winograd_products adds it up */
    PIECES
};

enum { PREPARED_FIRST = 16 }; /* number of io->prepared that belongs to the filters; before it: are they tame? */
enum { LOOKED_AT = 8 };       /* images, about, that tell how much of dout is 0 */
enum { SHORT_RUN = 16 };      /* of a window's row: too short to look for what of dout is 0 */

#define TAME ((real)1e15) /* sums of products of smaller numbers are finite, in whatever order */

/* For shapes that the shape rule has passed. */
static bd_window window_of(const bd_layer *layer, const bd_shape *x)
{
    bd_window window = {.fh = layer->hyper[HEIGHT].i,
                        .fw = layer->hyper[WIDTH].i,
                        .stride = layer->hyper[STRIDE].i,
                        .pad = layer->hyper[PAD].i,
                        .dilation = layer->hyper[DILATION].i};
    bd_detail detail;

    (void)bd_window_fit(&window, x, &detail);
    return window;
}

/* The same windows over an image that holds its padding. */
static bd_window frame_of(const bd_window *s)
{
    bd_window frame = *s;
    frame.h += 2 * s->pad;
    frame.w += 2 * s->pad;
    frame.pad = 0;
    return frame;
}

/* How far windows of dout reach over its border, so that each pixel of x has one; negative where padding made dout
 * larger than that. */
static bd_size back_pad(bd_size f, const bd_window *s)
{
    return s->dilation * (f - 1) - s->pad;
}

/* The way back. For stride 1 these windows over a frame about dout, as many as x has pixels; else the frame of x. */
static bd_window back_of(const bd_window *s, bd_size filters)
{
    bd_window back = frame_of(s);

    if (s->stride == 1) {
        back.c = filters;
        back.h = s->h + s->dilation * (s->fh - 1);
        back.w = s->w + s->dilation * (s->fw - 1);
        back.oh = s->h;
        back.ow = s->w;
    }
    return back;
}

/* The squares of 2 by 2 of out. */
static bd_window squares_of(const bd_window *s, bd_size filters)
{
    return (bd_window){.c = filters,
                       .h = s->oh,
                       .w = s->ow,
                       .fh = 2,
                       .fw = 2,
                       .stride = 2,
                       .dilation = 1,
                       .oh = s->oh / 2,
                       .ow = s->ow / 2};
}

/* Can elements of dout be listed: do the kernels for that apply, and will indices suffice? */
static bool list_possible(const bd_window *s, bd_size f)
{
    const bd_window framed = frame_of(s);
    const bd_shape x = {3, {framed.h, framed.w, s->c}}, w = {4, {f, s->fh, s->fw, s->c}}, out = {3, {f, s->oh, s->ow}};

    return s->stride == 1 && s->dilation == 1 && bd_count(&x) < INT32_MAX && bd_count(&w) < INT32_MAX &&
           bd_count(&out) < INT32_MAX;
}

/* Can pixels of images be listed, in the room for elements of dout? */
static bool pixels_possible(const bd_window *s, bd_size f)
{
    const bd_window framed = frame_of(s);

    return s->c == 1 && list_possible(s, f) && framed.h * framed.w <= s->oh * s->ow * f && framed.h <= s->oh * s->ow;
}

/* Does Winograd's method apply, and pay? In float32 only: there its rounding errors are those of long sums. */
static bool winograd_possible(const bd_window *s, bd_size f)
{
    return s->fh == 3 && s->fw == 3 && s->stride == 1 && s->dilation == 1 && s->oh % 2 == 0 && s->ow % 2 == 0 &&
           s->oh * s->ow >= 16 && s->c >= 16 && f >= 16;
}

static bool is_thin(const bd_window *s)
{
    return s->c < 4;
}

/* So many rows of windows that they stay in a near cache. */
static bd_size thin_rows(const bd_window *s)
{
    enum { NUMBERS = 1 << 13 };
    const bd_shape row = {4, {s->ow, s->c, s->fh, s->fw}};
    const bd_size each = bd_count(&row), rows = each > 0 ? NUMBERS / each : 1;

    return rows < 1 ? 1 : rows < s->oh ? rows : s->oh;
}

/* Their sizes, each up to where a cache line begins. False if they are too many. */
static bool sizes_of_pieces(bd_size size[PIECES], const bd_window *s, bd_size f)
{
    const bd_window frame = frame_of(s), back = back_of(s, f);
    const bool lists = list_possible(s, f), winograd = winograd_possible(s, f) || winograd_possible(&back, s->c);
    const bd_shape weights = {4, {f, s->fh, s->fw, s->c}}, image = {3, {s->h, s->w, s->c}}, sums = {1, {f}},
                   framed = {3, {frame.h, frame.w, s->c}}, backward = {3, {back.h, back.w, back.c}},
                   squares = {3, {16, s->c + 1, f}}, square_work = {3, {16, BD_WINOGRAD_SQUARES, s->c + f}},
                   out = {3, {s->oh, s->ow, f}}, of_out = {2, {s->oh, s->ow}}, none = {1, {0}},
                   pooled = {3, {s->oh / 2, s->ow / 2, f}}, thin = {5, {thin_rows(s), s->ow, s->c, s->fh, s->fw}};
    const bd_shape piece[PIECES] = {[WEIGHTS] = weights,
                                    [GRADIENT] = weights,
                                    [SUMS] = sums,
                                    [FRAME] = framed,
                                    [BACK_FRAME] = bd_count(&backward) > bd_count(&framed) ? backward : framed,
                                    [IMAGE] = image,
                                    [OUT] = out,
                                    [POOLED] = pooled,
                                    [POOLED_FIRST] = pooled,
                                    [WINNER_FIRST] = pooled,
                                    [IMAGE_GRADIENT] = image,
                                    [VALUES] = lists ? out : none,
                                    [FILTER_VALUES] = lists ? out : none,
                                    [INDEX] = lists ? out : none,
                                    [FILTER_INDEX] = lists ? out : none,
                                    [COUNTS] = lists ? of_out : none,
                                    [FILTER_COUNTS] = lists ? sums : none,
                                    [SQUARES] = winograd ? squares : none,
                                    [SQUARE_WORK] = winograd ? square_work : none,
                                    [THIN] = is_thin(s) ? thin : none,
                                    [PRODUCTS] = winograd ? squares : none};
    bool failed = bd_count(&backward) < 0;

    for (int i = 0; i < PIECES; i++) {
        const bd_size count = bd_count(&piece[i]);
        size[i] = (count + 15) / 16 * 16 + (count && i >= VALUES && i <= FILTER_INDEX ? BD_NONZERO_SPARE : 0);
        failed = failed || count < 0;
    }
    return !failed;
}

/* Of the images of a batch, for dW: enough that threads find shares of the same size, but a handful of images or more,
 * and not so many that their sums need much memory. */
static bd_size bunches_of(bd_size n, bd_size size)
{
    enum { MOST_BUNCHES = 16, IMAGES = 4, MOST_NUMBERS = 1 << 21 };
    bd_size bunches = n / IMAGES < MOST_BUNCHES ? n / IMAGES : MOST_BUNCHES;

    if (bunches * size > MOST_NUMBERS)
        bunches = MOST_NUMBERS / size;
    return bunches > 1 ? bunches : 1;
}

/* Room for dW and db of one. */
static bd_size bunch_size(bd_size size, bd_size f)
{
    return (size + f + BD_LINE - 1) / BD_LINE * BD_LINE;
}

#define BD_BODY "layers/channels_last.h"
#include "../each_real.h"

#define BD_BODY "layers/convolution.c"
#include "../each_real.h"

static bd_status convolution_shape(const bd_layer *layer, const bd_shape *x, bd_form *form, bd_detail *detail)
{
    const bd_size filters = layer->hyper[FILTERS].i;
    bd_window s = window_of(layer, x);
    const bd_status status = bd_window_fit(&s, x, detail);

    if (status)
        return status;
    form->out = (bd_shape){.ndim = 4, .dim = {x->dim[0], filters, s.oh, s.ow}};
    form->param[W] = (bd_shape){.ndim = 4, .dim = {filters, s.c, s.fh, s.fw}};
    form->param[B] = bd_shape1(filters);
    if (bd_count(&form->param[W]) < 0 || bd_count(&form->out) < 0) {
        *detail = (bd_detail){.what = "Convolution"};
        return BD_TOO_LARGE;
    }
    form->fan_in = s.c * s.fh * s.fw;
    bd_size piece[PIECES];
    const bool possible = sizes_of_pieces(piece, &s, filters);
    for (int i = 0; i < PIECES; i++)
        form->work += piece[i];
    if (!possible || form->work > BD_MAX_ELEMENTS) {
        *detail = (bd_detail){.what = "Convolution"};
        return BD_TOO_LARGE;
    }
    const bd_size size = bd_count(&form->param[W]);
    if (piece[SQUARES])
        form->prepared = PREPARED_FIRST + piece[SQUARES];
    form->keep_index = x->dim[0]; /* is the image tame, as far as forward had to know? */
    form->common = 2 * BD_MOST_THREADS + (bunches_of(x->dim[0], size) + 1) * bunch_size(size, filters);
    form->macs = size * s.oh * s.ow;
    return BD_OK;
}

static void convolution_reach(const bd_layer *layer, const bd_shape *x, int param, bd_size element, bd_size *from,
                              bd_size *count)
{
    const bd_window s = window_of(layer, x);

    *count = s.oh * s.ow;
    *from = (param == W ? element / (s.c * s.fh * s.fw) : element) * *count;
}

#define SIZE(what) {what, BD_INT, .min = 1, .max = 0x1p48, .needed = true}

const bd_layer_kind bd_convolution = {
    .name = "Convolution",
    .inputs = 1,
    .flags = BD_KEEP_INPUT | BD_CAN_RELU | BD_CAN_POOL | BD_IMAGES | BD_SHARES,
    .hyper = {[FILTERS] = SIZE("filters"),
              [HEIGHT] = SIZE("height"),
              [WIDTH] = SIZE("width"),
              [STRIDE] = {"stride", BD_INT, .min = 1, .max = 0x1p62, .fallback = 1},
              [PAD] = {"pad", BD_INT, .min = 0, .max = 0x1p62},
              [DILATION] = {"dilation", BD_INT, .min = 1, .max = 0x1p62, .fallback = 1},
              [INIT] = {"init", BD_INIT, .min = 0, .max = 1e300, .fallback = BD_INIT_HE}},
    .param = {[W] = {"W", BD_WEIGHT}, [B] = {"b", BD_BIAS}},
    .shape = convolution_shape,
    .forward = BD_EACH_REAL(convolution_forward),
    .backward = BD_EACH_REAL(convolution_backward),
    .reach = convolution_reach,
    .nudge = BD_EACH_REAL(convolution_nudge),
    .spread = BD_EACH_REAL(convolution_spread),
};

#endif
