/* 32-byte vectors with fused multiply-add: AVX2 and FMA. What each name means: simd_generic.h. */
#define LANES (32 / (int)sizeof(real))
enum { TILE_ROWS = 6 };

typedef real vec __attribute__((vector_size(32)));
typedef sint ivec __attribute__((vector_size(32)));
typedef real unaligned_vec __attribute__((vector_size(32), aligned(sizeof(real)), may_alias));

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

static inline vec v_select(ivec mask, vec a, vec b)
{
    return (vec)((mask & (ivec)a) | (~mask & (ivec)b));
}

/* -1 in the first `count` lanes */
static inline ivec v_first(int count)
{
#ifdef BD_SINGLE
    return (ivec){0, 1, 2, 3, 4, 5, 6, 7} < count;
#else
    return (ivec){0, 1, 2, 3} < count;
#endif
}

static inline vec v_load_part(const real *p, int count, real fill)
{
    const ivec first = v_first(count);
#ifdef BD_SINGLE
    return v_select(first, (vec)_mm256_maskload_ps(p, (__m256i)first), v_set(fill));
#else
    return v_select(first, (vec)_mm256_maskload_pd(p, (__m256i)first), v_set(fill));
#endif
}

static inline void v_store_part(real *p, vec a, int count)
{
#ifdef BD_SINGLE
    _mm256_maskstore_ps(p, (__m256i)v_first(count), (__m256)a);
#else
    _mm256_maskstore_pd(p, (__m256i)v_first(count), (__m256d)a);
#endif
}

static inline vec v_max(vec a, vec b)
{
#ifdef BD_SINGLE
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return (vec)_mm256_max_pd((__m256d)a, (__m256d)b);
#endif
}

static inline vec v_fma(vec a, vec b, vec c)
{
#ifdef BD_SINGLE
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return (vec)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#endif
}

static inline vec v_sqrt(vec a)
{
#ifdef BD_SINGLE
    return (vec)_mm256_sqrt_ps((__m256)a);
#else
    return (vec)_mm256_sqrt_pd((__m256d)a);
#endif
}
