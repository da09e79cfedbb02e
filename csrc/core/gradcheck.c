/* Numerical derivatives with a bound on their own error.
 *
 * Ridders' method (C. J. F. Ridders, Advances in Engineering Software 4, 1982): central differences for a ladder of
 * steps, each half the one before, extrapolated to h = 0 column by column. An entry counts only if it agrees with
 * the entries of its column one and two rungs coarser: with one alone, noise that happens to agree would pass. The
 * bound adds what rounding in f itself can do, noise / h, without which a staircase looks like a plateau.
 */
#include <math.h>

#include "badak.h"

enum { RUNGS = 48, COLUMNS = 8 };
#define RATIO 2.0

static double larger(double a, double b)
{
    return a > b ? a : b;
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

/* The two points of a rung, and the largest noise seen so far: where f no longer moves at all, its rounding has not
 * gone away. */
typedef struct {
    bd_sample right, left;
    double noise;
} rung;

static bool probe_both(rung *r, bd_probe f, void *context, double h, int *evaluations)
{
    if (!f(context, h, &r->right) || !f(context, -h, &r->left))
        return false;
    *evaluations += 2;
    if (isfinite(r->right.noise) && isfinite(r->left.noise))
        r->noise = larger(r->noise, larger(r->right.noise, r->left.noise));
    return true;
}

static bool usable(const rung *r)
{
    return isfinite(r->right.value) && isfinite(r->left.value) && r->right.moved > r->left.moved;
}

/* Where only one side is finite: three points, (-3 f(0) + 4 f(h) - f(2h)) / 2h, over the same ladder. */
static bool one_sided(bd_derivative_result *out, bd_probe f, void *context, double h, const bd_sample *at)
{
    double before = NAN, bound = INFINITY, noise = 0;

    for (int i = 0; i < RUNGS / 2; i++, h /= RATIO) {
        for (int side = -1; side <= 1; side += 2) {
            bd_sample near, far;
            if (!f(context, side * h, &near) || !f(context, side * 2 * h, &far))
                return false;
            out->evaluations += 2;
            if (!isfinite(near.value) || !isfinite(far.value))
                continue;
            const double a = near.moved, b = far.moved; /* h and 2 h, on the grid of floats */
            if (a * b <= 0 || fabs(b) <= fabs(a))
                continue;
            noise = larger(noise, larger(near.noise, far.noise));
            const double slope =
                (b * b * (near.value - at->value) - a * a * (far.value - at->value)) / (a * b * (b - a));
            const double gap = fabs(slope - before) + 2 * noise * fabs(b / (a * (b - a)));
            if (gap < bound) {
                bound = gap;
                out->value = out->left = out->right = slope;
                out->uncertainty = gap;
                out->step = h;
                out->finite = out->one_sided = true;
            }
            before = slope;
            break;
        }
    }
    return true;
}

bool bd_derivative(bd_derivative_result *out, bd_probe f, void *context, double scale, double rtol)
{
    const double coarsest = 5e-2 * larger(scale, 1), finest = larger(1e-10 * larger(scale, 1), 1e-6 * scale);
    double table[3][COLUMNS], h = coarsest;
    bool constant = true;
    int done = 0; /* usable rungs in a row */
    bd_sample at;
    rung r = {.noise = 0};

    *out = (bd_derivative_result){.uncertainty = INFINITY, .value = NAN, .left = NAN, .right = NAN};
    if (!f(context, 0, &at))
        return false;
    out->evaluations = 1;
    for (int i = 0; i < RUNGS && h >= finest; i++, h /= RATIO) {
        if (!probe_both(&r, f, context, h, &out->evaluations))
            return false;
        if (!usable(&r)) { /* over the edge of the domain: begin again nearer */
            done = 0;
            continue;
        }
        double *row = table[done % 3];
        const double *above = table[(done + 2) % 3], *above2 = table[(done + 1) % 3];
        const int columns = done + 1 < COLUMNS ? done + 1 : COLUMNS;
        extrapolate(row, above, (r.right.value - r.left.value) / (r.right.moved - r.left.moved), columns);
        done++;
        out->finite = true;
        constant = constant && r.right.value == at.value && r.left.value == at.value;

        for (int k = 0; k < columns && done > k + 2; k++) {
            const double gap = larger(fabs(row[k] - above[k]), fabs(row[k] - above2[k]));
            /* noise at both points, and higher columns weigh their rungs by less than 2 in all */
            const double bound = gap + 4 * r.noise / h;
            if (bound < out->uncertainty) {
                out->uncertainty = bound;
                out->value = row[k];
                out->step = h;
                out->right = (r.right.value - at.value) / r.right.moved;
                out->left = (r.left.value - at.value) / r.left.moved;
            }
        }
        if (out->uncertainty < rtol / 50 * fabs(out->value) && done > 4)
            break;
    }
    if (constant && out->finite) { /* f never moved: its slope is below what its rounding could hide */
        out->value = out->left = out->right = 0;
        out->uncertainty = 2 * r.noise / coarsest;
        out->step = coarsest;
        return true;
    }
    if (!isfinite(out->uncertainty) && isfinite(at.value)) {
        out->finite = false;
        return one_sided(out, f, context, coarsest, &at);
    }
    return true;
}
