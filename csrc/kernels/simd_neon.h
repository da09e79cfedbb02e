/* 16-byte vectors, 32 registers, fused multiply-add: NEON of 64-bit Arm. What each name means: simd_generic.h. */
#define LANES (16 / (int)sizeof(real))
enum { TILE_ROWS = 12 };

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

/* Lane by lane, each with an index that is constant: a loop over them would go through memory. */
static inline vec v_load_part(const real *p, int count, real fill)
{
    vec a = v_set(fill);

    if (count == LANES)
        return v_load(p);
    if (count > 0)
        a[0] = p[0];
#ifdef BD_SINGLE
    if (count > 1)
        a[1] = p[1];
    if (count > 2)
        a[2] = p[2];
#endif
    return a;
}

static inline void v_store_part(real *p, vec a, int count)
{
    if (count == LANES) {
        v_store(p, a);
        return;
    }
    if (count > 0)
        p[0] = a[0];
#ifdef BD_SINGLE
    if (count > 1)
        p[1] = a[1];
    if (count > 2)
        p[2] = a[2];
#endif
}

static inline vec v_select(ivec mask, vec a, vec b)
{
    return (vec)((mask & (ivec)a) | (~mask & (ivec)b));
}

/* Not vmaxq: of a NaN and a number that gives the NaN, and the other instruction sets give b. */
static inline vec v_max(vec a, vec b)
{
    return v_select((ivec)(a > b), a, b);
}

static inline vec v_fma(vec a, vec b, vec c)
{
#ifdef BD_SINGLE
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return (vec)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#endif
}

static inline vec v_sqrt(vec a)
{
#ifdef BD_SINGLE
    return (vec)vsqrtq_f32((float32x4_t)a);
#else
    return (vec)vsqrtq_f64((float64x2_t)a);
#endif
}
