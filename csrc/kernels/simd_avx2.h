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
    const vec loaded = (vec)_mm256_maskload_ps(p, (__m256i)first);
#else
    const vec loaded = (vec)_mm256_maskload_pd(p, (__m256i)first);
#endif
    if (__builtin_constant_p(fill) && fill == 0) /* as it is filled already */
        return loaded;
    return v_select(first, loaded, v_set(fill));
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

#define V_ALL

static inline bool v_all(ivec mask)
{
#ifdef BD_SINGLE
    return _mm256_movemask_ps((__m256)mask) == 0xff;
#else
    return _mm256_movemask_pd((__m256d)mask) == 0xf;
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

#ifdef BD_SINGLE
#define V_TRANSPOSE_ROWS

/* Rows p and p + row, four numbers of each. */
static inline __m256 v_quads(const real *p, bd_size row)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + row), 1);
}

static inline void v_transpose_rows(real *out, bd_size out_row, const real *x, bd_size x_row)
{
    const __m256 a = v_quads(x, 4 * x_row), b = v_quads(x + x_row, 4 * x_row);
    const __m256 c = v_quads(x + 2 * x_row, 4 * x_row), d = v_quads(x + 3 * x_row, 4 * x_row);
    const __m256d ab_low = (__m256d)_mm256_unpacklo_ps(a, b), ab_high = (__m256d)_mm256_unpackhi_ps(a, b);
    const __m256d cd_low = (__m256d)_mm256_unpacklo_ps(c, d), cd_high = (__m256d)_mm256_unpackhi_ps(c, d);

    v_store(out, (vec)_mm256_unpacklo_pd(ab_low, cd_low));
    v_store(out + out_row, (vec)_mm256_unpackhi_pd(ab_low, cd_low));
    v_store(out + 2 * out_row, (vec)_mm256_unpacklo_pd(ab_high, cd_high));
    v_store(out + 3 * out_row, (vec)_mm256_unpackhi_pd(ab_high, cd_high));
}

#define V_KEEP_NONZERO

/* For each mask of eight lanes those that it keeps, a byte each, first the first; made of what its halves keep. */
#define KEPT_0 0
#define KEPT_1 0x00
#define KEPT_2 0x01
#define KEPT_3 0x0100
#define KEPT_4 0x02
#define KEPT_5 0x0200
#define KEPT_6 0x0201
#define KEPT_7 0x020100
#define KEPT_8 0x03
#define KEPT_9 0x0300
#define KEPT_10 0x0301
#define KEPT_11 0x030100
#define KEPT_12 0x0302
#define KEPT_13 0x030200
#define KEPT_14 0x030201
#define KEPT_15 0x03020100
#define KEPT(high, low, count) KEPT_##low | (uint64_t)(KEPT_##high + 0x04040404) << 8 * (count)
#define KEPT_WITH(high)                                                                                                \
    KEPT(high, 0, 0), KEPT(high, 1, 1), KEPT(high, 2, 1), KEPT(high, 3, 2), KEPT(high, 4, 1), KEPT(high, 5, 2),        \
        KEPT(high, 6, 2), KEPT(high, 7, 3), KEPT(high, 8, 1), KEPT(high, 9, 2), KEPT(high, 10, 2), KEPT(high, 11, 3),  \
        KEPT(high, 12, 2), KEPT(high, 13, 3), KEPT(high, 14, 3), KEPT(high, 15, 4)
static const uint64_t kept_lanes[256] = {KEPT_WITH(0),  KEPT_WITH(1),  KEPT_WITH(2),  KEPT_WITH(3),
                                         KEPT_WITH(4),  KEPT_WITH(5),  KEPT_WITH(6),  KEPT_WITH(7),
                                         KEPT_WITH(8),  KEPT_WITH(9),  KEPT_WITH(10), KEPT_WITH(11),
                                         KEPT_WITH(12), KEPT_WITH(13), KEPT_WITH(14), KEPT_WITH(15)};

static inline int v_keep_nonzero(real *values, int32_t *indices, vec a, ivec index, int lanes)
{
    const __m256 is = _mm256_cmp_ps((__m256)a, _mm256_setzero_ps(), _CMP_NEQ_UQ);
    const unsigned mask = (unsigned)_mm256_movemask_ps(is);
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)(kept_lanes + mask));
    const __m256i from = _mm256_cvtepu8_epi32(bytes);
    const vec kept = (vec)_mm256_permutevar8x32_ps((__m256)a, from);
    const ivec kept_index = (ivec)_mm256_permutevar8x32_epi32((__m256i)index, from);

    if (lanes == LANES) {
        v_store(values, kept);
        _mm256_storeu_si256((__m256i *)(void *)indices, (__m256i)kept_index);
    } else {
        v_store_part(values, kept, lanes);
        _mm256_maskstore_epi32(indices, (__m256i)v_first(lanes), (__m256i)kept_index);
    }
    return __builtin_popcount(mask);
}

#define V_LIST_NONZERO

static inline int v_list_nonzero(uint8_t *places, vec a, int first)
{
    const __m256 is = _mm256_cmp_ps((__m256)a, _mm256_setzero_ps(), _CMP_NEQ_UQ);
    const unsigned mask = (unsigned)_mm256_movemask_ps(is);
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)(kept_lanes + mask));
    _mm_storel_epi64((__m128i *)(void *)places, _mm_add_epi8(bytes, _mm_set1_epi8((char)first)));
    return __builtin_popcount(mask);
}
#endif
