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

static bd_size REAL(first_not_finite)(const void *data, bd_size n, const void *kernels)
{
    const REAL(bd_kernels) *k = kernels;
    const real *x = data;

    if (k->all_finite(x, n))
        return -1;
    for (bd_size i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return i;
    return -1;
}

#else

#include <math.h>

#include "../kernels/kernels.h"
#include "badak.h"

/* the bodies for long double, for which the header has no use */
double bd_cross_entropy_ext(const long double *y, const bd_target *t, bd_size n, bd_size c, double eps);
double bd_squared_distance_ext(const long double *y, const long double *t, bd_size n);

#define BD_BODY "functions.c"
#include "each_real.h"

bd_size bd_first_not_finite(const void *x, bd_size n, bd_dtype dtype)
{
    static bd_size (*const first[BD_DTYPES])(const void *, bd_size, const void *) = BD_EACH_REAL(first_not_finite);
    return first[dtype](x, n, bd_kernels(dtype));
}

#endif
