/* Vectors of 16 bytes in the compiler's portable notation: the baseline of every processor. No fused multiply-add.
 *
 * What a shim gives to the kernel bodies, for the type `real`:
 *   vec, ivec          a vector of LANES reals, and of integers of the same width (also the result of a comparison)
 *   TILE_ROWS          rows of the product tile: TILE_ROWS * 2 accumulators must fit the registers
 *   v_load v_store     any alignment;   v_load_part v_store_part   the first `count` lanes, the rest `fill`
 *   v_set v_fma v_sqrt v_max v_select(mask, a, b)
 *   v_all(mask)        only where V_ALL is defined: see elementwise.inc
 *   v_keep_nonzero     only where V_KEEP_NONZERO is defined: see nonzero.inc
 *   v_list_nonzero     only where V_LIST_NONZERO is defined: see nonzero.inc
 *   v_transpose_rows   only where V_TRANSPOSE_ROWS is defined: see transpose.inc
 */
#define LANES (16 / (int)sizeof(real))
enum { TILE_ROWS = 4 };

typedef real vec __attribute__((vector_size(16)));
typedef sint ivec __attribute__((vector_size(16)));
typedef real unaligned_vec __attribute__((vector_size(16), aligned(sizeof(real)), may_alias));

static inline vec v_load(const real *p)
{
    return *(const unaligned_vec *)(const void *)p;
}

static inline void v_store(real *p, vec a)
{
    *(unaligned_vec *)(void *)p = a;
}

static inline vec v_set(real a)
{
    return a - (vec){0};
}

static inline vec v_load_part(const real *p, int count, real fill)
{
    vec a = v_set(fill);
    for (int i = 0; i < count; i++)
        a[i] = p[i];
    return a;
}

static inline void v_store_part(real *p, vec a, int count)
{
    for (int i = 0; i < count; i++)
        p[i] = a[i];
}

static inline vec v_select(ivec mask, vec a, vec b)
{
    return (vec)((mask & (ivec)a) | (~mask & (ivec)b));
}

static inline vec v_max(vec a, vec b)
{
    return v_select((ivec)(a > b), a, b);
}

static inline vec v_fma(vec a, vec b, vec c)
{
    return a * b + c;
}

static inline vec v_sqrt(vec a)
{
    for (int i = 0; i < LANES; i++)
        a[i] = sizeof(real) == 4 ? (real)sqrtf((float)a[i]) : (real)sqrt((double)a[i]);
    return a;
}
