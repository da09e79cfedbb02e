/* Numerical derivatives with a bound on their own error.
 *
 * Ridders' method (C. J. F. Ridders, Advances in Engineering Software 4, 1982): differences for a ladder of steps, each
 * half the one before, extrapolated to h = 0 column by column. What makes the bound hold:
 *
 * - An entry counts only if it agrees with those of its column one and two rungs coarser: with one alone, noise that
 *   happens to agree would pass.
 * - Rounding in f, divided by h, is part of the bound: without it a staircase looks like a plateau. If every value is
 *   a float, f rounds to floats. Noise that nobody told of is measured, where the steps are so small that nothing else
 *   moves, or by the size of the stairs.
 * - The gap between the slopes to either side is extrapolated too. If it does not vanish there is a kink at x, or
 *   nearer than h, and the bound covers it.
 * - A plateau that finer rungs contradict is none. Before an early end two tiny steps are made to look for that.
 *
 * A ladder asks for samples at +h and -h and is given them, so that the samples of many ladders can be taken at once.
 */
#include <math.h>

#include "badak.h"

enum { COLUMNS = 8, FEW_BITS = 12, NEAR_RUNGS = 16 };
#define RATIO 2.0
#define COARSEST 5e-2
#define FINEST 1e-11

typedef long double wide;

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* ---------------------------------------------------------------- series: what is extrapolated to h = 0 */

typedef enum { CENTRAL, RIGHT, LEFT, BEND } series; /* BEND: the slope to the right less that to the left */

static wide slope_to(const bd_ladder *l, const bd_sample *s)
{
    return (s->value - l->at.value) / s->moved;
}

static bool good(const bd_sample *s)
{
    return isfinite(s->value) && s->branch != BD_CROSSED && s->moved != 0;
}

static bool usable(const bd_rung *r, series which)
{
    if (which == RIGHT)
        return good(&r->right);
    if (which == LEFT)
        return good(&r->left);
    return good(&r->right) && good(&r->left) && r->right.branch != BD_LEFT_TIE && r->left.branch != BD_LEFT_TIE;
}

static wide term(const bd_ladder *l, const bd_rung *r, series which)
{
    switch (which) {
    case RIGHT: return slope_to(l, &r->right);
    case LEFT: return slope_to(l, &r->left);
    case BEND: return slope_to(l, &r->right) - slope_to(l, &r->left);
    default: return (r->right.value - r->left.value) / ((wide)r->right.moved - (wide)r->left.moved);
    }
}

static wide step_of(const bd_rung *r, series which)
{
    return which == RIGHT ? r->right.moved : which == LEFT ? -r->left.moved : r->h;
}

/* Row i of Neville's table from row i - 1: column k removes the error terms up to h^(k power). `first` is the coarsest
 * rung of the run. Returns how many columns there are. */
static int extrapolate(wide row[COLUMNS], const wide above[COLUMNS], const bd_ladder *l, int first, int i, series which)
{
    int columns = i - first + 1 < COLUMNS ? i - first + 1 : COLUMNS;

    row[0] = term(l, &l->rung[i], which);
    for (int k = 1; k < columns; k++) {
        const wide ratio = step_of(&l->rung[i - k], which) / step_of(&l->rung[i], which);
        row[k] = row[k - 1] + (row[k - 1] - above[k - 1]) / ((which == CENTRAL ? ratio * ratio : ratio) - 1);
    }
    return columns;
}

/* A bound on the noise of the values up to rung i. */
static double noise_at(const bd_ladder *l, int i)
{
    const double told = l->rung[i].noise, size = l->single ? 0x1p-23 * l->rung[i].size : 0;
    return larger(larger(told, size), l->noise);
}

/* What rounding can do to a series at a rung, all columns together, is `weight` times noise / h. */
static double weight_of(series which)
{
    return which == CENTRAL ? 4 : 16;
}

/* Does a finer rung say something else than `value`, which rung i gave? Its own error is at most that of rung i, and
 * noise. */
static bool denied(const bd_ladder *l, int i, series which, wide value, double bound)
{
    const double allowed = bound + (double)fabsl(term(l, &l->rung[i], which) - value);

    for (int j = i + 1; j < l->count + l->apart; j++) {
        const bd_rung *r = j < l->count ? &l->rung[j] : &l->check[j - l->count];
        const double noise = noise_at(l, j < l->count ? j : l->count - 1);
        if (r->h < l->rung[i].h && usable(r, which) &&
            fabsl(term(l, r, which) - value) > allowed + weight_of(which) * noise / r->h)
            return true;
    }
    return false;
}

typedef struct {
    wide value;
    double uncertainty, bend;
    int rung;
} limit;

/* The entry of a series with the least bound. */
static limit limit_of(const bd_ladder *l, series which)
{
    wide table[3][COLUMNS], bends[2][COLUMNS];
    limit best = {.value = NAN, .uncertainty = INFINITY, .rung = -1};
    int first = 0;

    for (int i = 0; i < l->count; i++) {
        const bd_rung *r = &l->rung[i];
        double bend = 0;

        if (!usable(r, which)) { /* over the edge of the domain, or of the branch: begin again nearer */
            first = i + 1;
            continue;
        }
        wide *row = table[i % 3];
        const wide *above = table[(i + 2) % 3], *above2 = table[(i + 1) % 3];
        const int columns = extrapolate(row, above, l, first, i, which);
        const double rounding = weight_of(which) * noise_at(l, i) / r->h;
        if (which == CENTRAL && r->right.branch == BD_UNTOLD) {
            bend = INFINITY;
            extrapolate(bends[i % 2], bends[(i + 1) % 2], l, first, i, BEND);
            for (int k = 0; k < columns && k < 4; k++)
                bend = (double)fminl(bend, fabsl(bends[i % 2][k]));
            bend = larger(bend - 2 * rounding, 0);
        }
        for (int k = 0; k < columns && i >= first + k + 2; k++) {
            double gap = (double)fmaxl(fabsl(row[k] - above[k]), fabsl(row[k] - above2[k]));
            if (gap >
                1e-2 * (double)fabsl(row[k])) /* does not settle: then the last change says little of what is left */
                gap *= 8;
            const double bound = gap + rounding + bend + 0x1p-52 * (double)fabsl(row[k]) * (l->exact ? 0x1p-8 : 1);
            if (bound < best.uncertainty && !denied(l, i, which, row[k], bound))
                best = (limit){row[k], bound, bend, i};
        }
    }
    return best;
}

/* ---------------------------------------------------------------- noise that nobody told of */

static double second_difference(const bd_ladder *l, const bd_rung *r)
{
    return (double)term(l, r, BEND) * r->h;
}

/* At the finest steps the slope of a smooth function does not change, and second differences shrink by the square of
 * the ratio: what is left over is noise. The median, so that a kink that only some of those steps reach does not count.
 */
static double noise_seen(const bd_ladder *l)
{
    enum { SEEN = 7 };
    double left_over[SEEN];
    int seen = 0;

    for (int i = l->count - 1; i > 0 && seen < SEEN; i--) {
        const bd_rung *r = &l->rung[i], *above = r - 1;
        if (!usable(r, BEND) || !usable(above, BEND))
            continue;
        const double shrink = (r->h / above->h) * (r->h / above->h);
        const double even = fabs(second_difference(l, r) - shrink * second_difference(l, above));
        const double odd = r->h * (double)fabsl(term(l, r, CENTRAL) - term(l, above, CENTRAL));
        const double e = larger(even, odd);
        int at = seen++;
        for (; at > 0 && left_over[at - 1] > e; at--)
            left_over[at] = left_over[at - 1];
        left_over[at] = e;
    }
    return seen ? 4 * left_over[seen / 2] : 0;
}

/* The height of the stairs, if f is a staircase: flat at the finest steps, and every change is so many stairs, or
 * halves or quarters of them (floats have finer stairs below a power of 2). */
static double stairs_seen(const bd_ladder *l)
{
    wide stair = INFINITY;
    int flat = 0, right = 0, left = 0;

    for (int i = l->count - 1; i >= 0; i--) {
        const bd_rung *r = &l->rung[i];
        if (!isfinite(r->right.value) || !isfinite(r->left.value))
            continue;
        const wide up = fabsl(r->right.value - l->at.value), down = fabsl(r->left.value - l->at.value);
        flat += up == 0 && down == 0 && !right && !left;
        right += up != 0;
        left += down != 0;
        stair = fminl(stair, fminl(up != 0 ? up : INFINITY, down != 0 ? down : INFINITY));
    }
    if (flat < 2 || right < 3 || left < 3)
        return 0;
    for (int i = 0; i < l->count; i++)
        for (int side = 0; side < 2; side++) {
            const bd_sample *s = side ? &l->rung[i].left : &l->rung[i].right;
            const wide stairs = 4 * (s->value - l->at.value) / stair;
            const wide slack = 16 * (wide)noise_at(l, i) / stair + 1e-9L * fabsl(stairs);
            if (isfinite(s->value) && fabsl(stairs - roundl(stairs)) > fminl(slack, 0.1L))
                return 0;
        }
    return (double)stair;
}

/* ---------------------------------------------------------------- walking down */

/* Is it a float, and one that a sum of a few bits would not be? */
static bool fits_float(wide value, bool *many_bits)
{
    const float narrow = (float)value;
    int exponent;

    if (!isfinite(value) || (wide)narrow != value)
        return !isfinite(value);
    const double bits = ldexp(frexp((double)narrow, &exponent), FEW_BITS);
    *many_bits = *many_bits || bits != floor(bits);
    return true;
}

static void note_values(bd_ladder *l, const bd_sample *s)
{
    l->all_fit = fits_float(s->value, &l->many_bits) && l->all_fit;
    l->single = l->all_fit && l->many_bits && !l->exact;
}

void bd_ladder_begin(bd_ladder *l, const bd_sample *at, double size, double coarsest, double rtol, bool both_sides)
{
    const double scale = larger(size, 1);

    l->at = *at;
    l->count = l->apart = 0;
    l->evaluations = 1;
    l->coordinate = size;
    l->coarsest = coarsest > 0 ? coarsest : COARSEST * scale;
    l->finest = fmin(FINEST * scale, 1e-3 * l->coarsest);
    l->h = l->coarsest;
    l->target = rtol / 50;
    l->noise = 0;
    l->exact = at->branch == BD_UNMOVED; /* the values are of a net that knows its branches, and its noise */
    l->both_sides = both_sides;
    l->checked = l->exact || both_sides;
    l->near = l->deeper = l->denied = l->moved = l->single = l->many_bits = false;
    l->all_fit = true;
    note_values(l, at);
    l->stage = isfinite(at->value) ? BD_WALKING : BD_DONE;
}

static bool close_enough(const bd_ladder *l, const limit *found)
{
    return found->uncertainty <= l->target * (double)fabsl(found->value);
}

/* Two tiny steps, both well below that of the plateau. */
static double check_step(const bd_ladder *l, int i)
{
    const double first = fmin(7e-5 * l->coarsest, l->h / 8);
    return i ? fmin(1.4e-8 * l->coarsest, first / 64) : first;
}

/* What the two tiny steps say of a plateau: true if they agree with it; otherwise the noise is noted, if it is that. */
static bool confirmed(bd_ladder *l)
{
    limit found = limit_of(l, CENTRAL);
    double left_over[2] = {0};
    bool agree = found.rung >= 0;

    for (int i = 0; i < l->apart && agree; i++) {
        const bd_rung *r = &l->check[i], *chosen = &l->rung[found.rung];
        if (!usable(r, CENTRAL))
            return false;
        const double slope = (double)fabsl(term(l, r, CENTRAL) - found.value), gap = (double)fabsl(term(l, r, BEND));
        const double curve = (double)fabsl(term(l, chosen, BEND)) * r->h / chosen->h;
        const double rounding = 4 * noise_at(l, l->count - 1) / r->h;
        agree = slope <= found.uncertainty + rounding && gap <= 2 * curve + found.uncertainty + 2 * rounding;
        left_over[i] = larger(slope, gap / 2) * r->h;
    }
    if (agree && close_enough(l, &found))
        return true;
    if (left_over[1] >= left_over[0] / 8) /* as large at a tiny step: noise, not shape */
        l->noise = 2 * larger(left_over[0], left_over[1]);
    if (l->noise == 0)
        return false;
    found = limit_of(l, CENTRAL);
    return close_enough(l, &found);
}

/* At the finest step the slopes to either side still differ, and noise does not explain it. */
static bool still_bent(const bd_ladder *l)
{
    const bd_rung *last = &l->rung[l->count - 1];

    if (l->exact || !usable(last, BEND))
        return false;
    const double size = (double)fmaxl(fabsl(slope_to(l, &last->right)), fabsl(slope_to(l, &last->left)));
    const double rounding = 8 * noise_at(l, l->count - 1) / last->h;
    return (double)fabsl(term(l, last, BEND)) > larger(1e-3 * size, rounding);
}

/* Not settled yet, and that is not noise: smaller steps would show more. */
static bool worth_more(const bd_ladder *l)
{
    const bd_rung *last = &l->rung[l->count - 1];
    double slope = 0;

    if (l->exact || !l->moved)
        return false;
    const limit found = limit_of(l, CENTRAL);
    if (isfinite(last->right.value))
        slope = larger(slope, (double)fabsl(slope_to(l, &last->right)));
    if (isfinite(last->left.value))
        slope = larger(slope, (double)fabsl(slope_to(l, &last->left)));
    const double rounding = 16 * noise_at(l, l->count - 1) / last->h;
    return !(found.uncertainty <= 1e-6 * (double)fabsl(found.value)) && rounding < 1e-5 * slope;
}

/* The next step of the walk; beyond the finest the end, or once more from near a small coordinate. */
static void walk_on(bd_ladder *l)
{
    const bd_rung *last = &l->rung[l->count - 1];
    const bool crossed = last->right.branch == BD_CROSSED || last->left.branch == BD_CROSSED;

    l->stage = BD_WALKING;
    l->h /= !l->moved ? 8 : crossed ? 4 : RATIO;
    if (l->h >= l->finest && l->count < BD_RUNGS)
        return;
    if (!l->deeper && still_bent(l) && l->count < BD_RUNGS) { /* at a kink, or very near to one */
        l->deeper = true;
        l->finest /= 16;
        return;
    }
    const bool small = l->coordinate != 0 && 1e-6 * l->coordinate < l->finest && !l->near;
    if (!small && worth_more(l) && l->count < BD_RUNGS) {
        l->finest /= RATIO;
        return;
    }
    l->stage = BD_DONE;
    if (!small || l->count + NEAR_RUNGS > BD_RUNGS)
        return;
    const limit found = limit_of(l, CENTRAL);
    if (found.uncertainty <= 1e-6 * (double)fabsl(found.value) || (!l->moved && l->all_fit))
        return;
    l->near = true;
    l->stage = BD_WALKING;
    l->h = fmin(l->h, 0.03 * l->coordinate);
    l->finest = 1e-6 * l->coordinate;
}

static bool resolved_both_sides(const bd_ladder *l)
{
    const limit right = limit_of(l, RIGHT), left = limit_of(l, LEFT);
    const double size = (double)fmaxl(fabsl(right.value), fabsl(left.value));

    return right.uncertainty <= l->target * size && left.uncertainty <= l->target * size;
}

static bool tied(const bd_rung *r)
{
    return r->right.branch == BD_LEFT_TIE || r->left.branch == BD_LEFT_TIE;
}

bool bd_ladder_next(const bd_ladder *l, double *h)
{
    if (l->stage == BD_DONE)
        return false;
    *h = l->stage == BD_CHECKING ? check_step(l, l->apart) : l->h;
    return true;
}

void bd_ladder_take(bd_ladder *l, const bd_sample *right, const bd_sample *left)
{
    bd_rung *r = l->stage == BD_CHECKING ? &l->check[l->apart] : &l->rung[l->count];
    const bd_rung *above = l->count ? &l->rung[l->count - 1] : NULL;

    *r = (bd_rung){.h = (right->moved - left->moved) / 2,
                   .noise = above    ? above->noise
                          : l->exact ? l->at.noise
                                     : 0,
                   .size = above ? above->size : (double)fabsl(l->at.value),
                   .right = *right,
                   .left = *left};
    for (int side = 0; side < 2; side++) {
        const bd_sample *s = side ? left : right;
        note_values(l, s);
        if (isfinite(s->noise) && (l->exact || s->value != l->at.value)) /* what does not move rounds the same */
            r->noise = larger(r->noise, s->noise);
        if (isfinite(s->value))
            r->size = larger(r->size, (double)fabsl(s->value));
        l->moved = l->moved || s->value != l->at.value;
    }
    l->evaluations += 2;
    if (l->stage == BD_CHECKING) {
        if (++l->apart < 2)
            return;
        l->checked = true;
        l->denied = !confirmed(l);
        if (l->denied)
            walk_on(l);
        else
            l->stage = BD_DONE;
        return;
    }
    if (!(r->h > 0) || (above && r->h > 0.75 * above->h)) { /* the grid of floats is too coarse for more */
        l->stage = BD_DONE;
        return;
    }
    l->count++;
    if (right->branch == BD_UNMOVED && left->branch == BD_UNMOVED) { /* nothing that the loss depends on moves */
        l->stage = BD_DONE;
        return;
    }
    if (l->count >= 3 && l->target > 0 && !l->denied) {
        const limit found = l->both_sides ? (limit){.value = 0, .uncertainty = INFINITY} : limit_of(l, CENTRAL);
        if (close_enough(l, &found) && found.value != 0) {
            l->stage = l->checked ? BD_DONE : BD_CHECKING;
            return;
        }
        if (l->exact && weight_of(CENTRAL) * r->noise / r->h >= found.uncertainty) { /* only noise grows from here */
            l->stage = BD_DONE;
            return;
        }
        if ((l->both_sides || tied(&l->rung[l->count - 1])) && resolved_both_sides(l)) {
            l->stage = BD_DONE;
            return;
        }
    }
    walk_on(l);
}

/* ---------------------------------------------------------------- the result */

/* Does f at one side of x stay away from f(x), by the same amount however near? */
static bool jumps(const bd_ladder *l, series side)
{
    wide jump = 0;
    int same = 0;

    for (int i = l->count - 1; i >= 0 && same < 6; i--) {
        const bd_sample *s = side == RIGHT ? &l->rung[i].right : &l->rung[i].left;
        if (!isfinite(s->value))
            continue;
        const wide change = s->value - l->at.value;
        if (same == 0) {
            jump = change;
            if (!(fabsl(jump) > 100 * (wide)larger(l->rung[i].noise, l->single ? 0x1p-23 * l->rung[i].size : 0)) ||
                l->rung[i].h > 1e-6 * l->coarsest)
                return false;
        }
        if (fabsl(change - jump) > 0.1L * fabsl(jump))
            return false;
        same++;
    }
    return same == 6;
}

static bool two_sided(const bd_ladder *l)
{
    for (int i = 0; i < l->count; i++)
        if (isfinite(l->rung[i].right.value) && isfinite(l->rung[i].left.value))
            return true;
    return false;
}

/* The largest slope between x and the steps near `step`: what a derivative that is 0 is small beside. */
static double steepest(const bd_ladder *l, double step)
{
    wide most = 0;

    for (int i = 0; i < l->count; i++) {
        if (l->rung[i].h < step || l->rung[i].h > 32 * step)
            continue;
        if (isfinite(l->rung[i].right.value))
            most = fmaxl(most, fabsl(slope_to(l, &l->rung[i].right)));
        if (isfinite(l->rung[i].left.value))
            most = fmaxl(most, fabsl(slope_to(l, &l->rung[i].left)));
    }
    return (double)most;
}

static void set_value(bd_derivative_result *out, const bd_ladder *l, const limit *found)
{
    const bd_rung *r = &l->rung[found->rung];

    out->value = (double)found->value;
    out->uncertainty = found->uncertainty;
    out->bend = found->bend;
    out->step = r->h;
    out->right = (double)slope_to(l, isfinite(r->right.value) ? &r->right : &r->left);
    out->left = (double)slope_to(l, isfinite(r->left.value) ? &r->left : &r->right);
    out->right_uncertainty = out->left_uncertainty = INFINITY;
}

static void set_sides(bd_derivative_result *out, const limit *right, const limit *left)
{
    out->right = (double)right->value;
    out->left = (double)left->value;
    out->right_uncertainty = right->uncertainty;
    out->left_uncertainty = left->uncertainty;
}

static void set_exactly_0(bd_derivative_result *out, const bd_ladder *l)
{
    const double noise = larger(l->at.noise, noise_at(l, l->count - 1));
    const double rounding = 0x1p-50 * (double)fabsl(l->at.value);

    out->value = out->left = out->right = 0;
    const bd_rung *last = &l->rung[l->count - 1];
    const bool still = last->right.branch == BD_UNMOVED && last->left.branch == BD_UNMOVED;
    out->uncertainty = still || (!l->exact && noise <= rounding) ? 0 : 2 * noise / l->coarsest;
    out->left_uncertainty = out->right_uncertainty = out->uncertainty;
    out->step = l->coarsest;
    out->kind = out->uncertainty == 0 ? BD_SMOOTH : BD_UNRESOLVED;
    out->finite = true;
}

void bd_ladder_end(bd_ladder *l, bd_derivative_result *out)
{
    *out = (bd_derivative_result){.value = NAN,
                                  .uncertainty = INFINITY,
                                  .evaluations = l->evaluations,
                                  .left = NAN,
                                  .right = NAN,
                                  .left_uncertainty = INFINITY,
                                  .right_uncertainty = INFINITY,
                                  .kind = BD_NO_VALUE,
                                  .exact = l->exact};
    if (l->count == 0)
        return;
    if (!l->moved) {
        set_exactly_0(out, l);
        return;
    }
    limit found = limit_of(l, CENTRAL);
    if (!l->exact &&
        (l->denied || l->target == 0 || !close_enough(l, &found))) { /* the whole ladder was seen: so was the noise */
        l->noise = larger(l->noise, larger(noise_seen(l), stairs_seen(l)));
        found = limit_of(l, CENTRAL);
    }
    const limit right = limit_of(l, RIGHT), left = limit_of(l, LEFT);
    const bool both = isfinite(right.uncertainty) && isfinite(left.uncertainty);
    const double gap = both ? (double)fabsl(right.value - left.value) : 0;
    out->finite = two_sided(l);
    if (jumps(l, RIGHT) || jumps(l, LEFT)) {
        out->kind = BD_JUMP;
        out->bend = INFINITY;
        return;
    }
    if (found.rung >= 0)
        set_value(out, l, &found);
    if (both && gap > 3 * (right.uncertainty + left.uncertainty) &&
        gap > 1e-6 * (double)fmaxl(fabsl(right.value), fabsl(left.value)) && !(found.uncertainty < gap / 10)) {
        out->kind = BD_KINK;
        out->value = (double)(right.value + left.value) / 2;
        out->bend = gap;
        out->uncertainty = gap / 2 + right.uncertainty + left.uncertainty;
        out->step = l->rung[right.rung].h;
        set_sides(out, &right, &left);
        return;
    }
    if (found.rung < 0 && !two_sided(l)) { /* only one side is there */
        const limit *side = right.uncertainty < left.uncertainty ? &right : &left;
        if (side->rung < 0)
            return;
        set_value(out, l, side);
        out->finite = out->one_sided = true;
    }
    if (l->both_sides)
        set_sides(out, &right, &left);
    const double enough = larger(1e-3 * fabs(out->value), 1e-6 * steepest(l, out->step));
    out->kind = out->uncertainty <= enough ? BD_SMOOTH : BD_UNRESOLVED;
}

static bool run(bd_derivative_result *out, bd_probe f, void *context, double size, double coarsest, double rtol,
                bool both_sides)
{
    bd_sample at = {0}, right, left;
    bd_ladder l;
    double h;

    if (!f(context, 0, &at))
        return false;
    bd_ladder_begin(&l, &at, size, coarsest, rtol, both_sides);
    while (bd_ladder_next(&l, &h)) {
        right = left = (bd_sample){0};
        if (!f(context, h, &right) || !f(context, -h, &left))
            return false;
        bd_ladder_take(&l, &right, &left);
    }
    bd_ladder_end(&l, out);
    return true;
}

bool bd_derivative(bd_derivative_result *out, bd_probe f, void *context, double size, double coarsest, double rtol)
{
    return run(out, f, context, size, coarsest, rtol, false);
}

bool bd_one_sided(bd_derivative_result *out, bd_probe f, void *context, double size, double coarsest, double rtol)
{
    return run(out, f, context, size, coarsest, rtol, true);
}
