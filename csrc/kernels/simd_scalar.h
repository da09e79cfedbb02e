/* "Vectors" of one long double, for the extended type. What each name means: simd_generic.h. */
#define LANES 1
enum { TILE_ROWS = 2 };

typedef long double vec;
typedef int ivec;

static inline vec v_load(const real *p)
{
    return *p;
}

static inline void v_store(real *p, vec a)
{
    *p = a;
}

static inline vec v_set(real a)
{
    return a;
}

static inline vec v_load_part(const real *p, int count, real fill)
{
    return count ? *p : fill;
}

static inline void v_store_part(real *p, vec a, int count)
{
    if (count)
        *p = a;
}

static inline vec v_select(ivec mask, vec a, vec b)
{
    return mask ? a : b;
}

static inline vec v_max(vec a, vec b)
{
    return a > b ? a : b;
}

static inline vec v_fma(vec a, vec b, vec c)
{
    return a * b + c;
}

static inline vec v_sqrt(vec a)
{
    return sqrtl(a);
}
