/* Numerical derivatives with a bound on their own error.
 *
 * Ridders' method (C. J. F. Ridders, Advances in Engineering Software 4, 1982): central differences for a ladder of
 * steps, each half the one before, extrapolated to h = 0 column by column. An entry counts only if it agrees with
 * the entries of its column one and two rungs coarser: with one alone, noise that happens to agree would pass. The
 * bound adds what rounding in f itself can do, eps |f| / h, without which a staircase looks like a plateau.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "badak.h"

enum { RUNGS = 24, COLUMNS = 8 };
#define RATIO 2.0

typedef struct {
    double h, to_right, to_left; /* the step, and how far the two points really were */
    double right, left;          /* f there */
    bool finite;
} rung;

static double two_sided(const rung *r)
{
    return (r->right - r->left) / (r->to_right - r->to_left);
}

/* One row more of Neville's table: row[k] removes the error terms up to h^(2k). */
static void extrapolate(double row[COLUMNS], const double above[COLUMNS], double first, int columns)
{
    double factor = RATIO * RATIO;

    row[0] = first;
    for (int k = 1; k < columns; k++) {
        row[k] = row[k - 1] + (row[k - 1] - above[k - 1]) / (factor - 1);
        factor *= RATIO * RATIO;
    }
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static bool probe_both(rung *r, bd_probe f, void *context, double h, int *evaluations)
{
    *r = (rung){.h = h};
    if (!f(context, h, &r->right, &r->to_right) || !f(context, -h, &r->left, &r->to_left))
        return false;
    *evaluations += 2;
    r->finite = isfinite(r->right) && isfinite(r->left) && r->to_right > r->to_left;
    return true;
}

/* Where only one side is finite: three points, (-3 f(0) + 4 f(h) - f(2h)) / 2h, over the same ladder. */
static bool one_sided(bd_derivative_result *out, bd_probe f, void *context, double h, double f0, double eps)
{
    double before = NAN, bound = INFINITY;

    for (int i = 0; i < RUNGS; i++, h /= RATIO) {
        for (int side = -1; side <= 1; side += 2) {
            double near, far, to_near, to_far;
            if (!f(context, side * h, &near, &to_near) || !f(context, side * 2 * h, &far, &to_far))
                return false;
            out->evaluations += 2;
            if (!isfinite(near) || !isfinite(far))
                continue;
            const double slope = side * (4 * near - far - 3 * f0) / (2 * h);
            const double noise = 4 * eps * larger(fabs(f0), fabs(near)) / h;
            const double gap = fabs(slope - before) + noise;
            if (gap < bound) {
                bound = gap;
                out->value = slope;
                out->uncertainty = gap;
                out->step = h;
                out->finite = out->one_sided = true;
                out->left = out->right = slope;
            }
            before = slope;
            break;
        }
    }
    return true;
}

bool bd_derivative(bd_derivative_result *out, bd_probe f, void *context, double scale, double eps, double rtol)
{
    double table[3][COLUMNS], f0, moved, h = 5e-2 * larger(scale, 1);
    const double smallest = larger(1e-10 * larger(scale, 1), 1e-6 * scale);
    bool constant = true;
    int done = 0; /* finite rungs in a row */
    rung r = {0};

    *out = (bd_derivative_result){.uncertainty = INFINITY, .value = NAN, .left = NAN, .right = NAN};
    if (!f(context, 0, &f0, &moved))
        return false;
    out->evaluations = 1;
    for (int i = 0; i < RUNGS * 2 && h >= smallest; i++, h /= RATIO) {
        if (!probe_both(&r, f, context, h, &out->evaluations))
            return false;
        if (!r.finite) { /* over the edge of the domain: begin again nearer */
            done = 0;
            continue;
        }
        double *row = table[done % 3];
        const double *above = table[(done + 2) % 3], *above2 = table[(done + 1) % 3];
        const int columns = done + 1 < COLUMNS ? done + 1 : COLUMNS;
        extrapolate(row, above, two_sided(&r), columns);
        done++;
        out->finite = true;
        constant = constant && r.right == f0 && r.left == f0;

        const double noise = 2 * eps * larger(fabs(f0), larger(fabs(r.right), fabs(r.left))) / r.h;
        for (int k = 0; k < columns && done > k + 2; k++) {
            const double gap = larger(fabs(row[k] - above[k]), fabs(row[k] - above2[k]));
            /* higher columns amplify the noise of their rungs a little: at most the sum of the weights, below 2 */
            const double bound = gap + 2 * noise;
            if (bound < out->uncertainty) {
                out->uncertainty = bound;
                out->value = row[k];
                out->step = r.h;
                out->right = (r.right - f0) / r.to_right;
                out->left = (r.left - f0) / r.to_left;
            }
        }
        if (out->uncertainty < rtol / 50 * fabs(out->value) && done > 4)
            break;
    }
    if (constant && out->finite) {
        out->value = out->uncertainty = out->left = out->right = 0;
        return true;
    }
    if (!isfinite(out->uncertainty) && isfinite(f0)) {
        out->finite = false;
        return one_sided(out, f, context, 5e-2 * larger(scale, 1), f0, eps);
    }
    return true;
}
