/* The table for one float type; included by kernels.h once per type, so without an include guard. */

/* The elements of dout (oh, ow, f) that are not 0, in two orders. Memory for all of it is the caller's; the first four
 * have room for BD_NONZERO_SPARE more, because whole vectors are written. */
typedef struct {
    real *value, *filter_value;           /* (oh ow f) window by window; (f, oh ow) each filter's */
    int32_t *filter, *window;             /* of each: which filter; the pixel of x where the window begins */
    int32_t *window_count, *filter_count; /* (oh ow), (f): how many */
} REAL(bd_nonzero);

typedef struct {
    /* out (m, n) = a (m, k) b (k, n) + bias (n); bias may be NULL; relu: max(out, 0), a NaN stays. Only `block` of out
     * is computed, all of it if that is NULL: the same in the other five. */
    void (*gemm_nn)(real *out, const real *a, const real *b, bd_size m, bd_size n, bd_size k, const real *bias,
                    bool relu, const bd_block *block);
    /* out (m, n) = a (m, k) b^T, b (n, k); where mask (m, n) is not NULL, 0 where mask <= 0 */
    void (*gemm_nt)(real *out, const real *a, const real *b, bd_size m, bd_size n, bd_size k, const real *mask,
                    const bd_block *block);
    /* out (m, n) = a^T b, a (k, m), b (k, n) */
    void (*gemm_tn)(real *out, const real *a, const real *b, bd_size m, bd_size n, bd_size k, const bd_block *block);
    /* The same three, faster where a third of a is 0, or more. The same numbers if b is finite. */
    void (*gemm_nn_sparse)(real *out, const real *a, const real *b, bd_size m, bd_size n, bd_size k, const real *bias,
                           bool relu, const bd_block *block);
    void (*gemm_nt_sparse)(real *out, const real *a, const real *b, bd_size m, bd_size n, bd_size k, const real *mask,
                           const bd_block *block);
    void (*gemm_tn_sparse)(real *out, const real *a, const real *b, bd_size m, bd_size n, bd_size k,
                           const bd_block *block);
    /* out (n) = sum of the m rows of x (m, n) */
    void (*sum_rows)(real *out, const real *x, bd_size m, bd_size n);
    /* out (n, m) = x (m, n)^T, of rows so far apart */
    void (*transpose)(real *out, bd_size out_row, const real *x, bd_size x_row, bd_size m, bd_size n);

    /* One image x (h, w, c), padding and all: s->pad is 0. The channels are the last dimension throughout.
     * out (oh, ow, f) = windows of x (fh, fw, c) times w (fh, fw, c, f), + bias (f) unless NULL; relu and mask (oh, ow,
     * f) as above. If `pool`, of each square of 2 by 2 of that only the largest, after relu, is written to out (oh / 2,
     * ow / 2, f), and to winner, unless NULL, which pixel of its square that was, 0 to 3, or 4 where relu made it 0;
     * mask is then NULL, oh and ow are even. */
    void (*convolve)(real *out, const real *x, const real *w, const bd_window *s, bd_size f, const real *bias,
                     bool relu, const real *mask, bool pool, real *winner);
    /* Of float only, else NULL. The same for windows of 3 by 3 with stride 1 and dilation 1, even oh and ow, c and f at
     * least 16, and with fewer multiplications: from u (16, c, f), of planes BD_WINOGRAD_PLANE apart, which is made of
     * the filters (3, 3) for `in` channels and `out` results at w, so far apart; turned round, for the way back. work:
     * 16 BD_WINOGRAD_SQUARES (c + f) numbers. */
    void (*winograd_filters)(real *u, const real *w, bd_size in, bd_size out, bd_size in_step, bd_size out_step,
                             bool turned);
    void (*convolve_winograd)(real *out, const real *x, const real *u, const bd_window *s, bd_size f, const real *bias,
                              bool relu, const real *mask, bool pool, real *winner, real *work);
    /* dw (fh, fw, c, f) += ... likewise, in two steps: m (16, c, f), likewise, += what an image makes of it; then, of n
     * = c f filters, dw += what all images did. */
    void (*winograd_products)(real *m, const real *x, const real *dout, const bd_window *s, bd_size f, real *work);
    void (*winograd_filter_gradient)(real *dw, const real *m, bd_size n);
    /* dw (fh, fw, c, f) += windows of x^T times dout (oh, ow, f) */
    void (*convolve_filter)(real *dw, const real *x, const real *dout, const bd_window *s, bd_size f);
    /* The same for an x of one channel that is mostly 0, if stride and dilation are 1, of its list: value; filter, the
     * window of which the pixel would be the first if rows of windows were as many as those of x; and window_count, of
     * each row of x; how many in all. filter_value and window are used up. For a finite dout the same to the bit. */
    bd_size (*list_pixels)(REAL(bd_nonzero) * list, const real *x, const bd_window *s);
    void (*convolve_filter_pixels)(real *dw, REAL(bd_nonzero) * list, const real *dout, const bd_window *s, bd_size f);
    /* windows of dx (h, w, c) += dout (oh, ow, f) times wt (fh, fw, f, c) */
    void (*convolve_back)(real *dx, const real *dout, const real *wt, const bd_window *s, bd_size f);
    /* The same, of w (f, c, fh, fw), for so few channels that they would not fill a vector; so many rows of windows at
     * a time, of which room holds what they get. `first`: dout is given as (f, oh, ow). */
    void (*convolve_back_thin)(real *dx, const real *dout, bool first, const real *w, real *room, bd_size rows,
                               const bd_window *s, bd_size f);
    /* convolve_filter and convolve_back for a dout that is mostly 0, if stride and dilation are 1: its list, then
     * dw (f, fh, fw, c) += ..., windows of dx += list times w (f, fh, fw, c). For finite x and w the same to the bit.
     */
    bd_size (*count_nonzero)(const real *x, bd_size n);
    void (*list_nonzero)(REAL(bd_nonzero) * list, const real *dout, const bd_window *s, bd_size f);
    void (*convolve_filter_sparse)(real *dw, const real *x, const REAL(bd_nonzero) * list, const bd_window *s,
                                   bd_size f);
    void (*convolve_back_sparse)(real *dx, const REAL(bd_nonzero) * list, const real *w, const bd_window *s);
    /* One image again, but padding is only meant. out (oh, ow, c) = the first of the largest, or the mean, of each
     * window of x; relu: max(out, 0); winner (oh, ow, c), or NULL: as a convolution writes it, if all windows are
     * squares of 2 by 2 and not mean. dx (h, w, c) = dout where the largest was, or everywhere its share; relu: where
     * x > 0. Pools as such ignore s->dilation. */
    void (*pool)(real *out, real *winner, const real *x, const bd_window *s, bool mean, bool relu);
    void (*pool_backward)(real *dx, const real *x, const real *dout, const bd_window *s, bool mean, bool relu);
    /* The way back through a pool of the largest of squares of 2 by 2 side by side, which fill the image, from its
     * `winner`; and the two halves of the list of such a dx, if it is the dout of a convolution by these windows: from
     * dout and winner (oh / 2, ow / 2, f), and from those with their channels first, (f, oh / 2, ow / 2), with the sum
     * (f) of all. */
    void (*unpool)(real *dx, const real *dout, const real *winner, const bd_window *s);
    void (*list_winners)(REAL(bd_nonzero) * list, const real *dout, const real *winner, const bd_window *s, bd_size f);
    void (*list_winners_of_filters)(REAL(bd_nonzero) * list, real *sum, const real *dout, const real *winner,
                                    const bd_window *s, bd_size f);

    /* Element by element, n of them. out may be x. exp and log are within 2 ULP. */
    void (*exp)(real *out, const real *x, bd_size n);
    void (*log)(real *out, const real *x, bd_size n);
    void (*relu)(real *out, const real *x, bd_size n);
    void (*sigmoid)(real *out, const real *x, bd_size n);
    void (*tanh)(real *out, const real *x, bd_size n);
    void (*add)(real *out, const real *a, const real *b, bd_size n);
    /* dx = dout times the slope, from out = f(x). dx may be dout. */
    void (*relu_backward)(real *dx, const real *dout, const real *out, bd_size n);
    /* relu, and what relu_backward asks of out, in a quarter of the memory or less: sign = 0 where out <= 0, else 1;
     * and relu_backward from that. */
    void (*relu_signs)(real *out, int8_t *sign, const real *x, bd_size n);
    void (*relu_backward_signs)(real *dx, const real *dout, const int8_t *sign, bd_size n);
    void (*sigmoid_backward)(real *dx, const real *dout, const real *out, bd_size n);
    void (*tanh_backward)(real *dx, const real *dout, const real *out, bd_size n);

    /* y (n, c) = softmax of each row of x; and, unless NULL, the largest of each row and the sum of exp(x - that) */
    void (*softmax_rows)(real *y, real *most, real *total, const real *x, bd_size n, bd_size c);
    /* Is every |x| < limit? A NaN is not. With an infinite limit: does x hold neither NaN nor infinity? */
    bool (*all_below)(const real *x, bd_size n, real limit);
    bool (*copy_below)(real *out, const real *x, bd_size n, real limit); /* the same, while x is copied to out */

    /* p -= lr g */
    void (*sgd)(real *p, const real *g, bd_size n, real lr);
    /* v = momentum v - lr g; p += v; Nesterov: p += momentum^2 v - (1 + momentum) lr g with the old v */
    void (*momentum)(real *p, const real *g, real *v, bd_size n, real lr, real momentum);
    void (*nesterov)(real *p, const real *g, real *v, bd_size n, real lr, real momentum);
    /* h = keep h + take g^2; p -= lr g / (sqrt(h) + eps) */
    void (*adagrad)(real *p, const real *g, real *h, bd_size n, real lr, real keep, real take, real eps);
    /* m += rate1 (g - m); v += rate2 (g^2 - v); p -= lr m / (sqrt(v) + eps). State too small to be a normal
     * number becomes 0, because arithmetic on such numbers is slow. */
    void (*adam)(real *p, const real *g, real *m, real *v, bd_size n, real lr, real rate1, real rate2, real eps);
} REAL(bd_kernels);
