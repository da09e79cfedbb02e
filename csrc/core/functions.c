/* The book's functions that are neither layers nor element by element (book: chapter 4). */
#ifdef real

double REAL(bd_cross_entropy)(const real *y, const bd_target *t, bd_size n, bd_size c, double eps)
{
    const real *rows = t->rows;
    long double total = 0;

    for (bd_size i = 0; i < n; i++) {
        if (t->index) {
            total -= logl((long double)y[i * c + t->index[i]] + (long double)eps);
        } else {
            for (bd_size j = 0; j < c; j++)
                if (rows[i * c + j] != 0) /* 0 log 0 is 0 */
                    total -= rows[i * c + j] * logl((long double)y[i * c + j] + (long double)eps);
        }
    }
    return (double)(total / (long double)n);
}

double REAL(bd_squared_distance)(const real *y, const real *t, bd_size n)
{
    long double total = 0;

    for (bd_size i = 0; i < n; i++)
        total += ((long double)y[i] - t[i]) * ((long double)y[i] - t[i]);
    return (double)total;
}

/* Both directions of the same walk: to col from x, or (add) to x from col. */
static void REAL(walk_windows)(real *col, real *x, bd_size n, const bd_window *s, bool add)
{
    for (bd_size i = 0; i < n; i++, x += s->c * s->h * s->w)
        for (bd_size oy = 0; oy < s->oh; oy++)
            for (bd_size ox = 0; ox < s->ow; ox++)
                for (bd_size c = 0; c < s->c; c++)
                    for (bd_size fy = 0; fy < s->fh; fy++)
                        for (bd_size fx = 0; fx < s->fw; fx++, col++) {
                            const bd_size y = oy * s->stride + fy * s->dilation - s->pad;
                            const bd_size at = ox * s->stride + fx * s->dilation - s->pad;
                            const bool inside = y >= 0 && y < s->h && at >= 0 && at < s->w;
                            real *pixel = x + (c * s->h + y) * s->w + at;
                            if (add && inside)
                                *pixel += *col;
                            else if (!add)
                                *col = inside ? *pixel : 0;
                        }
}

static void REAL(im2col)(void *col, const void *x, bd_size n, const bd_window *window)
{
    REAL(walk_windows)(col, (real *)(uintptr_t)x, n, window, false); /* only read */
}

static void REAL(col2im)(void *x, const void *col, bd_size n, const bd_window *window)
{
    memset(x, 0, (size_t)(n * window->c * window->h * window->w) * sizeof(real));
    REAL(walk_windows)((real *)(uintptr_t)col, x, n, window, true); /* only read */
}

static bd_size REAL(first_not_finite)(const void *data, bd_size n, const void *kernels)
{
    const REAL(bd_kernels) *k = kernels;
    const real *x = data;

    if (k->all_below(x, n, (real)INFINITY))
        return -1;
    for (bd_size i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return i;
    return -1;
}

static bool REAL(all_below)(const void *x, bd_size n, double limit, const void *kernels)
{
    const REAL(bd_kernels) *k = kernels;
    return k->all_below(x, n, (real)limit);
}

/* Several sums side by side, so that the compiler can use vectors; in double, because there are many terms. */
static double REAL(sum_of_squares)(const void *data, bd_size n)
{
    enum { SUMS = 8 };
    const real *x = data;
    double sum[SUMS] = {0}, total = 0;
    bd_size i = 0;

    for (; i + SUMS <= n; i += SUMS)
        for (int j = 0; j < SUMS; j++)
            sum[j] += (double)x[i + j] * (double)x[i + j];
    for (; i < n; i++)
        sum[0] += (double)x[i] * (double)x[i];
    for (int j = 0; j < SUMS; j++)
        total += sum[j];
    return total;
}

#else

#include <math.h>
#include <string.h>

#include "../kernels/kernels.h"
#include "badak.h"

/* the bodies for long double, for which the header has no use */
double bd_cross_entropy_ext(const long double *y, const bd_target *t, bd_size n, bd_size c, double eps);
double bd_squared_distance_ext(const long double *y, const long double *t, bd_size n);

#define BD_BODY "functions.c"
#include "each_real.h"

void bd_im2col(void *col, const void *x, bd_size n, const bd_window *window, bd_dtype dtype)
{
    static void (*const f[BD_DTYPES])(void *, const void *, bd_size, const bd_window *) = BD_EACH_REAL(im2col);
    f[dtype](col, x, n, window);
}

void bd_col2im(void *x, const void *col, bd_size n, const bd_window *window, bd_dtype dtype)
{
    static void (*const f[BD_DTYPES])(void *, const void *, bd_size, const bd_window *) = BD_EACH_REAL(col2im);
    f[dtype](x, col, n, window);
}

bd_size bd_first_not_finite(const void *x, bd_size n, bd_dtype dtype)
{
    static bd_size (*const first[BD_DTYPES])(const void *, bd_size, const void *) = BD_EACH_REAL(first_not_finite);
    return first[dtype](x, n, bd_kernels(dtype));
}

bool bd_all_below(const void *x, bd_size n, double limit, bd_dtype dtype)
{
    static bool (*const all_below[BD_DTYPES])(const void *, bd_size, double, const void *) = BD_EACH_REAL(all_below);
    return all_below[dtype](x, n, limit, bd_kernels(dtype));
}

double bd_sum_of_squares(const void *x, bd_size n, bd_dtype dtype)
{
    static double (*const sum[BD_DTYPES])(const void *, bd_size) = BD_EACH_REAL(sum_of_squares);
    return sum[dtype](x, n);
}

#endif
